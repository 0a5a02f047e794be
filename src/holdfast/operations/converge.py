"""Bring the store to what the user's file asks for: observe, plan, apply.

A plan with a refusal is never applied. What was planned and what is applied are the same: `apply`
takes the plan itself, and `check_digest` refuses a plan that is not the one that was accepted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from holdfast import errors
from holdfast.kit import clock
from holdfast.model import outcome, plan
from holdfast.operations import context

OBSERVE_S = 30.0
STEP_S = 10.0
WAIT_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """A step that was done, and how much it did."""

    step: plan.Step
    done: int
    unit: str


def make_plan(ctx: context.Context) -> plan.Plan:
    """What would be done. Changes nothing."""
    observed = ctx.engine.control.observe(clock.Deadline(OBSERVE_S, ctx.clock))
    return ctx.engine.control.plan(ctx.spec, observed)


def check_digest(made: plan.Plan, wanted: str) -> None:
    """Raises RefusedError when `made` is not the plan that was accepted."""
    if made.digest != wanted:
        raise errors.RefusedError(
            "apply.plan_changed", "the plan is {digest} now, not {wanted}",
            hint="look at it again with holdfast plan, then: holdfast apply --plan {digest}",
            digest=made.digest, wanted=wanted,
        )


def check_applicable(made: plan.Plan) -> None:
    """Raises RefusedError when the plan holds a refusal: the one that there is, or all by name."""
    if not made.refusals:
        return
    if len(made.refusals) == 1:
        only = made.refusals[0]
        raise errors.RefusedError(only.code, only.message, hint=only.hint, **only.fields)
    raise errors.RefusedError(
        "plan.refused", "the plan has {count} refusals: {targets}",
        hint="holdfast plan shows why, and what to change in the file",
        count=len(made.refusals), targets=tuple(one.target for one in made.refusals),
        codes=tuple(one.code for one in made.refusals),
    )


def apply(
    ctx: context.Context, made: plan.Plan, tell: Callable[[Applied], None]
) -> tuple[Applied, ...]:
    """Do the steps of a plan in order; `tell` is called after each.

    Stops at the first step that is refused or fails: RefusedError, or HoldfastError with the
    step's own code; what was done before it stays, and a new plan goes on from there.
    """
    check_applicable(made)
    meter = ctx.meter("apply", total=len(made.steps), unit="steps")
    done = []
    for step in made.steps:
        ctx.check()
        result = _execute(ctx, step)
        applied = Applied(step=step, done=result.done, unit=result.unit)
        tell(applied)
        done.append(applied)
        meter.add(1)
    meter.finish()
    return tuple(done)


def _execute(ctx: context.Context, step: plan.Step) -> outcome.Outcome:
    while True:
        result = ctx.engine.control.execute(step, clock.Deadline(STEP_S, ctx.clock))
        if result.kind is outcome.OutcomeKind.DONE:
            return result
        if result.kind is outcome.OutcomeKind.REFUSED:
            raise errors.RefusedError(
                result.code, "{verb} {target} was refused: {reason}",
                hint="holdfast plan shows what is left to do",
                verb=step.verb, target=step.target, reason=result.message,
            )
        if result.kind is outcome.OutcomeKind.FAILED:
            raise errors.HoldfastError(
                result.code, "{verb} {target} failed: {reason}",
                hint="mend the cause, then run holdfast apply again: it goes on from here",
                verb=step.verb, target=step.target, reason=result.message,
            )
        ctx.check()
        ctx.clock.sleep(WAIT_S)
