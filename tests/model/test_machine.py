"""Every engine against the memory engine; the memory engine against a dict."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import hypothesis
import pytest
from hypothesis.stateful import run_state_machine_as_test

from holdfast.engines import api, around, memory
from holdfast.model import spec
from tests.conformance import engines
from tests.model import machine, subjects

T = TypeVar("T")

# Explaining a failure traces every line, which takes longer than finding it.
PHASES = (hypothesis.Phase.generate, hypothesis.Phase.shrink)
QUICK = hypothesis.settings(
    max_examples=40,
    stateful_step_count=30,
    derandomize=True,
    database=None,
    deadline=None,
    phases=PHASES,
    suppress_health_check=list(hypothesis.HealthCheck),
)
# An engine on disks takes some 30 ms a step.
QUICK_ON_DISK = hypothesis.settings(QUICK, max_examples=8)
SOAK = hypothesis.settings(QUICK, max_examples=3000, stateful_step_count=60, derandomize=False)
HUNT = hypothesis.settings(QUICK, max_examples=300, phases=[hypothesis.Phase.generate])


def machine_of(
    factory: engines.Factory, oracle_of: Callable[[spec.Spec], subjects.Subject]
) -> type[machine.StoreMachine]:
    members = {"factory": staticmethod(factory), "oracle_of": staticmethod(oracle_of)}
    return type("Machine", (machine.StoreMachine,), members)


def machine_for(name: str) -> type[machine.StoreMachine]:
    """The memory engines cannot be their own oracle."""
    oracle_of = subjects.DictOracle if name.startswith("memory") else subjects.memory_oracle
    return machine_of(engines.FACTORIES[name], oracle_of)


@pytest.mark.timeout(300)  # to shrink what fails; what passes takes some seconds
@pytest.mark.parametrize("name", sorted(engines.FACTORIES))
def test_an_engine_does_what_its_oracle_does(name: str) -> None:
    settings = QUICK if name.startswith("memory") else QUICK_ON_DISK
    run_state_machine_as_test(machine_for(name), settings=settings)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", sorted(engines.FACTORIES))
def test_an_engine_does_what_its_oracle_does_for_long(name: str) -> None:
    run_state_machine_as_test(machine_for(name), settings=SOAK)


class Forgetting(around.Around):
    """Says that it did a verb, and did not."""

    def __init__(self, forgotten: str) -> None:
        self._forgotten = forgotten

    def call(self, verb: str, work: Callable[[], T]) -> T:
        if verb == self._forgotten:
            return None  # type: ignore[return-value] # nobody looks at what it gives
        return work()


class WrongByte(around.Around):
    """Stores a long source with its last byte wrong."""

    def source(self, verb: str, source: api.Source) -> api.Source:
        assert isinstance(source, bytes)
        return source[:-1] + b"\x00" if len(source) > 4096 else source


BROKEN: dict[str, around.Around] = {
    "a put that is lost": Forgetting("put"),
    "a delete that is lost": Forgetting("delete"),
    "a rename that is lost": Forgetting("rename"),
    "an append that is lost": Forgetting("append"),
    "a folder that is lost": Forgetting("make_folder"),
    "a folder that stays": Forgetting("remove_folder"),
    "a snapshot that is lost": Forgetting("create_snapshot"),
    "a snapshot that stays": Forgetting("remove_snapshot"),
    "a byte that is wrong": WrongByte(),
}


@pytest.mark.parametrize("broken", sorted(BROKEN))
def test_an_engine_that_errs_is_caught(broken: str) -> None:
    def factory(_folder: Path, asked: spec.Spec) -> engines.Opened:
        engine = around.Wrapper(memory.MemoryEngine(asked), BROKEN[broken])
        engine.open()

        def again() -> api.Engine:
            engine.open()
            return engine

        return engines.Opened(spec=asked, engine=engine, again=again)

    with pytest.raises(AssertionError):
        run_state_machine_as_test(machine_of(factory, subjects.DictOracle), settings=HUNT)
