"""GlusterFS on six folders of this disk: disperse 4+2 and replica 3, mounted through FUSE.

The daemon keeps its state on a tmpfs of its own, so that an installed one is not touched. A mount
exists only for the command that `volume` gives. Objects are files, with fsync of file and folder.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from bench.namespace import HOST, daemon, missing, namespace, run, wait_until

NAME = "GlusterFS"
_BRICKS = 6
_NAMESPACE = "holdfast-gluster"
_LAYOUTS: dict[str, tuple[str, ...]] = {
    "erasure": ("disperse-data", "4", "redundancy", "2"),
    "replicas": ("replica", "3"),
}


def lacks() -> str:
    return missing(("glusterd", "glusterfs-server"), ("ip", "iproute2"))


def version() -> str:
    return run("glusterd", "--version").splitlines()[0]


class Gluster:
    """A running daemon; one volume at a time."""

    def __init__(self, folder: Path, inside: tuple[str, ...]) -> None:
        self._folder = folder
        self._inside = inside
        self.mount_point = folder / "mount"

    @contextlib.contextmanager
    def volume(self, kind: str) -> Iterator[tuple[str, ...]]:
        """An empty volume; the command inside which it is mounted at `mount_point`."""
        bricks = [self._folder / f"brick{number}" for number in range(_BRICKS)]
        for brick in bricks:
            brick.mkdir()
        places = [f"{HOST}:{brick}" for brick in bricks]
        self._gluster("volume", "create", kind, *_LAYOUTS[kind], *places, "force")
        self._gluster("volume", "start", kind)
        script = f'mount -t glusterfs {HOST}:/{kind} {self.mount_point} && exec "$@"'
        try:
            yield (*self._inside, "sh", "-c", script, "sh")
        finally:
            self._gluster("volume", "stop", kind, "force")
            self._gluster("volume", "delete", kind)
            for brick in bricks:
                shutil.rmtree(brick)

    def answers(self) -> bool:
        command = (*self._inside, "gluster", "--mode=script", "volume", "list")
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def _gluster(self, *words: str) -> None:
        run(*self._inside, "gluster", "--mode=script", *words)


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Gluster]:
    """The daemon in its namespace; all of it is gone afterwards."""
    folder.mkdir(parents=True)
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        inside = stack.enter_context(namespace(_NAMESPACE))
        script = f"mount -t tmpfs tmpfs /var/lib/glusterd && exec glusterd -N -l {folder}/log"
        stack.enter_context(daemon(*inside, "sh", "-c", script, log=folder / "output"))
        one = Gluster(folder, inside)
        one.mount_point.mkdir()
        wait_until(one.answers, NAME)
        yield one
