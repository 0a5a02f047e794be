from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from holdfast import errors
from holdfast.kit import language

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def chinese() -> Iterator[None]:
    language.use(language.CHINESE)
    yield
    language.use(None)


@pytest.fixture(scope="module")
def messages() -> ModuleType:
    found = importlib.util.spec_from_file_location("messages", ROOT / "scripts" / "messages.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh_CN"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "C", "LC_MESSAGES": "zh_CN"}, "zh_CN"),
        ({"LC_ALL": "zh_CN", "HOLDFAST_LANG": "en"}, "en"),
        ({"LC_ALL": "", "LANG": "zh"}, "zh_CN"),
        ({"LANG": "fr_FR"}, "en"),
    ],
    ids=str,
)
def test_the_first_variable_that_is_set_decides(environ: dict[str, str], wanted: str) -> None:
    assert language.choose(environ) == wanted


def test_an_error_is_rendered_in_chinese_with_its_fields(chinese: None) -> None:
    error = errors.NotFoundError(
        "local.missing", "there is no local file {path}", hint="name a folder as the target",
        path="/tmp/x",
    )

    message, hint = errors.render(error, language.text)

    assert message != str(error)
    assert "/tmp/x" in message
    assert hint.isascii() is False


def test_what_has_no_translation_stays_english(chinese: None) -> None:
    assert language.text("no such message anywhere") == "no such message anywhere"
    assert language.text("") == ""


def test_the_catalogue_has_every_message_and_no_other(messages: ModuleType) -> None:
    assert messages.faults() == []


def test_help_errors_and_usage_speak_chinese() -> None:
    def run(*arguments: str) -> tuple[str, str]:
        done = subprocess.run(
            [sys.executable, "-m", "holdfast.cli.main", *arguments],
            capture_output=True, text=True, timeout=30,
            env={**os.environ, "HOLDFAST_LANG": "zh_CN"},
        )
        return done.stdout, done.stderr

    help_text, _ = run("put", "--help")
    _, usage_error = run("put", "--bogus")
    _, error = run("-f", "/no/such/file.yaml", "ls")
    document, _ = run("-f", "/no/such/file.yaml", "ls", "--json")

    for text in (help_text, usage_error, error):
        assert any("\u4e00" <= character <= "\u9fff" for character in text), text
    assert "Usage" not in help_text
    assert document.isascii()
