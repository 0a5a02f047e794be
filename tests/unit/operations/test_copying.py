from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest
from tests.unit.operations import stores

from holdfast import errors
from holdfast.engines import api
from holdfast.kit import clock
from holdfast.model import spec
from holdfast.operations import context, copying, crew, get, local, paths, put


def fill(folder: Path, files: int, size: int = 100) -> Path:
    folder.mkdir()
    for number in range(files):
        (folder / f"{number:05}").write_bytes(os.urandom(size))
    return folder


def test_thousands_of_small_files_and_large_ones_arrive_whole(tmp_path: Path) -> None:
    ctx = stores.make()
    source = fill(tmp_path / "many", 1500)
    for number in range(3):
        (source / f"large{number}").write_bytes(os.urandom(spec.SMALL_BYTES_MAX + 1 + number))

    stored = put.put(ctx, [str(source)], "/data")
    got = get.get(ctx, ["/data/many"], str(tmp_path / "out"))

    assert (stored.objects, got.objects) == (1503, 1503)
    assert stored.size_bytes == got.size_bytes
    for path in source.iterdir():
        assert (tmp_path / "out" / "many" / path.name).read_bytes() == path.read_bytes()


def test_progress_counts_bytes_up_to_the_total(tmp_path: Path) -> None:
    told: list[context.Progress] = []
    ctx = stores.make(progress=told.append)
    source = fill(tmp_path / "many", 10, size=1000)

    put.put(ctx, [str(source)], "/data")

    assert (told[-1].phase, told[-1].done, told[-1].total) == ("put", 10_000, 10_000)
    assert told[-1].rate > 0


def test_a_cancelled_put_stops_at_a_whole_object(tmp_path: Path) -> None:
    ctx = stores.make()
    source = fill(tmp_path / "many", 2000)

    def cancel_soon(item: copying.Item) -> None:
        ctx.cancel.set()

    with pytest.raises(context.Cancelled):
        put.put(ctx, [str(source)], "/data", copying.Options(tell=cancel_soon))

    stored = list(ctx.engine.data.list_objects("/data"))
    assert 0 < len(stored) < 2000
    assert {one.size_bytes for one in stored} == {100}


def test_a_cancelled_get_leaves_no_half_file(tmp_path: Path) -> None:
    ctx = stores.make()
    ctx.engine.data.put("/data/large", os.urandom(20 << 20))
    ctx.cancel.set()

    with pytest.raises(context.Cancelled):
        get.get(ctx, ["/data/large"], str(tmp_path / "out"))

    assert list(tmp_path.iterdir()) == []


def test_a_full_quota_stops_everything_at_once(tmp_path: Path) -> None:
    ctx = stores.make()
    source = fill(tmp_path / "many", 20, size=200_000)
    told: list[copying.Item] = []

    with pytest.raises(errors.RefusedError) as caught:
        put.put(ctx, [str(source)], "/tiny", copying.Options(tell=told.append))

    assert caught.value.code == "quota.full"
    assert len(told) < 20
    assert sum(one.size_bytes for one in ctx.engine.data.list_objects("/tiny")) <= 300_000


def test_what_is_there_already_is_left_out_and_the_rest_is_put(tmp_path: Path) -> None:
    ctx = stores.make()
    source = fill(tmp_path / "many", 3)
    ctx.engine.data.put("/data/many/00001", b"mine")

    report = put.put(ctx, [str(source)], "/data")

    (item,) = report.left_out
    assert item.error is not None
    assert (report.objects, item.target, item.error.code) == (2, "/data/many/00001", "object.exists")
    with pytest.raises(errors.PartialError) as caught:
        report.raise_if_partial()
    assert (caught.value.exit_code, caught.value.fields["left_out"]) == (3, 1)
    assert caught.value.fields["codes"] == ("object.exists",)


def test_one_single_refusal_is_raised_as_itself(tmp_path: Path) -> None:
    ctx = stores.make()
    (tmp_path / "x").write_bytes(b"x")
    ctx.engine.data.put("/data/x", b"mine")

    with pytest.raises(errors.RefusedError) as caught:
        put.put(ctx, [str(tmp_path / "x")], "/data").raise_if_partial()

    assert caught.value.code == "object.exists"


def test_an_unreadable_file_is_left_out(tmp_path: Path) -> None:
    ctx = stores.make()
    source = fill(tmp_path / "many", 2)
    entries = list(local.scan(str(source), "/data/many"))
    (source / "00000").unlink()

    work = put._Put(ctx, copying.DEFAULT, tally := copying.Tally(copying.ignore_item),
                    ctx.meter("put", total=0, unit="bytes"))
    work.put_small([one for one in entries if one.kind is local.LocalKind.FILE])

    report = tally.report(0.0)
    (item,) = report.left_out
    assert item.error is not None
    assert (report.objects, item.error.code) == (1, "local.missing")


def test_a_file_that_grew_large_meanwhile_is_still_stored_whole(tmp_path: Path) -> None:
    ctx = stores.make()
    source = fill(tmp_path / "many", 1)
    (entry,) = (one for one in local.scan(str(source), "/data/many") if one.size_bytes)
    (source / "00000").write_bytes(bytes(spec.SMALL_BYTES_MAX + 5))

    work = put._Put(ctx, copying.DEFAULT, copying.Tally(copying.ignore_item),
                    ctx.meter("put", total=0, unit="bytes"))
    work.put_small([entry])

    assert ctx.engine.data.stat("/data/many/00000").size_bytes == spec.SMALL_BYTES_MAX + 5


def test_two_gets_never_overwrite_each_other(tmp_path: Path) -> None:
    target = tmp_path / "x"

    with (
        pytest.raises(errors.RefusedError) as caught,
        local.arriving(str(target), overwrite=False, sync=False) as descriptor,
    ):
        os.write(descriptor, b"mine")
        target.write_bytes(b"theirs")

    assert caught.value.code == "local.exists"
    assert target.read_bytes() == b"theirs"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_file_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "x"

    with pytest.raises(ValueError), local.arriving(str(target), overwrite=True, sync=True) as file:
        os.write(file, b"half")
        assert not target.exists()
        raise ValueError

    assert list(tmp_path.iterdir()) == []


def test_a_crew_runs_a_bounded_number_and_raises_the_first_error() -> None:
    busy, most, lock = 0, 0, threading.Lock()

    def task() -> None:
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        time.sleep(0.005)
        with lock:
            busy -= 1

    with crew.Crew("test", 3) as team:
        for _ in range(30):
            team.submit(task)

    assert 1 < most <= 3

    def fail() -> None:
        raise ValueError("first")

    done: list[int] = []
    with pytest.raises(ValueError, match="first"), crew.Crew("test", 1) as team:
        team.submit(fail)
        for number in range(10):
            team.submit(lambda number=number: done.append(number))  # type: ignore[misc]

    assert done == []


def test_a_meter_tells_rate_and_time_left() -> None:
    time = clock.FakeClock()
    told: list[context.Progress] = []
    ctx = stores.make(progress=told.append, time=time)
    meter = ctx.meter("put", total=100, unit="bytes")

    time.advance(1.0)
    meter.add(20)
    meter.add(5)

    (progress,) = told  # not more than ten times a second
    assert (progress.done, progress.rate, progress.eta_s) == (20, 20.0, 4.0)


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("/data/*", ["/data/a.jpg", "/data/b.txt", "/data/sub"]),
        ("/data/?.jpg", ["/data/a.jpg"]),
        ("/data/[ab].*", ["/data/a.jpg", "/data/b.txt"]),
        ("/data/*/*.jpg", ["/data/sub/c.jpg"]),
        ("/*/a.jpg", ["/data/a.jpg"]),
        ("/data/.h*", ["/data/.hidden"]),
        ("/data/we*ird", ["/data/we*ird"]),
    ],
)
def test_globs_match_as_in_a_shell(pattern: str, found: list[str]) -> None:
    ctx = stores.make()
    for name in ("a.jpg", "b.txt", "sub/c.jpg", ".hidden"):
        ctx.engine.data.put(f"/data/{name}", b"")
    if "weird" in pattern.replace("*", ""):
        ctx.engine.data.put("/data/we*ird", b"")
        ctx.engine.data.put("/data/weXird", b"")

    assert [info.path for info in paths.expand(ctx.engine.data, [pattern])] == found


def test_an_engine_without_extras_still_puts(tmp_path: Path) -> None:
    class Plain:
        """Only the eleven methods."""

        def __init__(self, engine: api.Engine) -> None:
            self.data = engine.data
            self.control = engine.control
            self.capabilities = engine.capabilities
            self.open = engine.open
            self.close = engine.close

    ctx = stores.make(wrap=Plain)
    source = fill(tmp_path / "many", 5)

    report = put.put(ctx, [str(source)], "/data")

    assert (report.objects, report.folders) == (5, 0)
