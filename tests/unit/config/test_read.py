"""`config.read`: the one call of operations and faces."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast import config, errors

TEXT = """\
cluster: main
engine: {kind: embedded, nodes: [{name: d1, path: d1}]}
"""


def test_a_file_is_found_read_and_resolved(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(TEXT)

    effective = config.read(str(tmp_path / "mine.yaml"), state="/memory", environ={})

    assert effective.spec.engine.nodes[0].path == str(tmp_path / "d1")
    assert effective.spec.state == "/memory"


def test_the_environment_of_the_process_is_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.yaml").write_text(TEXT)
    monkeypatch.setenv("HOLDFAST_FILE", str(tmp_path / "mine.yaml"))
    monkeypatch.setenv("HOLDFAST_STATE", "/from/the/environment")

    assert config.read().spec.state == "/from/the/environment"


def test_errors_are_config_errors(tmp_path: Path) -> None:
    with pytest.raises(errors.ConfigError) as caught:
        config.read(str(tmp_path / "gone.yaml"), environ={})

    assert caught.value.exit_code == 2


def test_importing_the_package_loads_neither_pydantic_nor_ruamel() -> None:
    code = (
        "import sys; from holdfast import config; from holdfast.config import load, choose; "
        "print([name for name in ('pydantic', 'ruamel.yaml') if name in sys.modules])"
    )

    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30,
        env=dict(os.environ),
    )

    assert run.stdout.strip() == "[]"
