from __future__ import annotations

import io

import pytest
from tests.support.faulty import Fault, Faulty, Moment

from holdfast import errors
from holdfast.engines import api, memory
from holdfast.kit import clock
from holdfast.model import objects, spec, topology


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


def there(engine: api.Engine) -> list[str]:
    return [one.path for one in engine.data.list_objects("/")]


def test_a_fault_before_leaves_nothing(engine: memory.MemoryEngine) -> None:
    broken = Faulty(engine, Fault(verb="put"))

    with pytest.raises(errors.UnavailableError):
        broken.data.put("/data/a", b"x")

    assert there(engine) == []
    assert broken.broken == 1


def test_a_fault_after_hides_what_was_done(engine: memory.MemoryEngine) -> None:
    broken = Faulty(engine, Fault(verb="put", moment=Moment.AFTER))

    with pytest.raises(errors.UnavailableError):
        broken.data.put("/data/a", b"x")

    assert there(engine) == ["/data/a"]


def test_only_the_calls_that_are_meant_break(engine: memory.MemoryEngine) -> None:
    broken = Faulty(engine, Fault(verb="put", first=1, times=2))
    came = []

    for number in range(5):
        try:
            broken.data.put(f"/data/{number}", b"x")
        except errors.UnavailableError:
            came.append(number)

    assert came == [1, 2]
    assert there(engine) == ["/data/0", "/data/3", "/data/4"]


@pytest.mark.parametrize("source", [b"x" * 100_000, io.BytesIO(b"x" * 100_000)])
def test_a_source_breaks_on_the_way(engine: memory.MemoryEngine, source: api.Source) -> None:
    broken = Faulty(engine, Fault(verb="put", moment=Moment.SOURCE, at=50_000))

    with pytest.raises(errors.UnavailableError):
        broken.data.put("/data/a", source)

    assert there(engine) == []


def test_one_item_of_a_batch_breaks(engine: memory.MemoryEngine) -> None:
    broken = Faulty(engine, Fault(verb="put_many", moment=Moment.SOURCE, first=1))
    items = [api.PutItem(path=f"/data/{n}", source=b"x") for n in range(3)]

    told = list(api.need(broken, api.BatchPut).put_many(items))

    assert [isinstance(one, objects.ObjectInfo) for one in told] == [True, False, True]
    assert there(engine) == ["/data/0", "/data/2"]


def test_a_get_breaks_on_the_way(engine: memory.MemoryEngine) -> None:
    engine.data.put("/data/a", b"x" * 100_000)
    broken = Faulty(engine, Fault(verb="get", moment=Moment.MIDWAY, at=50_000))

    with broken.data.get("/data/a") as stream:
        assert stream.read(40_000) == b"x" * 40_000
        with pytest.raises(errors.UnavailableError):
            stream.read()


def test_a_get_gives_a_wrong_byte(engine: memory.MemoryEngine) -> None:
    engine.data.put("/data/a", b"\x00" * 5)
    broken = Faulty(engine, Fault(verb="get", moment=Moment.FLIP, at=2))

    with broken.data.get("/data/a") as stream:
        assert stream.read() == b"\x00\x00\xff\x00\x00"


def test_a_listing_ends_early_with_an_error(engine: memory.MemoryEngine) -> None:
    for number in range(5):
        engine.data.put(f"/data/{number}", b"x")
    broken = Faulty(engine, Fault(verb="list_objects", moment=Moment.MIDWAY, at=3))
    seen = []

    with pytest.raises(errors.UnavailableError):
        for one in broken.data.list_objects("/data"):
            seen.append(one.path)  # noqa: PERF401 - what came before the error counts

    assert seen == ["/data/0", "/data/1", "/data/2"]


def test_a_slow_call_only_takes_longer(engine: memory.MemoryEngine) -> None:
    time = clock.FakeClock()
    slow = Faulty(engine, Fault(verb="put", error=None, delay_s=30), time=time)
    started_s = time.monotonic_s()

    slow.data.put("/data/a", b"x")

    assert time.monotonic_s() - started_s == pytest.approx(30)
    assert there(engine) == ["/data/a"]


def test_the_error_is_the_one_asked_for(engine: memory.MemoryEngine) -> None:
    broken = Faulty(engine, Fault(verb="stat", error=lambda: OSError(5, "disk")))

    with pytest.raises(OSError, match="disk"):
        broken.data.stat("/data")
