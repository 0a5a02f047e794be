from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import pytest
from tests.unit.cli import harness

from holdfast.cli import main, session

HOLDFAST = (sys.executable, "-m", "holdfast.cli.main")


def start(*arguments: str, **environ: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*HOLDFAST, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env={**os.environ, "HOLDFAST_LANG": "en", **environ},
    )


def finish(process: subprocess.Popen[bytes]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=30)
    return process.returncode, out.decode(), err.decode()


def test_help_is_quick_to_load() -> None:
    """No engine, no numpy, no pydantic, no rich: `holdfast --help` stays under a quarter second."""
    code, out, err = finish(subprocess.Popen(
        [sys.executable, "-X", "importtime", *HOLDFAST[1:], "--help"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ))

    loaded = {line.rpartition("|")[2].strip() for line in err.splitlines()}
    assert code == 0
    assert "Commands:" in out
    assert not loaded & {"numpy", "pydantic", "rich", "ruamel.yaml", "fsspec", "apsw", "rich_click"}


def test_every_member_says_what_its_command_says(runner: harness.Runner) -> None:
    for name, member in main.MEMBERS.items():
        out = runner.ok(name, "--help").out

        told = " ".join(out.split())
        assert member.summary in told, name
        if "COMMAND [ARGS]" not in told:
            assert f"Examples: holdfast {name}" in told, name


@pytest.mark.parametrize(
    "arguments",
    [("ls", "--bogus"), ("nonsense",), ("put", "x"), ("find", "--type", "x"), ("--bogus", "ls")],
    ids=" ".join,
)
def test_wrong_usage_is_exit_code_2_with_a_hint(
    runner: harness.Runner, arguments: tuple[str, ...]
) -> None:
    ran = runner.run(*arguments)

    assert ran.code == 2
    assert ran.err.startswith("error: ")
    assert "hint: holdfast" in ran.err
    assert ran.out == ""


def test_wrong_usage_is_a_document_too(runner: harness.Runner) -> None:
    ran = runner.run("ls", "--bogus", "--json")

    error = ran.document["error"]
    assert isinstance(error, dict)
    assert (ran.code, error["code"], ran.err) == (2, "usage", "")


def test_no_verb_shows_the_help_and_is_exit_code_2(runner: harness.Runner) -> None:
    ran = runner.run()

    assert ran.code == 2
    assert "Usage: holdfast" in ran.out


@pytest.mark.parametrize("place", ["before", "after"])
def test_global_options_stand_before_or_after_the_verb(tmp_path: Path, place: str) -> None:
    file = tmp_path / "my.yaml"
    options = ["-f", str(file), "--json"]
    arguments = [*options, "config", "path"] if place == "before" else ["config", "path", *options]

    code, out, _err = finish(start(*arguments))

    error = json.loads(out)["error"]
    assert (code, error["code"]) == (2, "config.no_file")
    assert str(file) in error["message"]


def test_a_bug_is_exit_code_70_with_a_traceback(
    runner: harness.Runner, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> object:
        raise ZeroDivisionError("on purpose")

    used = session.Session(reader=broken)  # type: ignore[arg-type]  # it never returns

    code = main.run(["ls", "--json"], used)

    seen = capsys.readouterr()
    error = json.loads(seen.out)["error"]
    assert (code, error["code"], error["kind"]) == (70, "bug", "ZeroDivisionError")
    assert "Traceback" in seen.err
    assert "report" in error["hint"]


def test_a_closed_pipe_is_quiet(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    process = subprocess.Popen(
        [*HOLDFAST, "config", "example"], stdout=write, stderr=subprocess.PIPE
    )
    os.close(write)

    _out, err = process.communicate(timeout=30)

    assert (process.returncode, err) == (141, b"")


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["INT", "TERM"]
)
def test_signals_end_a_command_with_their_own_code(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    fifo = tmp_path / "holdfast.yaml"
    os.mkfifo(fifo)
    process = start("-f", str(fifo), "ls")
    with open(fifo, "wb", buffering=0):  # it waits for the rest of its file now
        time.sleep(0.2)
        process.send_signal(number)
        result, _out, err = finish(process)

    assert result == code
    assert "Traceback" not in err


def test_an_interrupted_run_ends_its_lines_with_an_error(
    runner: harness.Runner, tmp_path: Path
) -> None:
    (tmp_path / "x").write_bytes(b"x")

    def interrupt(*_: object, **__: object) -> object:
        raise KeyboardInterrupt

    runner._open = interrupt  # type: ignore[assignment, method-assign]  # as Ctrl-C would
    ran = runner.run("put", "--json", str(tmp_path / "x"), "/data/")

    error = ran.lines[-1]["error"]
    assert isinstance(error, dict)
    assert (ran.code, error["code"]) == (130, "interrupted")


def test_version_is_that_of_the_package(runner: harness.Runner) -> None:
    assert runner.ok("--version").out.strip() == metadata.version("holdfast")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_that_completes(runner: harness.Runner, shell: str) -> None:
    assert "_HOLDFAST_COMPLETE" in runner.ok("completion", shell).out


def test_the_completion_script_finds_verbs() -> None:
    code, out, _err = finish(start(
        _HOLDFAST_COMPLETE="bash_complete", COMP_WORDS="holdfast sna", COMP_CWORD="1",
    ))

    assert (code, out) == (0, "plain,snapshot\n")


def test_quiet_prints_only_what_was_asked_for(runner: harness.Runner, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x")

    assert runner.ok("put", "-q", str(tmp_path / "x"), "/data/").out == ""
    assert runner.ok("ls", "-q", "/data").out == "/data/x\n"
