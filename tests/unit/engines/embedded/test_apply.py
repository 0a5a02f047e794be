"""The index is the same whether its records were applied live or from the log, and its books agree."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.engines.embedded import index_books
from tests.unit.engines.embedded.index_books import Books, Recorded

from holdfast import errors
from holdfast.engines.embedded import changes, collect, names

OBJECT = 1 << 62
_names = st.sampled_from(["a", "b", "f/a", "f/b", "f/g/a", "f", "f/g", "h"])
_datasets = st.sampled_from([1, 2])
_snapshots = st.sampled_from(["s1", "s2", "s3"])


@dataclasses.dataclass(frozen=True)
class Op:
    verb: str
    dataset: int = 1
    path: str = ""
    other: str = ""
    size: int = 0


ops = st.one_of(
    st.builds(Op, st.just("small"), _datasets, _names, size=st.integers(0, 90)),
    st.builds(Op, st.just("large"), _datasets, _names, size=st.integers(1, 3)),
    st.builds(Op, st.just("append"), _datasets, _names, size=st.integers(1, 3)),
    st.builds(Op, st.just("append small"), _datasets, _names, size=st.integers(1, 90)),
    st.builds(Op, st.sampled_from(["delete", "folder"]), _datasets, _names),
    st.builds(Op, st.just("rename"), _datasets, _names, _names),
    st.builds(Op, st.sampled_from(["snapshot", "unsnapshot"]), _datasets, _snapshots),
    st.builds(Op, st.sampled_from(["seal", "compact", "collect"]), _datasets),
)


class Player:
    """Makes requests of drawn operations, as the engine would after having stored the bytes."""

    def __init__(self) -> None:
        self.books = Books()
        self.open = {1: 0, 2: 0}
        self.ends: dict[int, int] = {}
        self.made: set[tuple[int, int]] = set()
        self.collected: set[tuple[int, int]] = set()
        self._next = 0

    def request(self, op: Op) -> list[Any]:
        dataset = self.books.dataset(op.dataset)
        path = f"{dataset.path}/{op.path}"
        makers: dict[str, Callable[[], list[Any]]] = {
            "small": lambda: self._small(op, dataset, path),
            "large": lambda: self._large(op, dataset, path),
            "append": lambda: self._append(op, dataset, path),
            "append small": lambda: self._append(op, dataset, path),
            "delete": lambda: [changes.Delete(dataset, path, recursive=True)],
            "folder": lambda: [changes.MakeFolder(dataset, path)],
            "rename": lambda: [changes.Rename(dataset, path, f"{dataset.path}/{op.other}")],
            "snapshot": lambda: [changes.Snapshot(dataset.name, op.path, 0)],
            "unsnapshot": lambda: [changes.Unsnapshot(dataset.name, op.path)],
            "seal": lambda: self._seal(op.dataset),
            "collect": self._collect,
            "compact": lambda: self._moves(op.dataset),
        }
        return makers[op.verb]()

    def _small(self, op: Op, dataset: names.Dataset, path: str) -> list[Any]:
        change = self._put(dataset, path, op.size)
        change.content = ["segment", *self._record(op.dataset, op.size)] if op.size else None
        return [*self._announced(op.dataset), change]

    def _large(self, op: Op, dataset: names.Dataset, path: str) -> list[Any]:
        change = self._put(dataset, path, op.size * 10)
        change.content = ["object", OBJECT | self._id(), self._shards(dataset, op.size)]
        return [change]

    def _seal(self, dataset: int) -> list[Any]:
        number, self.open[dataset] = self.open[dataset], 0
        return [Recorded(["seal", number])] if number else []

    def _put(self, dataset: names.Dataset, path: str, size: int) -> changes.Put:
        return changes.Put(
            dataset, path, size=size, modified_ns=0, digest=b"d", attributes=None, overwrite=True)

    def _append(self, op: Op, dataset: names.Dataset, path: str) -> list[Any]:
        connection = self.books.connection
        entry = names.find(connection, names.Place(
            path, dataset, tuple(one.encode() for one in op.path.split("/"))))
        if entry is None or entry.kind != names.SHARDED:
            return []
        announce = []
        if op.verb == "append":
            shards = self._shards(dataset, op.size)
        else:
            number, position, end = self._record(op.dataset, op.size)
            shards = [["segment", number, position, op.size, b"d", end]]
            announce = self._announced(op.dataset)
        return [*announce, changes.Append(
            dataset, path, entry.object, at_size=None, modified_ns=0, shards=shards)]

    def _shards(self, dataset: names.Dataset, count: int) -> list[Any]:
        made = []
        owner = OBJECT | self._id()
        for number in range(count):
            self.made.add((owner, number))
            made.append(["piece", 10, b"d", dataset.protection, self._next % 4,
                         index_books.NODES, owner, number])
        return made

    def _announced(self, dataset: int) -> list[Any]:
        number = self.open[dataset]
        if self.books.applier.segment_is_open(number):
            return []
        return [Recorded(["segment", number, dataset, "replicas 2", 1, [1, 2]])]

    def _record(self, dataset: int, size: int) -> tuple[int, int, int]:
        if not self.open[dataset]:
            self.open[dataset] = self._id()
            self.ends[self.open[dataset]] = 4096
        number = self.open[dataset]
        position = self.ends[number]
        self.ends[number] = position + size + 48
        return number, position, self.ends[number]

    def _moves(self, dataset: int) -> list[Any]:
        """Empty every sealed segment of the dataset, as compaction does."""
        records: list[tuple[Any, ...]] = self.books.connection.execute(
            "SELECT e.segment, e.position, e.size FROM entries AS e JOIN segments AS s "
            "ON s.id=e.segment WHERE s.sealed=1 AND s.dataset=? UNION "
            "SELECT h.segment, h.position, h.length FROM shards AS h JOIN segments AS s "
            "ON s.id=h.segment WHERE s.sealed=1 AND s.dataset=?", (dataset, dataset)).fetchall()
        moves = [[number, position, *self._record(dataset, size)]
                 for number, position, size in records]
        return [*self._announced(dataset), *(changes.Move([one]) for one in moves)] if moves else []

    def _collect(self) -> list[Any]:
        rows: list[tuple[Any, ...]] = self.books.connection.execute(
            "SELECT id, object, number FROM garbage").fetchall()
        self.collected |= {(shard, number) for _, shard, number in rows if number >= 0}
        numbers = [row[0] for row in rows]
        return [collect.Intent(numbers), collect.Done(numbers)]

    def _id(self) -> int:
        self._next += 1
        return self._next


@settings(max_examples=120, deadline=None)
@given(st.lists(st.lists(ops, min_size=1, max_size=3), max_size=25), st.integers(1, 7))
def test_a_rebuilt_index_equals_the_one_that_grew(
    batches: list[list[Op]], frames_at_once: int
) -> None:
    player = Player()

    for batch in batches:
        for op in batch:
            player.books.commit(player.request(op))

    grown = index_books.dump(player.books.connection)
    assert index_books.dump(player.books.rebuilt(1)) == grown
    assert index_books.dump(player.books.rebuilt(frames_at_once)) == grown
    assert index_books.dump(player.books.rebuilt(1000)) == grown
    assert index_books.wrong_sums(player.books.connection) == []


@settings(max_examples=120, deadline=None)
@given(st.lists(ops, max_size=40))
def test_nothing_is_freed_while_it_is_seen_and_everything_once_it_is_not(drawn: list[Op]) -> None:
    player = Player()
    snapshots: dict[tuple[int, str], index_books.View] = {}

    for op in drawn:
        told = player.books.commit(player.request(op))
        if op.verb == "snapshot" and told == [None]:
            snapshots[op.dataset, op.path] = player.books.view(op.dataset)
        elif op.verb == "unsnapshot" and told == [None]:
            del snapshots[op.dataset, op.path]

    connection = player.books.connection
    for (dataset, name), seen in snapshots.items():
        txn = connection.execute("SELECT txn FROM snapshots WHERE dataset=? AND name=?",
                                 (dataset, name)).fetchone()
        assert txn is not None
        assert player.books.view(dataset, txn[0]) == seen
    needed = index_books.pieces_of(connection)
    waiting = set(connection.execute("SELECT object, number FROM garbage WHERE number>=0"))
    refused = player.made - needed - waiting - player.collected
    assert not needed & (waiting | player.collected)
    assert not waiting & player.collected
    assert all(_was_refused(player, piece) for piece in refused)


def _was_refused(player: Player, piece: tuple[int, int]) -> bool:
    """No record of the log ever named the piece."""
    return not any(
        str(piece[0]) in str(record) for frame in player.books.frames for record in frame)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (1, 2, 0)])
def test_snapshots_may_go_in_any_order(order: tuple[int, ...]) -> None:
    player = Player()
    run = player.books
    for number in range(3):
        run.commit(player.request(Op("large", path="a", size=2)))
        run.commit(player.request(Op("small", path=f"f/{number}", size=9)))
        run.commit(player.request(Op("snapshot", path=f"s{number}")))
    run.commit(player.request(Op("delete", path="a")))
    run.commit(player.request(Op("delete", path="f")))

    for number in order:
        run.commit(player.request(Op("unsnapshot", path=f"s{number}")))
        assert index_books.wrong_sums(run.connection) == []

    assert run.connection.execute("SELECT count(*) FROM entries").fetchone() == (0,)
    assert index_books.pieces_of(run.connection) == set()
    garbage = set(run.connection.execute("SELECT object, number FROM garbage"))
    assert garbage == player.made


def test_what_was_appended_goes_when_only_a_snapshot_of_less_is_left() -> None:
    player = Player()
    run = player.books
    run.commit(player.request(Op("large", path="a", size=1)))
    kept = set(player.made)
    run.commit(player.request(Op("snapshot", path="s1")))
    run.commit(player.request(Op("append", path="a", size=2)))

    run.commit(player.request(Op("delete", path="a")))

    assert index_books.pieces_of(run.connection) == kept
    assert index_books.wrong_sums(run.connection) == []


def test_what_was_appended_twice_after_a_snapshot_goes_as_one() -> None:
    player = Player()
    run = player.books
    run.commit(player.request(Op("large", path="a", size=1)))
    kept = set(player.made)
    run.commit(player.request(Op("snapshot", path="s1")))
    run.commit(player.request(Op("append", path="a", size=2)))
    run.commit(player.request(Op("append", path="a", size=3)))
    assert index_books.wrong_sums(run.connection) == []

    run.commit(player.request(Op("delete", path="a")))

    assert index_books.pieces_of(run.connection) == kept
    assert index_books.wrong_sums(run.connection) == []
    run.commit(player.request(Op("unsnapshot", path="s1")))
    assert index_books.pieces_of(run.connection) == set()


@pytest.mark.parametrize("others", [False, True], ids=["empty", "with another record"])
def test_a_record_in_a_sealed_segment_is_refused_and_not_lost(others: bool) -> None:
    player = Player()
    if others:
        player.books.commit(player.request(Op("small", path="h", size=5)))
    late = player.request(Op("small", path="a", size=5))
    player.books.commit(late[:-1])
    player.books.commit([Recorded(["seal", player.open[1]])])

    told = player.books.commit(late[-1:])

    assert isinstance(told[0], errors.UnavailableError)
    assert told[0].code == "commit.segment_lost"
    assert set(player.books.view(1)) == ({"/h"} if others else set())


def test_sealing_twice_makes_garbage_once() -> None:
    player = Player()
    player.books.commit(player.request(Op("small", path="a", size=5)))
    player.books.commit(player.request(Op("delete", path="a")))
    number = player.open[1]

    player.books.commit([Recorded(["seal", number]), Recorded(["seal", number])])

    assert player.books.connection.execute("SELECT object FROM garbage").fetchall() == [(number,)]


def test_a_batch_that_is_rolled_back_leaves_nothing_in_memory() -> None:
    player = Player()
    books = player.books
    books.commit(player.request(Op("small", path="f/a", size=5)))
    before = index_books.dump(books.connection)
    books.connection.execute("BEGIN IMMEDIATE")
    for request in player.request(Op("large", path="g/a", size=2)):
        for record in request.prepare(books.applier):
            books.applier.apply(record)
    books.connection.execute("ROLLBACK")

    books.applier.reload()
    books.commit([Recorded(["folder", 1, [b"g"]])])

    assert books.applier.datasets[1].objects == 1
    assert before["entries"][0] in index_books.dump(books.connection)["entries"]
    assert index_books.dump(books.rebuilt(9)) == index_books.dump(books.connection)


def test_pieces_that_were_placed_anew_are_counted_there() -> None:
    player = Player()
    books = player.books
    books.commit(player.request(Op("large", path="a", size=2)))
    entry = names.find(books.connection, names.Place("/1/a", books.dataset(1), (b"a",)))
    assert entry is not None

    books.commit([Recorded(["place", entry.object, 10, [3, 2, 1]])])

    assert index_books.wrong_sums(books.connection) == []
    nodes = {row[0] for row in books.connection.execute("SELECT nodes FROM layouts WHERE bytes>0")}
    assert nodes == {"1,2,3", "3,2,1"}


def test_nodes_members_and_tables_are_kept_as_they_were_last_told() -> None:
    books = Books()

    books.commit([Recorded(
        ["store", "s", "c", 16, 2], ["node", 1, "u", "n", "d", 9, "active", 0],
        ["node", 1, "u", "n", "d", 9, "removed", 0], ["members", [1], 2], ["members", [1, 2], 1],
        ["table", "replicas 2", 1, b"x"], ["table", "replicas 2", 2, b"y"],
        ["image", 7, b"h", 8])])

    tables = index_books.dump(books.connection)
    assert tables["nodes"] == [(1, "u", "n", "d", 9, "removed", 0)]
    assert tables["members"] == [(1,), (2,)]
    assert tables["tables"] == [("replicas 2", 2, b"y")]
    assert ("tolerated", 1) in tables["meta"]
