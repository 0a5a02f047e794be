"""One of six nodes lies on a disk that misbehaves: nobody else is hurt, and no wrong byte is read."""

from __future__ import annotations

import dataclasses
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from holdfast.engines.embedded import engine as embedded
from tests.support import blockdev, embedded_target, mounts, need
from tests.support import embedded as stores
from tests.support.blockdev import BlockDevice, Rule
from tests.support.workload import content, content_id

pytestmark = [*need.root(*blockdev.COMMANDS, libraries=("mfusepy",)), pytest.mark.fault]

NODE_DEADLINE_S = 1.5
PATIENCE_S = 25.0
TUNING = dataclasses.replace(embedded_target.TUNING, node_deadline_s=NODE_DEADLINE_S)
BEFORE = {
    "/data/small": (3000, 1), "/data/large": (600_000, 2),
    "/media/small": (4000, 3), "/media/large": (1_500_000, 4),
}
AFTER = {
    "/data/new": (2500, 11), "/data/new-large": (550_000, 12), "/media/new-large": (1_200_000, 13),
}
Break = Callable[[BlockDevice], object]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[BlockDevice]:
    """Under node d1. A store that waits for it for ever is let go after PATIENCE_S, and judged."""
    (tmp_path / "store").mkdir()
    with blockdev.block_device(tmp_path / "store" / "d1", size_bytes=64 << 20) as one:
        released = threading.Event()

        def release() -> None:
            released.set()
            one.clear()

        watchdog = threading.Timer(PATIENCE_S, release)
        watchdog.start()
        yield one
        watchdog.cancel()
        assert not released.is_set(), f"the store hung on one node for {PATIENCE_S} s"


@pytest.fixture
def store(disk: BlockDevice) -> Iterator[embedded.EmbeddedEngine]:
    """With the objects of BEFORE; d1 holds pieces of each kind, and a copy of the commit log."""
    made = prepared(disk.path)
    put_all(made, BEFORE)
    for number in range(12):
        made.put(f"/media/more{number}", content(number, 600_000))
    yield made
    disk.clear()
    made.close()


BREAKS: dict[str, Break] = {
    "reads_fail": lambda disk: disk.add(Rule(operation="read", action="error")),
    "writes_fail": lambda disk: disk.add(Rule(operation="write", action="error")),
    "flushes_fail": lambda disk: disk.add(Rule(operation="flush", action="error")),
    "writes_are_lost": lambda disk: disk.add(Rule(operation="write", action="drop")),
    "writes_go_astray": lambda disk: disk.add(
        Rule(operation="write", action="shift", start=8 << 20, end=56 << 20, shift_bytes=65536)
    ),
    "it_is_slow": lambda disk: [
        disk.add(Rule(operation=operation, action="delay", delay_s=0.05))
        for operation in ("read", "write", "flush")
    ],
    "it_hangs": lambda disk: [
        disk.add(Rule(operation=operation, action="hang"))
        for operation in ("read", "write", "flush")
    ],
    "it_turns_read_only": lambda disk: mounts.remount(disk.path, "abort"),
    "its_blocks_are_garbled": lambda disk: garble(disk),  # noqa: PLW0108 - defined below
}


@pytest.mark.parametrize("name", BREAKS)
def test_everything_is_read_and_written_while_a_disk_fails(
    name: str, disk: BlockDevice, store: embedded.EmbeddedEngine
) -> None:
    mounts.drop_caches()
    BREAKS[name](disk)

    put_all(store, AFTER)
    mounts_forgotten(name)

    assert read_all(store) == expected({**BEFORE, **AFTER})


@pytest.mark.parametrize("name", BREAKS)
def test_nothing_is_lost_when_the_disk_is_well_again(
    name: str, disk: BlockDevice, store: embedded.EmbeddedEngine
) -> None:
    BREAKS[name](disk)
    put_all(store, AFTER)
    disk.clear()
    store.close()

    with_new_handle = embedded.EmbeddedEngine(store.wanted, tuning=TUNING)
    with_new_handle.open()
    seen = read_all(with_new_handle)
    with_new_handle.close()

    assert seen == expected({**BEFORE, **AFTER})


def test_a_hung_disk_delays_a_put_by_little_more_than_its_deadline(
    disk: BlockDevice, store: embedded.EmbeddedEngine
) -> None:
    BREAKS["it_hangs"](disk)
    started = time.monotonic()
    store.put("/data/first", content(1, 400_000))
    first = time.monotonic() - started

    started = time.monotonic()
    store.put("/data/second", content(2, 400_000))
    second = time.monotonic() - started

    assert first < 4 * NODE_DEADLINE_S
    assert second < NODE_DEADLINE_S


def test_an_unmounted_node_is_not_filled(
    disk: BlockDevice, store: embedded.EmbeddedEngine
) -> None:
    store.close()
    mounts.run("umount", "--lazy", str(disk.path))

    anew = embedded.EmbeddedEngine(store.wanted, tuning=TUNING)
    anew.open()
    put_all(anew, AFTER)
    seen = read_all(anew)
    anew.close()

    assert seen == expected({**BEFORE, **AFTER})
    assert list(disk.path.iterdir()) == []


def test_a_full_disk_gets_no_more_and_the_others_go_on(
    disk: BlockDevice, store: embedded.EmbeddedEngine
) -> None:
    with (disk.path / "ballast").open("wb") as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(bytes(1 << 20))
            file.flush()

    put_all(store, AFTER)

    assert read_all(store) == expected({**BEFORE, **AFTER})
    store.delete("/media/large")
    assert read_all(store) == expected({**BEFORE, **AFTER}, without="/media/large")


def prepared(node: Path) -> embedded.EmbeddedEngine:
    """A new store of which `node` is one of the five log members (of six nodes, by chance)."""
    for _ in range(20):
        wanted = embedded_target.specification(node.parent)
        made = embedded.EmbeddedEngine(wanted, tuning=TUNING)
        stores.prepare(made)
        if (node / "log" / "lock").exists():
            return made
        made.close()
        for entry in [Path(str(wanted.state)), *(
            entry for one in wanted.engine.nodes for entry in Path(one.path).iterdir()
            if entry.name != "lost+found"
        )]:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    raise AssertionError("the node never became a log member")


def put_all(store: embedded.EmbeddedEngine, wanted: dict[str, tuple[int, int]]) -> None:
    for path, (size, seed) in wanted.items():
        store.put(path, content(seed, size))


def read_all(store: embedded.EmbeddedEngine) -> dict[str, str]:
    seen = {}
    for root in (embedded_target.DATA, embedded_target.MEDIA):
        for info in store.list_objects(root):
            if "/more" not in info.path:
                with store.get(info.path) as source:
                    seen[info.path] = content_id(source.read())
    return seen


def expected(wanted: dict[str, tuple[int, int]], without: str = "") -> dict[str, str]:
    return {
        path: content_id(content(seed, size))
        for path, (size, seed) in wanted.items() if path != without
    }


def mounts_forgotten(name: str) -> None:
    """Reads come from the disk, not from memory (a disk that hangs cannot be synced)."""
    if name != "it_hangs":
        mounts.drop_caches()


def garble(disk: BlockDevice) -> None:
    """One byte of every 16 KiB of file data on the disk."""
    for file in sorted(disk.path.rglob("*")):
        if file.is_file() and file.stat().st_size >= 4096:
            for line in mounts.run("filefrag", "-e", "-b1", str(file)).splitlines():
                words = line.replace("..", " ").replace(":", " ").split()
                if len(words) >= 6 and words[0].isdigit():
                    garble_range(disk, int(words[3]), int(words[5]))


def garble_range(disk: BlockDevice, start: int, length: int) -> None:
    for offset in range(start + 5000, start + length, 16384):
        disk.flip(offset, 0x40)
