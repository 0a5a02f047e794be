"""What is the memory engine's own; what every engine does is in tests/conformance."""

from __future__ import annotations

import dataclasses

import pytest

from holdfast import errors
from holdfast.engines import api, memory
from holdfast.kit import checksum, clock
from holdfast.model import objects, outcome, plan, spec, topology

DATA = spec.DatasetSpec(name="data", path="/data", protection=topology.replicas(2))


def wanted(*datasets: spec.DatasetSpec) -> spec.Spec:
    return spec.Spec(
        cluster="c", file="/f", engine=spec.EngineSpec(kind="memory"), datasets=datasets
    )


def opened(time: clock.Clock = clock.SYSTEM, shard_bytes: int = 10) -> memory.MemoryEngine:
    engine = memory.MemoryEngine(
        wanted(DATA), time=time, shard_bytes=dict.fromkeys(spec.Profile, shard_bytes)
    )
    engine.open()
    return engine


def empty() -> memory.MemoryEngine:
    engine = memory.MemoryEngine(wanted())
    engine.open()
    return engine


def test_times_are_those_of_the_clock() -> None:
    time = clock.FakeClock(1000)
    engine = opened(time)

    first = engine.data.put("/data/a", b"x")
    time.advance(1e-9)
    second = engine.append("/data/a", b"y")
    taken = engine.create_snapshot("data", "one")

    assert (first.modified_ns, second.modified_ns, taken.created_ns) == (1000, 1001, 1001)


def test_a_short_object_has_the_digest_of_its_bytes() -> None:
    info = opened().data.put("/data/a", b"0123456789")

    assert info.digest == "blake3:" + checksum.digest(b"0123456789").hex()


def test_an_object_of_several_shards_has_the_digest_of_their_digests() -> None:
    engine = opened()

    info = engine.data.put("/data/a", b"0123456789abc")

    parts = checksum.digest(b"0123456789") + checksum.digest(b"abc")
    assert info.digest == "blake3-shards:" + checksum.digest(parts).hex()
    assert [(one.offset, one.length, one.nodes) for one in engine.shards("/data/a")] == [
        (0, 10, ("memory",)), (10, 3, ("memory",)),
    ]


def test_an_object_that_grew_is_cut_as_one_that_was_put_whole() -> None:
    engine = opened()
    engine.data.put("/data/a", b"01234567")

    grown = engine.append("/data/a", b"89abc")

    assert grown.digest == engine.data.put("/data/b", b"0123456789abc").digest


def test_shards_are_as_long_as_the_profile_says() -> None:
    media = dataclasses.replace(DATA, name="m", path="/m", profile=spec.Profile.MEDIA)
    sizes = {spec.Profile.GENERAL: 4, spec.Profile.MEDIA: 7, spec.Profile.RECORDS: 1}
    engine = memory.MemoryEngine(wanted(DATA, media), shard_bytes=sizes)
    engine.open()

    for path, longest in (("/data/a", 4), ("/m/a", 7)):
        engine.data.put(path, b"0123456789")
        assert next(iter(engine.shards(path))).length == longest


def test_what_is_held_does_not_follow_the_callers_buffer() -> None:
    engine = opened()
    buffer = bytearray(b"before")
    engine.data.put("/data/a", buffer)

    buffer[:] = b"after!"

    with engine.data.get("/data/a") as stream:
        assert stream.read() == b"before"


def test_it_must_be_opened_first() -> None:
    engine = memory.MemoryEngine(wanted(DATA))

    with pytest.raises(errors.RefusedError) as caught:
        engine.data.put("/data/a", b"x")

    assert caught.value.code == "engine.closed"


def test_it_keeps_what_it_holds_when_closed_and_opened() -> None:
    engine = opened()
    engine.data.put("/data/a", b"x")

    engine.close()
    engine.open()

    assert engine.data.stat("/data/a").size_bytes == 1


def test_a_dataset_may_be_the_whole_store() -> None:
    whole = dataclasses.replace(DATA, path="/")
    engine = memory.MemoryEngine(wanted(whole))
    engine.open()
    engine.data.put("/a/b", b"x")

    assert engine.create_snapshot("data", "one").root == "/.snapshot/one"
    assert [one.path for one in engine.data.list_objects("/", recursive=False)] == ["/a"]
    assert engine.data.stat("/.snapshot/one/a/b").size_bytes == 1
    with pytest.raises(errors.RefusedError, match="is the folder of dataset data"):
        engine.data.delete("/", recursive=True)


def test_a_store_without_datasets_lists_nothing() -> None:
    engine = empty()

    assert list(engine.data.list_objects("/")) == []
    assert engine.data.stat("/").kind is objects.ObjectKind.FOLDER


@pytest.mark.parametrize("path", ["/data/below", "/", "/data"])
def test_datasets_do_not_overlap(path: str) -> None:
    other = dataclasses.replace(DATA, name="other", path=path)

    with pytest.raises(errors.RefusedError) as caught:
        memory.MemoryEngine(wanted(DATA, other))

    assert caught.value.code == "dataset.overlaps"


def test_a_step_that_would_overlap_is_refused() -> None:
    engine = opened()
    other = dataclasses.replace(DATA, name="other", path="/data/below")
    deadline = api.Deadline(10)

    made = engine.control.plan(wanted(DATA, other), engine.control.observe(deadline))
    came = engine.control.execute(made.steps[0], deadline)

    assert (came.kind, came.code) == (outcome.OutcomeKind.REFUSED, "dataset.overlaps")


def test_a_step_that_would_move_a_dataset_is_refused() -> None:
    moved = dataclasses.replace(DATA, path="/other")
    made = opened().control.plan(wanted(moved), empty().control.observe(api.Deadline(10)))

    came = opened().control.execute(made.steps[0], api.Deadline(10))

    assert (came.kind, came.code) == (outcome.OutcomeKind.REFUSED, "dataset.moved")


def test_a_step_that_it_does_not_know_is_refused() -> None:
    step = plan.Step(id="x", verb="prepare_node", target="disk1", reason="")

    came = opened().control.execute(step, api.Deadline(10))

    assert (came.kind, came.code) == (outcome.OutcomeKind.REFUSED, "step.unknown")


def test_a_changed_protection_is_planned_and_adopted() -> None:
    engine = opened()
    deadline = api.Deadline(10)
    desired = wanted(dataclasses.replace(DATA, protection=topology.erasure(2, 1)))

    made = engine.control.plan(desired, engine.control.observe(deadline))
    engine.control.execute(made.steps[0], deadline)

    assert [step.verb for step in made.steps] == ["change_dataset"]
    assert engine.control.observe(deadline).datasets[0].protection == "erasure 2+1"


def test_an_observation_past_its_deadline_is_given_up() -> None:
    with pytest.raises(errors.UnavailableError):
        opened().control.observe(api.Deadline(0))
