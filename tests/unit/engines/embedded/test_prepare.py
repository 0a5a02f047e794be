"""Making a store, and adding a node, may be cut short at any step and begun again."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support import embedded as stores
from tests.unit.engines.embedded import catalog_cases as cases
from tests.unit.engines.embedded import log_cases

from holdfast import errors
from holdfast.engines.embedded import engine as embedded
from holdfast.engines.embedded import sentinel, store
from holdfast.kit import atomic, clock
from holdfast.model import outcome, spec, topology


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with cases.memory_folder(tmp_path) as made:
        yield made


def wanted_in(folder: Path, count: int = 3) -> spec.Spec:
    return dataclasses.replace(
        stores.with_nodes(folder, cases.ASKED, count), state=str(folder / "state"))


def apply(wanted: spec.Spec) -> None:
    """What `holdfast apply` does. Refusals are errors."""
    one = embedded.EmbeddedEngine(wanted, tuning=cases.TUNING)
    try:
        planned = one.control.plan(wanted, one.control.observe(clock.Deadline(30)))
        assert planned.refusals == ()
        for step in planned.steps:
            result = one.control.execute(step, clock.Deadline(30))
            assert result.kind is outcome.OutcomeKind.DONE, result
    finally:
        one.close()


def works(wanted: spec.Spec) -> bool:
    one = embedded.EmbeddedEngine(wanted, tuning=cases.TUNING)
    one.open()
    one.put("/data/x", b"x", overwrite=True)
    with one.get("/data/x") as source:
        read = source.read() == b"x"
    whole = all(node.health.value == "up" and node.state == "active"
                for node in one.control.observe(clock.Deadline(30)).nodes)
    one.close()
    return read and whole


def test_making_a_store_may_be_cut_short_at_any_step(folder: Path) -> None:
    for nth in range(1, 1000):
        wanted = wanted_in(folder / str(nth))
        log_cases.crash_at(nth)
        try:
            apply(wanted)
        except log_cases.Crashed:
            atomic.set_hook(None)
        else:
            break
        finally:
            atomic.set_hook(None)

        apply(wanted)

        assert works(wanted), nth
    assert nth > 60


def test_making_a_store_may_be_cut_short_again_and_again(folder: Path) -> None:
    wanted = wanted_in(folder)
    for nth in (70, 3, 41, 66, 80, 12, 90):
        log_cases.crash_at(nth)
        try:
            apply(wanted)
        except log_cases.Crashed:
            pass
        finally:
            atomic.set_hook(None)

    apply(wanted)

    assert works(wanted)


def test_the_store_of_a_preparation_that_was_given_up_is_forgotten(folder: Path) -> None:
    wanted = wanted_in(folder)
    log_cases.crash_at(55)  # its log is begun, its nodes are not finished
    with pytest.raises(log_cases.Crashed):
        apply(wanted)
    atomic.set_hook(None)

    apply(wanted)

    found = store.find(wanted)
    header = store.newest_header(found)
    assert header is not None
    assert len({path.read_bytes()[16:32] for path in folder.glob("d*/log/*.log")}) == 1


def test_folders_with_somebody_elses_files_are_never_touched(folder: Path) -> None:
    wanted = wanted_in(folder)
    (folder / "d2" / "thesis.tex").write_text("years of work")
    before = cases.snapshot_of(folder)
    one = embedded.EmbeddedEngine(wanted)
    planned = one.control.plan(wanted, one.control.observe(clock.Deadline(30)))

    assert [(refusal.target, refusal.code) for refusal in planned.refusals] == [
        ("d2", "node.not_empty")]
    assert planned.steps == ()
    assert cases.snapshot_of(folder) == before


def test_a_file_that_appears_after_the_plan_stops_the_preparation(folder: Path) -> None:
    wanted = wanted_in(folder)
    one = embedded.EmbeddedEngine(wanted)
    planned = one.control.plan(wanted, one.control.observe(clock.Deadline(30)))
    (folder / "d2" / "thesis.tex").write_text("years of work")
    before = cases.snapshot_of(folder)

    result = one.control.execute(planned.steps[0], clock.Deadline(30))

    assert result.kind is outcome.OutcomeKind.REFUSED
    assert cases.snapshot_of(folder) == before


def test_a_store_opens_when_the_last_sentinels_were_not_written(folder: Path) -> None:
    wanted = wanted_in(folder)
    apply(wanted)
    for name in ("d1", "d3"):
        looked = sentinel.look(folder / name).sentinel
        assert looked is not None
        sentinel.write(folder / name,
                       dataclasses.replace(looked, generation=sentinel.PREPARING))

    assert works(wanted)


def test_a_copied_node_is_refused(folder: Path) -> None:
    wanted = wanted_in(folder)
    apply(wanted)
    (folder / "d2" / "holdfast.node").write_bytes((folder / "d1" / "holdfast.node").read_bytes())

    with pytest.raises(errors.RefusedError) as raised:
        store.find(wanted)

    assert raised.value.code == "node.cloned"


def test_swapped_disks_are_found_by_their_uuid(folder: Path) -> None:
    wanted = wanted_in(folder)
    apply(wanted)
    (folder / "d1").rename(folder / "x")
    (folder / "d2").rename(folder / "d1")
    (folder / "x").rename(folder / "d2")

    assert works(wanted)


def test_a_store_on_two_nodes_needs_both_to_write_and_one_to_read(folder: Path) -> None:
    two = dataclasses.replace(cases.ASKED, datasets=(
        dataclasses.replace(cases.ASKED.datasets[0], protection=topology.replicas(2)),))
    wanted = dataclasses.replace(
        stores.with_nodes(folder, two, 2), state=str(folder / "state"))
    apply(wanted)
    one = embedded.EmbeddedEngine(wanted, tuning=cases.TUNING)
    one.open()
    one.put("/data/x", b"x")
    one.close()
    (folder / "d2").rename(folder / "away")

    one.open()
    with one.get("/data/x") as source:
        read = source.read()
    with pytest.raises(errors.UnavailableError) as raised:
        one.make_folder("/data/more")
    one.close()

    assert read == b"x"
    assert raised.value.code == "log.needs_both"
