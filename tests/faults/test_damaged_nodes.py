"""Nodes that are damaged or gone, on plain folders: right bytes, or an error, never wrong ones."""

from __future__ import annotations

import contextlib
import itertools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from holdfast import errors
from holdfast.engines.embedded import engine as embedded
from holdfast.engines.embedded import piece, segment_writer
from holdfast.model import spec
from tests.support import embedded_target
from tests.support.workload import content, content_id

pytestmark = pytest.mark.fault

NODES = tuple(f"d{number}" for number in range(1, 7))
OBJECTS = {
    "/data/small": (3000, 1), "/data/large": (600_000, 2),
    "/media/small": (4000, 3), "/media/large": (1_500_000, 4),
}
STEP_BYTES = 1024
TRAILER_BYTES = 8192


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Closed; with OBJECTS, at rest."""
    folder = embedded_target.prepare(tmp_path_factory.mktemp("damaged") / "store")
    with opened(folder) as engine:
        for path, (size, seed) in OBJECTS.items():
            engine.put(path, content(seed, size))
    return folder


@pytest.mark.parametrize("pair", list(itertools.combinations(NODES, 2)), ids="-".join)
def test_two_garbled_nodes_hurt_no_read(store: Path, pair: tuple[str, str]) -> None:
    with spoiled(store, pair, garble):
        assert read_all(store) == expected()


@pytest.mark.parametrize("pair", list(itertools.combinations(NODES, 2)), ids="-".join)
def test_two_nodes_with_garbled_contents_under_good_headers_hurt_no_read(
    store: Path, pair: tuple[str, str]
) -> None:
    with spoiled(store, pair, garble_contents):
        assert read_all(store) == expected()


@pytest.mark.parametrize("pair", list(itertools.combinations(NODES, 2)), ids="-".join)
def test_two_nodes_gone_hurt_no_read(store: Path, pair: tuple[str, str]) -> None:
    with spoiled(store, pair, shutil.rmtree):
        assert read_all(store) == expected()


@pytest.mark.parametrize("three", list(itertools.combinations(NODES, 3))[::3], ids="-".join)
def test_three_garbled_nodes_give_errors_but_never_wrong_bytes(
    store: Path, three: tuple[str, ...]
) -> None:
    with spoiled(store, three, garble):
        seen = read_all(store)

    right = expected()
    assert [path for path, found in seen.items() if found not in (right[path], "error")] == []
    assert "error" in seen.values()


@pytest.mark.parametrize("three", list(itertools.combinations(NODES, 3))[1::4], ids="-".join)
def test_what_three_missing_nodes_held_is_reported_and_back_with_them(
    store: Path, three: tuple[str, ...]
) -> None:
    with spoiled(store, three, shutil.rmtree):
        seen = read_all(store)

    assert seen["/media/large"] == "error"
    assert read_all(store) == expected()


@pytest.mark.parametrize("pair", list(itertools.combinations(NODES, 2))[::4], ids="-".join)
def test_with_two_nodes_gone_writing_goes_on(store: Path, pair: tuple[str, str]) -> None:
    with spoiled(store, pair, shutil.rmtree), opened(store) as engine:
        info = engine.put("/data/meanwhile", content(9, 400_000))
        with engine.get("/data/meanwhile") as source:
            seen = content_id(source.read())

    assert seen == content_id(content(9, 400_000))
    assert info.margin is not None


def test_without_a_majority_of_the_log_nothing_is_accepted(store: Path) -> None:
    members = sorted(node for node in NODES if (store / node / "log" / "lock").exists())
    gone = tuple(members[: len(members) // 2 + 1])

    with (
        spoiled(store, gone, shutil.rmtree),
        pytest.raises(errors.HoldfastError) as caught,
        opened(store) as engine,
    ):
        engine.put("/data/unsafe", b"must not be acknowledged")

    assert caught.value.exit_code in (5, 7)
    assert read_all(store) == expected()


@contextlib.contextmanager
def spoiled(
    store: Path, names: tuple[str, ...], act: Callable[[Path], object]
) -> Iterator[None]:
    """Nodes treated badly for the length of a block, then everything as it was before."""
    copy = store.with_name("copy")
    shutil.copytree(store, copy)
    try:
        for name in names:
            act(store / name)
        yield
    finally:
        shutil.rmtree(store)
        copy.rename(store)


@contextlib.contextmanager
def opened(store: Path) -> Iterator[embedded.EmbeddedEngine]:
    engine = embedded.EmbeddedEngine(wanted(store), tuning=embedded_target.TUNING)
    engine.open()
    try:
        yield engine
    finally:
        engine.close()


def wanted(store: Path) -> spec.Spec:
    """The store's own wishes; folders of nodes that are gone are not made again."""
    gone = [node for node in NODES if store.exists() and not (store / node).exists()]
    asked = embedded_target.specification(store)
    for node in gone:
        (store / node).rmdir()
    return asked


def read_all(store: Path) -> dict[str, str]:
    """What is read of each object; `error` where the store says that it cannot."""
    seen = {}
    with opened(store) as engine:
        for path in OBJECTS:
            try:
                with engine.get(path) as source:
                    seen[path] = content_id(source.read())
            except (errors.IntegrityError, errors.UnavailableError):
                seen[path] = "error"
    return seen


def expected() -> dict[str, str]:
    return {path: content_id(content(seed, size)) for path, (size, seed) in OBJECTS.items()}


def garble(node: Path) -> None:
    """Flip a bit in every KiB of what the node stores; its place in the store stays known."""
    for file in stored_files(node):
        flip(file, 500, file.stat().st_size)


def garble_contents(node: Path) -> None:
    """The same, but not in the header at the start and the trailer at the end of a file."""
    for file in stored_files(node):
        trailer = 0 if file.parent.name == segment_writer.FOLDER else TRAILER_BYTES
        flip(file, piece.BODY_AT + 500, file.stat().st_size - trailer)


def stored_files(node: Path) -> list[Path]:
    return [
        file for file in node.rglob("*")
        if file.is_file() and file.parent.name != "log" and file.parent != node
    ]


def flip(file: Path, start: int, end: int) -> None:
    data = bytearray(file.read_bytes())
    for offset in range(start, end, STEP_BYTES):
        data[offset] ^= 0x10
    file.write_bytes(data)
