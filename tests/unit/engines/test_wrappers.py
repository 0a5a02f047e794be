from __future__ import annotations

import io
from collections.abc import Callable
from typing import BinaryIO

import pytest
from tests.support import faulty

from holdfast import errors
from holdfast.engines import api, around, memory, wrappers
from holdfast.kit import clock
from holdfast.model import spec, topology

WRAPS: dict[str, Callable[[api.Engine], api.Engine]] = {
    "read-only": wrappers.ReadOnly,
    "measured": wrappers.Measured,
    "throttled": wrappers.Throttled,
}


class Bare:
    """The engine inside, without its extras."""

    def __init__(self, inner: api.Engine) -> None:
        self._inner = inner

    @property
    def capabilities(self) -> api.Capabilities:
        return self._inner.capabilities

    @property
    def data(self) -> api.DataPlane:
        return self._inner.data

    @property
    def control(self) -> api.ControlPlane:
        return self._inner.control

    def open(self) -> None:
        self._inner.open()

    def close(self) -> None:
        self._inner.close()


class BareWithFolders(Bare):
    """And with one extra."""

    def make_folder(self, path: str) -> None:
        api.need(self._inner, api.Folders).make_folder(path)

    def remove_folder(self, path: str) -> None:
        api.need(self._inner, api.Folders).remove_folder(path)


@pytest.fixture
def engine() -> memory.MemoryEngine:
    asked = spec.Spec(
        cluster="c",
        file="/f",
        engine=spec.EngineSpec(kind="memory"),
        datasets=(spec.DatasetSpec(name="data", path="/data", protection=topology.replicas(1)),),
    )
    made = memory.MemoryEngine(asked)
    made.open()
    return made


class Ticks(clock.FakeClock):
    """A clock that goes on by a second each time it is read."""

    def monotonic_s(self) -> float:
        self.advance(1)
        return super().monotonic_s()


class OnlyRead:
    """A source that can do no more than read."""

    def __init__(self, whole: bytes) -> None:
        self._stream = io.BytesIO(whole)

    def read(self, size: int = -1) -> bytes:
        return self._stream.read(size)


def every_extra() -> list[type]:
    return [
        one for one in vars(api).values() if getattr(one, "_is_runtime_protocol", False)
    ]


def test_every_extra_of_the_contract_has_its_part() -> None:
    assert set(around.PARTS) == set(every_extra())
    assert len(around.PARTS) == 7


@pytest.mark.parametrize("wrap", WRAPS)
def test_a_wrapper_has_no_extra_that_the_engine_lacks(
    engine: memory.MemoryEngine, wrap: str
) -> None:
    wrapped = WRAPS[wrap](Bare(engine))

    assert [one for one in every_extra() if api.extra(wrapped, one) is not None] == []


@pytest.mark.parametrize("wrap", WRAPS)
def test_a_wrapper_has_just_the_extra_that_the_engine_has(
    engine: memory.MemoryEngine, wrap: str
) -> None:
    wrapped = WRAPS[wrap](BareWithFolders(engine))

    found = [one for one in every_extra() if api.extra(wrapped, one) is not None]
    assert found == [api.Folders]


def test_wrappers_go_around_each_other(engine: memory.MemoryEngine) -> None:
    measured = wrappers.Measured(engine)
    wrapped = wrappers.ReadOnly(wrappers.Throttled(measured))
    measured.data.put("/data/a", b"x")

    assert isinstance(wrapped, wrappers.ReadOnly)
    assert [one.path for one in wrapped.data.list_objects("/")] == ["/data/a"]
    assert api.extra(wrapped, api.Append) is not None
    assert measured.report()["list_objects"].count == 1


def test_opening_and_closing_reach_the_engine(engine: memory.MemoryEngine) -> None:
    wrapped = wrappers.Measured(engine)

    wrapped.close()
    with pytest.raises(errors.RefusedError, match="is not open"):
        engine.data.stat("/data")
    wrapped.open()

    assert engine.data.stat("/data").path == "/data"


def test_calls_failures_and_bytes_are_counted(engine: memory.MemoryEngine) -> None:
    measured = wrappers.Measured(engine)
    measured.data.put("/data/a", b"x" * 1000)
    measured.data.put("/data/b", io.BytesIO(b"x" * 20_000))
    with pytest.raises(errors.RefusedError):
        measured.data.put("/data", b"")
    with measured.data.get("/data/b", offset=5000) as stream:
        assert len(stream.read()) == 15_000

    report = measured.report()

    put, get = report["put"], report["get"]
    assert (put.count, put.failed, put.bytes_moved) == (3, 1, 21_000)
    assert (get.count, get.failed, get.bytes_moved) == (1, 0, 15_000)
    assert sum(put.buckets) == 3
    assert set(report) == {"put", "get"}


def test_what_the_caller_does_between_two_reads_is_not_counted(
    engine: memory.MemoryEngine,
) -> None:
    time = Ticks()
    measured = wrappers.Measured(engine, time=time)
    engine.data.put("/data/a", b"0123456789")

    with measured.data.get("/data/a") as stream:
        time.advance(1000)
        stream.read()
        time.advance(1000)
    for _ in measured.data.list_objects("/data"):
        time.advance(1000)

    report = measured.report()
    assert 1 < report["get"].seconds < 10
    assert 1 < report["list_objects"].seconds < 10


def test_latencies_fall_into_buckets(engine: memory.MemoryEngine) -> None:
    measured = wrappers.Measured(engine, time=Ticks())

    measured.data.stat("/data")

    report = measured.report()["stat"]
    bound = report.quantile_s(0.5)
    assert report.seconds == pytest.approx(1.0)
    assert bound / 2 < report.seconds <= bound
    assert report.quantile_s(1.0) == bound


def test_a_call_slower_than_all_bounds_falls_into_the_last_bucket(
    engine: memory.MemoryEngine,
) -> None:
    time = clock.FakeClock()
    slow = faulty.Faulty(
        engine, faulty.Fault(verb="stat", error=None, delay_s=1000), time=time
    )
    measured = wrappers.Measured(slow, time=time)

    measured.data.stat("/data")

    assert measured.report()["stat"].quantile_s(0.5) == float("inf")


def test_an_error_of_the_caller_is_no_failure_of_the_engine(engine: memory.MemoryEngine) -> None:
    measured = wrappers.Measured(engine)
    engine.data.put("/data/a", b"x")

    with pytest.raises(LookupError), measured.data.get("/data/a"):
        raise LookupError

    assert measured.report()["get"].failed == 0


def test_extras_and_streams_are_counted_by_verb(engine: memory.MemoryEngine) -> None:
    measured = wrappers.Measured(engine)
    items = [api.PutItem(path=f"/data/{n}", source=b"x" * 10) for n in range(5)]
    list(api.need(measured, api.BatchPut).put_many(items))
    api.need(measured, api.Snapshots).create_snapshot("data", "one")
    api.need(measured, api.Append).append("/data/1", io.BytesIO(b"y" * 7))
    list(api.need(measured, api.Metadata).export_metadata())
    with pytest.raises(errors.NotFoundError):
        list(api.need(measured, api.Changes).changes("data", "two", None))

    report = measured.report()

    told = {verb: (one.count, one.failed, one.bytes_moved) for verb, one in report.items()}
    assert told == {
        "put_many": (1, 0, 50),
        "create_snapshot": (1, 0, 0),
        "append": (1, 0, 7),
        "export_metadata": (1, 0, 0),
        "changes": (1, 1, 0),
    }


@pytest.mark.parametrize(
    "source",
    [b"x" * 100_000, io.BytesIO(b"x" * 100_000), OnlyRead(b"x" * 100_000)],
    ids=["bytes", "stream", "only read"],
)
def test_a_put_keeps_to_the_rate(
    engine: memory.MemoryEngine, source: bytes | BinaryIO
) -> None:
    time = clock.FakeClock()
    throttled = wrappers.Throttled(engine, bytes_per_s=10_000, time=time)
    started_s = time.monotonic_s()

    throttled.data.put("/data/a", source)

    assert time.monotonic_s() - started_s == pytest.approx(9.0)
    assert engine.data.stat("/data/a").size_bytes == 100_000


def test_a_get_keeps_to_the_rate(engine: memory.MemoryEngine) -> None:
    time = clock.FakeClock()
    throttled = wrappers.Throttled(engine, bytes_per_s=10_000, time=time)
    engine.data.put("/data/a", b"x" * 100_000)
    started_s = time.monotonic_s()

    with throttled.data.get("/data/a") as stream:
        assert len(stream.read()) == 100_000

    assert time.monotonic_s() - started_s == pytest.approx(9.0)


def test_operations_keep_to_the_rate_and_items_of_a_batch_count(
    engine: memory.MemoryEngine,
) -> None:
    time = clock.FakeClock()
    throttled = wrappers.Throttled(engine, operations_per_s=10, time=time)
    started_s = time.monotonic_s()

    for _ in range(15):
        throttled.data.stat("/data")
    items = [api.PutItem(path=f"/data/{n}", source=b"") for n in range(10)]
    list(api.need(throttled, api.BatchPut).put_many(items))
    api.need(throttled, api.Folders).make_folder("/data/f")

    assert time.monotonic_s() - started_s == pytest.approx(1.6)


def test_the_control_plane_is_not_held_up(engine: memory.MemoryEngine) -> None:
    time = clock.FakeClock()
    throttled = wrappers.Throttled(engine, operations_per_s=1, time=time)
    started_s = time.monotonic_s()

    for _ in range(100):
        throttled.control.observe(api.Deadline(60))

    assert time.monotonic_s() == started_s


def test_a_source_is_left_open(engine: memory.MemoryEngine) -> None:
    source = io.BytesIO(b"x" * 100)

    wrappers.Measured(wrappers.Throttled(engine)).data.put("/data/a", source)

    assert not source.closed


def test_an_error_of_the_source_passes_through(engine: memory.MemoryEngine) -> None:
    breaking = faulty.Faulty(engine, faulty.Fault(verb="put", moment=faulty.Moment.SOURCE))
    measured = wrappers.Measured(wrappers.Throttled(breaking))

    with pytest.raises(errors.UnavailableError, match="injected by a test"):
        measured.data.put("/data/a", io.BytesIO(b"x"))

    assert measured.report()["put"].failed == 1
