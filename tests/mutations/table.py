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


_POWER = "tests/faults/test_atomic_power_cut.py"

MUTATIONS: tuple[Mutation, ...] = (
    Mutation(
        name="file_sync_removed",
        file="src/holdfast/kit/atomic.py",
        old="    os.fdatasync(descriptor)\n",
        new="    os.fstat(descriptor)\n",
        check=f"{_POWER}::test_a_replaced_file_survives_a_power_cut",
        why="contents that were never synced are empty after a power cut",
    ),
    Mutation(
        name="folder_sync_removed",
        file="src/holdfast/kit/atomic.py",
        old="        os.fsync(descriptor)\n",
        new="        os.fstat(descriptor)\n",
        check=f"{_POWER}::test_a_replaced_file_survives_a_power_cut",
        why="a rename whose folder was never synced is undone by a power cut",
    ),
)
