"""The session that scripts may rely on, as a shell types it, on the embedded engine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

HOLDFAST = (sys.executable, "-m", "holdfast.cli.main")


class Shell:
    """Runs holdfast in one folder, with a home of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environ = {
            **os.environ, "HOME": str(folder / "home"), "HOLDFAST_LANG": "en",
            "XDG_STATE_HOME": str(folder / "state"), "XDG_CONFIG_HOME": str(folder / "config"),
            "HOLDFAST_STATE": str(folder / "state" / "it"),
        }
        (folder / "state").mkdir()

    def run(self, line: str, *, code: int = 0, stdin: bytes = b"") -> str:
        done = subprocess.run(
            [*HOLDFAST, *line.split()], cwd=self.folder, env=self.environ, input=stdin,
            capture_output=True, timeout=60,
        )
        assert done.returncode == code, (line, done)
        assert b"Traceback" not in done.stderr, done.stderr.decode()
        return done.stdout.decode()


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    made = Shell(tmp_path)
    for name in ("d1", "d2", "d3"):
        (tmp_path / name).mkdir()
    photos = tmp_path / "photos"
    (photos / "deep").mkdir(parents=True)
    for number in range(30):
        (photos / "deep" / f"{number}.jpg").write_bytes(os.urandom(number * 1000))
    (tmp_path / "clip.mp4").write_bytes(os.urandom(3 << 20))
    made.run("init d1 d2 d3")
    return made


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_session_of_the_documentation(shell: Shell, tmp_path: Path) -> None:
    assert "replicas 3" in (tmp_path / "holdfast.yaml").read_text()
    shell.run("ls", code=10)
    shell.run("plan --exit-code", code=9)
    shell.run("apply", code=5)
    shell.run("apply --yes")
    shell.run("plan --exit-code")

    shell.run("put photos/ clip.mp4 /data/")
    shell.run("put - /data/x", stdin=b"from a pipe")
    shell.run("get /data/photos out/")

    assert tree(tmp_path / "out" / "photos") == tree(tmp_path / "photos")
    assert shell.run("cat /data/x") == "from a pipe"
    status = json.loads(shell.run("status --check --json"))
    assert status["data"]["healthy"] is True
    shell.run("snapshot create data before")
    shell.run("rm -r /data/photos /data/x")
    assert shell.run("ls /data/.snapshot/before/").split() == [
        "/data/.snapshot/before/clip.mp4",
        "/data/.snapshot/before/photos/",
        "/data/.snapshot/before/x",
    ]
    shell.run("get /data/.snapshot/before/photos again")
    assert tree(tmp_path / "again" / "photos") == tree(tmp_path / "photos")


def test_a_node_and_the_state_folder_may_be_gone(shell: Shell, tmp_path: Path) -> None:
    shell.run("apply --yes")
    shell.run("put photos clip.mp4 /data")
    shutil.rmtree(tmp_path / "state")
    (tmp_path / "state").mkdir()

    shell.run("index rebuild --yes")
    shutil.rmtree(tmp_path / "d2")
    found = json.loads(shell.run("status --check --json", code=6))

    assert found["data"]["healthy"] is False
    assert found["data"]["risk"]["code"] == "risk.reduced"
    shell.run("get /data/photos /data/clip.mp4 out/")
    assert tree(tmp_path / "out" / "photos") == tree(tmp_path / "photos")
    assert (tmp_path / "out" / "clip.mp4").read_bytes() == (tmp_path / "clip.mp4").read_bytes()


def test_the_python_api_opens_the_same_store(shell: Shell, tmp_path: Path) -> None:
    shell.run("apply --yes")
    program = """
import holdfast, io
with holdfast.open("holdfast.yaml") as store:
    store.put("/data/x", io.BytesIO(b"0123456789abcdef"))
    print(store.get("/data/x", offset=10, length=5).read().decode())
    store.rename("/data/x", "/data/y")
    print([one.path for one in store.list_objects("/data/")])
import fsspec
fs = fsspec.filesystem("holdfast", file="holdfast.yaml")
print(fs.cat("/data/y")[:3].decode())
"""

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], cwd=tmp_path, env=shell.environ,
        capture_output=True, text=True, timeout=60,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["abcde", "['/data/y']", "012"]
    assert shell.run("cat /data/y") == "0123456789abcdef"
