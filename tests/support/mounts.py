"""Small file systems in image files: make, attach, mount, and always clean up.

Called by the fault tools, as root. Nothing here is left behind, also when a test fails midway:
whatever was attached or mounted is on an ExitStack that detaches lazily.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

COMMAND_TIMEOUT_S = 60
MAKE_FILESYSTEM: dict[str, tuple[str, ...]] = {
    "ext4": ("mkfs.ext4", "-q", "-F", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0"),
    "xfs": ("mkfs.xfs", "-q", "-f", "-K", "-m", "reflink=0"),
}
# XFS refuses to be made smaller than 300 MB; the images are sparse, so size costs nothing.
SIZE_BYTES_MIN = {"ext4": 32 << 20, "xfs": 304 << 20}


_MOUNTS = Path("/proc/mounts")


def run(*command: str, check: bool = True) -> str:
    """Output of a command. Raises CalledProcessError with its standard error."""
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=False
    )
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: exit {done.returncode}: {done.stderr.strip()}")
    return done.stdout.strip()


def make_image(image: Path, kind: str = "ext4", size_bytes: int | None = None) -> Path:
    """A sparse image with an empty file system."""
    with image.open("wb") as file:
        file.truncate(max(size_bytes or 0, SIZE_BYTES_MIN[kind]))
    run(*MAKE_FILESYSTEM[kind], str(image))
    return image


def copy_image(source: Path, target: Path) -> Path:
    """A sparse copy."""
    run("cp", "--sparse=always", str(source), str(target))
    return target


@contextlib.contextmanager
def attached(image: Path) -> Iterator[str]:
    """The loop device of an image."""
    device = run("losetup", "--find", "--show", str(image))
    try:
        yield device
    finally:
        run("losetup", "--detach", device, check=False)


@contextlib.contextmanager
def mounted(device: str, folder: Path, options: Sequence[str] = ()) -> Iterator[Path]:
    """A device mounted at a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    if run("blkid", "--probe", "--output", "value", "--match-tag", "TYPE", device).strip() == "xfs":
        options = (*options, "nouuid")  # images of one disk have one uuid, and an earlier one may
        # still be going away
    run("mount", "-o", ",".join(("noatime", *options)), device, str(folder))
    try:
        yield folder
    finally:
        unmount(folder)


@contextlib.contextmanager
def mounted_image(image: Path, folder: Path, options: Sequence[str] = ()) -> Iterator[Path]:
    """An image mounted read-write (its journal is replayed)."""
    with attached(image) as device, mounted(device, folder, options) as path:
        yield path


@contextlib.contextmanager
def filesystem(folder: Path, kind: str = "ext4", size_bytes: int | None = None) -> Iterator[Path]:
    """A fresh file system of a fixed size, mounted at `folder`; gone afterwards."""
    image = folder.with_name(folder.name + ".img")
    make_image(image, kind, size_bytes)
    try:
        with mounted_image(image, folder) as path:
            yield path
    finally:
        image.unlink(missing_ok=True)


def unmount(folder: Path) -> None:
    """Unmount, now if possible, else lazily; not mounted is fine."""
    if not is_mounted(folder):
        return
    for _ in range(20):
        if subprocess.run(["umount", str(folder)], capture_output=True, check=False).returncode == 0:
            return
        time.sleep(0.05)
    run("umount", "--lazy", str(folder), check=False)


def is_mounted(folder: Path) -> bool:
    """Asked of the kernel, not of the folder: one that was shut down answers EIO."""
    shown = str(folder).replace("\\", "\\134").replace(" ", "\\040")
    return any(line.split()[1] == shown for line in _MOUNTS.read_text().splitlines())


def remount(folder: Path, option: str) -> None:
    """Change a mounted file system: `ro`, `rw`; `abort` as ext4 does it after an error."""
    run("mount", "-o", f"remount,{option}", str(folder))


def drop_caches() -> None:
    """Forget clean pages of the whole machine, so that reads come from the disks."""
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3\n")
