from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.engines.embedded import catalog_cases as cases
from tests.unit.engines.embedded import log_cases

from holdfast.engines.embedded import log_file
from holdfast.kit import atomic

SMALL = dataclasses.replace(cases.TUNING, image_after_bytes=log_file.HEADER_BYTES + 700)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with cases.memory_folder(tmp_path) as made:
        yield made


@pytest.fixture
def store(folder: Path) -> Path:
    """With several images taken on the way; its index is away."""
    made = cases.prepare(folder / "store")
    put(made, 0, 12)
    shutil.rmtree(made / "state")
    return made


def put(store: Path, first: int, end: int) -> None:
    one = cases.open_store(store, tuning=SMALL)
    for number in range(first, end):
        one.put(f"/data/n{number}", b"%d" % number)
    one.close()


def expected(count: int) -> dict[str, bytes]:
    return cases.expected(**{f"n{number}": b"%d" % number for number in range(count)})


def images(store: Path) -> list[Path]:
    return sorted(store.glob("d*/log/image-*.img"))


def numbers(store: Path) -> list[int]:
    return sorted({int(path.stem[6:], 16) for path in images(store)})


def test_two_images_are_kept_and_the_log_from_the_older_one(store: Path) -> None:
    kept = numbers(store)
    firsts = sorted({name.first for path in store.glob("d*")
                     for name in (log_file.list_names(path) if (path / "log").exists() else [])})

    assert len(kept) == 2
    assert firsts[0] == kept[0] + 1
    assert kept[1] + 1 in firsts


def test_a_store_is_rebuilt_from_an_image_and_the_log(store: Path) -> None:
    one = cases.open_store(store)
    seen = cases.contents(one)
    one.close()

    assert seen == expected(12)


def test_the_older_image_stands_in_for_a_damaged_one(store: Path) -> None:
    whole = cases.rebuilt(store)
    newest = numbers(store)[-1]
    for path in images(store):
        if path.stem.endswith(f"{newest:016x}"):
            log_cases.flip(path, path.stat().st_size // 2)

    assert cases.rebuilt(store) == whole


def test_a_damaged_copy_of_an_image_is_passed_over(store: Path) -> None:
    whole = cases.rebuilt(store)
    for path in images(store)[:-2]:
        log_cases.flip(path, 5000)

    assert cases.rebuilt(store) == whole


def test_many_short_openings_take_images_too(folder: Path) -> None:
    made = cases.prepare(folder / "store")
    for number in range(12):
        put(made, number, number + 1)

    assert len(numbers(made)) == 2


@pytest.mark.parametrize("point", ["image.head", "image.write", "image.publish"])
def test_an_image_that_cannot_be_stored_changes_nothing(point: str, folder: Path) -> None:
    made = cases.prepare(folder / "store")
    put(made, 0, 12)
    before = numbers(made)
    one = cases.open_store(made, tuning=dataclasses.replace(SMALL, image_after_bytes=1))

    def hook(name: str) -> None:
        if name == point:
            raise OSError(28, "no space left")

    atomic.set_hook(hook)
    try:
        one.put("/data/n12", b"12")
        with one.opened().catalog.exclusive(None):  # an image is taken after the answer
            failed = one.opened().catalog.image_error
    finally:
        atomic.set_hook(None)
    one.close()

    assert failed is not None
    assert set(before) <= set(numbers(made))
    shutil.rmtree(made / "state")
    again = cases.open_store(made)
    assert cases.contents(again) == expected(13)
    again.close()


def test_a_full_state_disk_refuses_no_change_for_the_sake_of_an_image(folder: Path) -> None:
    made = cases.prepare(folder / "store")
    one = cases.open_store(made, tuning=dataclasses.replace(SMALL, image_after_bytes=1))

    def hook(name: str) -> None:
        if name.startswith("image"):
            raise OSError(28, "no space left")

    atomic.set_hook(hook)
    try:
        one.put("/data/n0", b"0")
        with one.opened().catalog.exclusive(None):
            assert one.opened().catalog.image_error is not None
    finally:
        atomic.set_hook(None)
    seen = cases.contents(one)
    one.close()

    assert seen == expected(1)
    assert list((made / "state").glob("*.tmp")) == []
