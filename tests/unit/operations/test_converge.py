from __future__ import annotations

import dataclasses

import pytest
from tests.unit.operations import stores

from holdfast import errors
from holdfast.engines import api
from holdfast.kit import clock
from holdfast.model import observation, outcome, plan, spec
from holdfast.operations import context, converge


class Scripted:
    """A control plane that answers `execute` from a list."""

    def __init__(self, engine: api.Engine, answers: list[outcome.Outcome]) -> None:
        self.engine = engine
        self.answers = answers
        self.executed: list[str] = []

    def observe(self, deadline: api.Deadline) -> observation.Observation:
        return self.engine.control.observe(deadline)

    def plan(self, desired: spec.Spec, observed: observation.Observation) -> plan.Plan:
        return self.engine.control.plan(desired, observed)

    def execute(self, step: api.Step, deadline: api.Deadline) -> outcome.Outcome:
        self.executed.append(step.id)
        return self.answers.pop(0)


@dataclasses.dataclass
class Wrapped:
    engine: api.Engine
    control: Scripted

    @property
    def data(self) -> api.DataPlane:
        return self.engine.data

    @property
    def capabilities(self) -> api.Capabilities:
        return self.engine.capabilities

    def open(self) -> None:
        self.engine.open()

    def close(self) -> None:
        self.engine.close()


def scripted(*kinds: outcome.OutcomeKind) -> tuple[context.Context, Scripted]:
    answers = [outcome.Outcome(kind=kind, code="x.why", message="because") for kind in kinds]
    held: list[Scripted] = []

    def wrap(engine: api.Engine) -> api.Engine:
        held.append(Scripted(engine, answers))
        return Wrapped(engine, held[0])

    ctx = stores.make(wrap=wrap, time=clock.FakeClock())
    return ctx, held[0]


STEPS = plan.Plan(
    steps=tuple(plan.Step(id=name, verb="do", target=name, reason="it must be") for name in "ab")
)
DONE, WAITING = outcome.OutcomeKind.DONE, outcome.OutcomeKind.WAITING


def test_a_step_that_waits_is_executed_again_until_it_is_done() -> None:
    ctx, control = scripted(WAITING, WAITING, DONE, DONE)
    told: list[converge.Applied] = []

    converge.apply(ctx, STEPS, told.append)

    assert control.executed == ["a", "a", "a", "b"]
    assert [one.step.target for one in told] == ["a", "b"]


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (outcome.OutcomeKind.REFUSED, errors.RefusedError),
        (outcome.OutcomeKind.FAILED, errors.HoldfastError),
    ],
    ids=["refused", "failed"],
)
def test_the_first_step_that_is_not_done_stops_the_rest(
    kind: outcome.OutcomeKind, error: type[errors.HoldfastError]
) -> None:
    ctx, control = scripted(kind, DONE)

    with pytest.raises(error) as caught:
        converge.apply(ctx, STEPS, lambda _: None)

    assert type(caught.value) is error
    assert (caught.value.code, control.executed) == ("x.why", ["a"])
    assert "because" in str(caught.value)


def test_several_refusals_are_named_together() -> None:
    rows = tuple(
        plan.Refusal(target=name, code=f"{name}.bad", message="no", hint="") for name in "ab"
    )

    with pytest.raises(errors.RefusedError) as caught:
        converge.check_applicable(plan.Plan(refusals=rows))

    assert caught.value.fields["targets"] == ("a", "b")
    assert caught.value.fields["codes"] == ("a.bad", "b.bad")


def test_only_the_plan_that_was_accepted_is_applied() -> None:
    converge.check_digest(STEPS, STEPS.digest)

    with pytest.raises(errors.RefusedError) as caught:
        converge.check_digest(STEPS, "0" * 16)

    assert STEPS.digest in str(caught.value)
