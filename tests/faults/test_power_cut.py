"""A power cut of the whole machine, at any block write: what was acknowledged is there.

All nodes and the state folder lie on one disk whose every block write is logged; images of many
moments (prefixes, torn sectors, reordered writes) are mounted and the store on each is judged.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.faults.histories import HISTORIES
from tests.support import blockdev, crash, embedded_target, mounts, need, processes, shutdown
from tests.support.replay import BlockLog, CutPoint, ImageMaker
from tests.support.shutdown import Cut
from tests.support.workload import Op, View, allowed, states

pytestmark = [*need.root(*blockdev.COMMANDS, libraries=("mfusepy",)), pytest.mark.fault]

SEED = int(os.environ.get("HOLDFAST_SEED", "1"))
CHOSEN = 6
FACTORY = "tests.support.embedded_target:EmbeddedTarget"
IMAGE_BYTES = 256 << 20
HISTORY = (
    Op("put", "/data/a", size=3000, seed=1),
    Op("put", "/media/clip", size=700_000, seed=2),
    Op("put", "/data/a", size=150_000, seed=3),
    Op("append", "/data/a", size=2000, seed=4),
    Op("snapshot", "/data/.snapshot/s1"),
    Op("rename", "/data/a", target="/data/b"),
    Op("delete", "/media/clip"),
    Op("batch", "/data/many", size=500, seed=5, count=8),
    Op("collect"),
)
SINGLE = (
    Op("put", "/media/large", size=1_300_000, seed=1),
    Op("put", "/data/large", size=400_000, seed=2),
    Op("put", "/data/small", size=3000, seed=3),
    Op("put", "/media/small", size=3000, seed=4),
)
NODES = tuple(f"d{number}" for number in range(1, 7))
HISTORIES_HERE = {"mixed": HISTORY, **HISTORIES}


class _PowerGoneError(Exception):
    """The process that was writing need not be heard any more."""


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_a_chosen_cut_loses_nothing(tmp_path: Path, kind: str) -> None:
    assert wrong_after_cuts(tmp_path, kind, HISTORY, CHOSEN) == []


@pytest.mark.soak
@pytest.mark.timeout(3600, method="signal")
@pytest.mark.parametrize("name", HISTORIES_HERE)
@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_any_cut_loses_nothing(tmp_path: Path, kind: str, name: str) -> None:
    assert wrong_after_cuts(tmp_path, kind, HISTORIES_HERE[name], None) == []


@pytest.mark.parametrize("how", Cut)
@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_a_cut_between_two_operations_loses_nothing(tmp_path: Path, kind: str, how: Cut) -> None:
    with shutdown.power_cut(tmp_path / "disk", kind, IMAGE_BYTES) as disk:
        prepare(disk.path)
        with processes.writer(FACTORY, disk.path, HISTORY, tmp_path / "report") as writer:
            writer.wait_until_done(5)
            writer.kill()
        disk.cut(how)
        disk.power_back()
        with judging(disk.path) as judge:
            done, started = writer.done(), sum("start" in line for line in writer.lines())
            right = allowed(HISTORY, done, started, writer.items())
            wrong = judge.verdict(right)

    assert wrong == []


@pytest.mark.parametrize("op", SINGLE, ids=lambda op: f"{op.path.strip('/').replace('/', '-')}")
def test_a_put_is_whole_when_all_disks_lose_power_as_it_is_acknowledged(
    tmp_path: Path, op: Op
) -> None:
    store = after_a_cut_of_every_disk(tmp_path, op)

    with judging(store) as judge:
        assert judge.verdict(states((op,))[1:]) == []


def test_a_put_survives_a_power_cut_from_which_two_disks_do_not_return(tmp_path: Path) -> None:
    op = SINGLE[0]
    store = after_a_cut_of_every_disk(tmp_path, op)
    missing = []

    for pair in itertools.combinations(NODES, 2):
        left = shutil.copytree(store, tmp_path / "left")
        for name in pair:
            shutil.rmtree(left / name)
            (left / name).mkdir()
        with judging(left) as judge:
            if judge.run((), view=True).view != states((op,))[1]:
                missing.append(pair)
        shutil.rmtree(left)

    assert missing == []


def after_a_cut_of_every_disk(folder: Path, op: Op) -> Path:
    """A copy of what six disks and the state's hold when all lose power as `op` is acknowledged."""
    store = folder / "store"
    store.mkdir()
    with contextlib.ExitStack() as stack:
        disks = [stack.enter_context(shutdown.power_cut(store / name))
                 for name in (*NODES, embedded_target.STATE)]
        prepare(store)

        def heard(fields: dict[str, Any]) -> None:
            if "done" in fields:
                for disk in disks:
                    disk.cut(Cut.LOG_LOST)
                raise _PowerGoneError

        with pytest.raises(_PowerGoneError):
            processes.conduct(FACTORY, store, (op,), heard)
        for disk in disks:
            disk.power_back()
        return shutil.copytree(store, folder / "copy", ignore=shutil.ignore_patterns("*.img"))


def wrong_after_cuts(
    folder: Path, kind: str, ops: tuple[Op, ...], count: int | None
) -> list[tuple[CutPoint, list[str]]]:
    """Cuts after which the store is not what was acknowledged, and how."""
    disk = record(folder, kind, ops)
    log = BlockLog(disk.log)
    maker = ImageMaker(disk.base, log, folder)
    wrong = []
    for number, point in enumerate(cuts(log, count)):
        # a name of its own: the judges' view of the last disk may live a moment longer than they do
        image = maker.image(point, folder / f"cut-{number}.img")
        with mounts.mounted_image(image, folder / "disk"), judging(folder / "disk") as judge:
            found = judge.verdict(right_at(log, point, ops))
        image.unlink()
        if found:
            wrong.append((point, found))
    return wrong


def record(folder: Path, kind: str, ops: tuple[Op, ...]) -> blockdev.BlockDevice:
    """Carry out a history on a logged disk, with a mark after each acknowledgement."""
    with blockdev.block_device(folder / "disk", kind, IMAGE_BYTES) as disk:
        prepare(disk.path)
        disk.mark("prepared")

        def heard(fields: dict[str, Any]) -> None:
            disk.mark(next(iter(fields)))

        processes.conduct(FACTORY, disk.path, ops, heard)
    return disk


def prepare(folder: Path) -> None:
    """In a process of its own, so that this one has nothing open on the disk."""
    code = (
        "import pathlib, sys; from tests.support import embedded_target; "
        "embedded_target.prepare(pathlib.Path(sys.argv[1]))"
    )
    subprocess.run([sys.executable, "-c", code, str(folder)], cwd=crash.PROJECT, check=True)


def judging(store: Path) -> crash.Harness:
    """Looks at the store at `store` in processes of its own, as after the reboot; they do not see
    what is mounted later."""
    return crash.Harness(crash.Target(factory=FACTORY, prepared=store), store, rebooted=True)


def cuts(log: BlockLog, count: int | None) -> list[CutPoint]:
    """Moments after the store was prepared, in order of time."""
    chooser = random.Random(SEED)
    ready = next(number for number, entry in enumerate(log.entries)
                 if entry.kind == "M" and log.payload(entry) == b"prepared")
    points = []
    for one in (log.prefixes(), log.torn(chooser), log.reordered(chooser)):
        after = [point for point in one if point.upto > ready]
        points += after if count is None else chooser.sample(after, min(count, len(after)))
    return sorted(points, key=lambda point: point.upto)


def right_at(log: BlockLog, point: CutPoint, ops: tuple[Op, ...]) -> list[View]:
    """What may be there, from what was acknowledged before the cut."""
    marks = log.marks(point.upto)
    done, started = marks.count("done"), marks.count("start")
    items = 0
    if started > done:
        last = len(marks) - marks[::-1].index("start")
        items = marks[last:].count("item")
    return allowed(ops, done, started, items)
