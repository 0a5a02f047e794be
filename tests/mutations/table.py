"""The defects: one edit of the source each, the check that must fail, and why it matters."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """Replace `old`, which occurs once in `file`, by `new`; then `check` (a pytest id) must fail."""

    name: str
    file: str
    old: str
    new: str
    check: str
    why: str


_ATOMIC = "tests/faults/test_atomic_power_cut.py"
_POWER = "tests/faults/test_power_cut.py"
_DAMAGE = "tests/faults/test_damaged_nodes.py"
_ACKNOWLEDGED = f"{_POWER}::test_a_put_is_whole_when_all_disks_lose_power_as_it_is_acknowledged"
_EMBEDDED = "src/holdfast/engines/embedded"

MUTATIONS: tuple[Mutation, ...] = (
    Mutation(
        name="file_sync_removed",
        file="src/holdfast/kit/atomic.py",
        old="    os.fdatasync(descriptor)\n",
        new="    os.fstat(descriptor)\n",
        check=f"{_ATOMIC}::test_a_replaced_file_survives_a_power_cut",
        why="contents that were never synced are empty after a power cut",
    ),
    Mutation(
        name="folder_sync_removed",
        file="src/holdfast/kit/atomic.py",
        old="        os.fsync(descriptor)\n",
        new="        os.fstat(descriptor)\n",
        check=f"{_ATOMIC}::test_a_replaced_file_survives_a_power_cut",
        why="a rename whose folder was never synced is undone by a power cut",
    ),
    Mutation(
        name="log_sync_removed",
        file=f"{_EMBEDDED}/commit_log.py",
        old="            if synced:\n",
        new="            if synced and not synced:\n",
        check=f"{_ACKNOWLEDGED}[data-small]",
        why="a commit that is acknowledged before it is durable is gone after a power cut",
    ),
    Mutation(
        name="log_quorum_lowered",
        file=f"{_EMBEDDED}/commit_log.py",
        old="durable = max(self.majority, min(self.tolerated + 1, len(self.active)))",
        new="durable = 1",
        check=f"{_POWER}::test_a_put_survives_a_power_cut_from_which_two_disks_do_not_return",
        why="a commit that only one disk has is gone with that disk",
    ),
    Mutation(
        name="piece_folder_sync_removed",
        file=f"{_EMBEDDED}/piece_file.py",
        old='        self.disk.sync_folder(folder, point="piece.sync_folder")\n',
        new="",
        check=f"{_ACKNOWLEDGED}[media-large]",
        why="pieces whose names were never synced are gone, of more nodes than the parity covers",
    ),
    Mutation(
        name="segment_sync_removed",
        file=f"{_EMBEDDED}/segment_writer.py",
        old='            disk.sync(copy.descriptor, point="segment.sync")\n',
        new="            disk.check_sentinel()\n",
        check=f"{_ACKNOWLEDGED}[data-small]",
        why="small objects that were never synced are empty on all copies after a power cut",
    ),
    Mutation(
        name="piece_checksum_skipped",
        file=f"{_EMBEDDED}/piece_file.py",
        old="    if checksums[at : at + len(found)] != found:\n",
        new="    if len(checksums) < at:\n",
        check=f"{_DAMAGE}::test_two_nodes_with_garbled_contents_under_good_headers_hurt_no_read",
        why="garbled blocks are returned as if they were right",
    ),
    Mutation(
        name="segment_checksum_skipped",
        file=f"{_EMBEDDED}/segment.py",
        old="    if _content_checksum(store, segment, start + at, content) != own:\n",
        new="    if not own:\n",
        check=f"{_DAMAGE}::test_two_nodes_with_garbled_contents_under_good_headers_hurt_no_read",
        why="garbled small objects are returned as if they were right",
    ),
    Mutation(
        name="acknowledged_before_the_log",
        file=f"{_EMBEDDED}/catalog.py",
        old="            mark = self.log.append(log_file.pack_records(records))\n",
        new="            _finish(accepted)\n"
        "            mark = self.log.append(log_file.pack_records(records))\n",
        check="tests/faults/test_crash_points.py::test_a_kill_at_each_step_of_a_commit_loses_nothing",
        why="a crash between the answer and the log loses what was acknowledged",
    ),
)
