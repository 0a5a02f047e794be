"""The wheel that pip builds holds everything that the source tree holds."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from tests.tidy import tree


@pytest.mark.slow
def test_the_wheel_holds_every_file_of_the_package(tmp_path: Path) -> None:
    expected = {str(path.relative_to(tree.ROOT / "src")) for path in tree.files()
                if path.is_relative_to(tree.SOURCE)}

    subprocess.run(
        [
            sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index",
            "--no-build-isolation", "--wheel-dir", str(tmp_path), str(tree.ROOT),
        ],
        check=True, timeout=50,
    )

    (wheel,) = tmp_path.glob("holdfast-*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    assert expected <= held
    assert {name.partition("/")[0].partition("-")[0] for name in held} == {"holdfast"}
    assert any(name.endswith("/licenses/LICENSE") for name in held)
