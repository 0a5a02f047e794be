"""A node fails alone: deadlines, sentinels, syncs, threads that hang, and fork."""

from __future__ import annotations

import errno
import os
import threading
import time
from pathlib import Path

import pytest
from tests.unit.engines.embedded.shard_nodes import FailingDisk, Nodes, plain_disk

from holdfast.engines.embedded import node


@pytest.fixture
def disk(tmp_path: Path) -> node.NodeDisk:
    return Nodes(tmp_path, 1).disks[0]


def failing(number: int) -> None:
    raise OSError(number, "injected")


def test_a_call_runs_in_a_thread_of_the_node(disk: node.NodeDisk) -> None:
    name = disk.call(lambda: threading.current_thread().name)

    assert name.startswith("holdfast-node-0")


def test_calls_of_one_node_run_side_by_side_up_to_its_threads(disk: node.NodeDisk) -> None:
    meeting = threading.Barrier(4)

    operations = [disk.submit(meeting.wait, 10) for _ in range(4)]

    assert sorted(disk.outcome(one) for one in operations) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ENOSPC, "node.full"),
        (errno.EDQUOT, "node.full"),
        (errno.EIO, "node.io_error"),
        (errno.EROFS, "node.read_only"),
        (errno.ENOENT, "node.no_file"),
        (errno.ETIMEDOUT, "node.failed"),
        (errno.ENODEV, "node.failed"),
    ],
)
def test_a_failure_has_a_reason(disk: node.NodeDisk, number: int, reason: str) -> None:
    with pytest.raises(node.NodeFailed) as caught:
        disk.call(failing, number)

    assert caught.value.reason == reason
    assert caught.value.full == (reason == "node.full")
    assert caught.value.node == 0
    assert disk.suspect is None


def test_a_call_beyond_its_deadline_makes_the_node_suspect(disk: node.NodeDisk) -> None:
    gate = threading.Event()

    with pytest.raises(node.NodeFailed) as caught:
        disk.call(gate.wait, 20, deadline_s=0.05)

    gate.set()
    assert caught.value.reason == "node.timeout"
    assert disk.suspect == "node.timeout"


def test_a_suspect_node_refuses_at_once(disk: node.NodeDisk) -> None:
    disk.suspect = "node.timeout"

    with pytest.raises(node.NodeFailed):
        disk.submit(os.getpid)


def test_a_hung_call_that_nobody_waits_for_is_noticed_by_the_next(disk: node.NodeDisk) -> None:
    gate = threading.Event()
    disk.submit(gate.wait, 20, deadline_s=0.05)
    time.sleep(0.1)

    with pytest.raises(node.NodeFailed) as caught:
        disk.submit(os.getpid)

    gate.set()
    assert caught.value.reason == "node.timeout"


def test_clearing_up_is_accepted_by_a_suspect_node(disk: node.NodeDisk) -> None:
    disk.suspect = "node.timeout"

    operation = disk.submit(os.getpid, even_if_suspect=True)

    assert disk.outcome(operation) == os.getpid()


def test_a_reinstated_node_works_although_its_old_threads_hang(disk: node.NodeDisk) -> None:
    gate = threading.Event()
    for _ in range(4):
        disk.submit(gate.wait, 20, deadline_s=0.01)
    time.sleep(0.05)

    disk.reinstate()

    assert disk.call(os.getpid, deadline_s=5) == os.getpid()
    gate.set()


def test_losing_patience_is_no_verdict(disk: node.NodeDisk) -> None:
    gate = threading.Event()
    operation = disk.submit(gate.wait, 20)

    with pytest.raises(TimeoutError):
        disk.outcome(operation, within_s=0.02)
    gate.set()

    assert disk.suspect is None
    assert disk.outcome(operation) is True


def test_a_node_with_an_old_operation_is_stalled(disk: node.NodeDisk) -> None:
    gate = threading.Event()
    assert not disk.stalled()
    operation = disk.submit(gate.wait, 20)
    time.sleep(0.25)

    stalled = disk.stalled()

    gate.set()
    disk.outcome(operation)
    assert stalled


def test_the_latency_bound_follows_what_is_seen() -> None:
    latency = node.Latency()
    assert latency.bound_s() == 0.2

    for _ in range(200):
        latency.add(1.0)

    assert 3.0 <= latency.bound_s() < 4.0


def test_writing_without_a_sentinel_is_refused(disk: node.NodeDisk) -> None:
    (disk.root / node.SENTINEL).unlink()

    with pytest.raises(node.NodeFailed) as caught:
        disk.call(disk.create, disk.root / "tmp" / "x")

    assert caught.value.reason == "node.no_sentinel"
    assert not (disk.root / "tmp" / "x").exists()


def test_parts_are_written_one_after_the_other(disk: node.NodeDisk, tmp_path: Path) -> None:
    path = disk.root / "tmp" / "x"
    descriptor = disk.create(path)

    disk.write(descriptor, [b"abc", memoryview(b"defg")], 2, point="test")
    os.close(descriptor)

    assert path.read_bytes() == b"\0\0abcdefg"


def test_what_is_left_after_a_short_write() -> None:
    views = [memoryview(b"abc"), memoryview(b"de"), memoryview(b"f")]

    assert [bytes(one) for one in node.after(views, 0)] == [b"abc", b"de", b"f"]
    assert [bytes(one) for one in node.after(views, 4)] == [b"e", b"f"]
    assert node.after(views, 6) == []


@pytest.mark.parametrize(
    ("error", "suspect"), [(errno.ENOSPC, None), (errno.EIO, "node.io_error")]
)
def test_a_failed_write_is_final_unless_the_disk_is_full(
    tmp_path: Path, error: int, suspect: str | None
) -> None:
    root = Nodes(tmp_path, 1).folder(0)
    disk = FailingDisk(0, root, after=0, error=error)
    descriptor = disk.create(root / "tmp" / "x")

    with pytest.raises(node.NodeFailed):
        disk.write(descriptor, [b"x"], 0, point="test")
    os.close(descriptor)

    assert disk.suspect == suspect


def test_a_failed_sync_is_final(tmp_path: Path) -> None:
    root = Nodes(tmp_path, 1).folder(0)
    disk = FailingDisk(0, root, after=9, error=0, sync_fails=True)
    descriptor = disk.create(root / "tmp" / "x")

    with pytest.raises(node.NodeFailed) as caught:
        disk.sync(descriptor, point="test")
    os.close(descriptor)

    assert caught.value.reason == "node.sync_failed"
    assert disk.suspect == "node.sync_failed"


def test_a_group_folder_is_made_when_first_needed(disk: node.NodeDisk) -> None:
    first = disk.group_folder(11)
    again = disk.group_folder(11)

    assert first == again == disk.root / "pg" / "000b"
    assert first.is_dir()


def test_a_group_folder_without_its_node_is_not_made(disk: node.NodeDisk) -> None:
    (disk.root / "pg").rmdir()

    with pytest.raises(node.NodeFailed) as caught:
        disk.call(disk.group_folder, 11)

    assert caught.value.reason == "node.no_file"


def test_a_node_works_in_a_forked_child(disk: node.NodeDisk) -> None:
    parent = disk.call(os.getpid)
    reader, writer = os.pipe()

    child = os.fork()
    if child == 0:
        try:
            os.write(writer, str(disk.call(os.getpid, deadline_s=5)).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)
    answered = int(os.read(reader, 20) or b"0")
    os.close(reader)

    assert answered == child
    assert disk.call(os.getpid) == parent


def test_closing_lets_the_threads_end(tmp_path: Path) -> None:
    disk = plain_disk(77, tmp_path)
    disk.call(os.getpid)

    disk.close()
    time.sleep(0.1)

    assert not [one for one in threading.enumerate() if one.name.startswith("holdfast-node-77")]
