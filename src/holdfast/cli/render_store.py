"""Plans, their execution, status and capabilities as words and tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from holdfast import errors
from holdfast.cli import render, shape
from holdfast.cli.output import Output
from holdfast.engines import api
from holdfast.kit import clock, language, units
from holdfast.model import observation
from holdfast.model import plan as planning
from holdfast.operations import converge, initialise
from holdfast.operations import status as judging

_ = language.text
DOERS = {
    api.Doer.HOLDFAST: language.mark("holdfast does it"),
    api.Doer.ENGINE: language.mark("the engine does it when asked"),
    api.Doer.NOBODY: language.mark("nobody does it"),
}
DURABILITIES = {
    api.Durability.SYNCED: language.mark("is on stable storage"),
    api.Durability.ACCEPTED_BY_ALL: language.mark("was accepted by every node"),
    api.Durability.MEMORY: language.mark("is in memory only"),
}


def plan_data(made: planning.Plan) -> dict[str, object]:
    return {
        "digest": made.digest, "steps": [_step_data(one) for one in made.steps],
        "refusals": [_refusal_data(one) for one in made.refusals],
        "warnings": made.warnings, "usable_bytes": made.usable_bytes,
        "applicable": not made.refusals, "converged": not (made.steps or made.refusals),
    }


def plan(out: Output, made: planning.Plan) -> None:
    for step in made.steps:
        out.line(_("{verb} {target}: {reason}").format(
            verb=step.verb, target=step.target, reason=render.sentence(step.reason, step.fields)
        ))
    for refusal in made.refusals:
        fields = refusal.fields
        out.line(_("refused: {target}: {message}").format(
            target=refusal.target, message=render.sentence(refusal.message, fields)
        ))
        out.line(_("hint: {hint}").format(hint=render.sentence(refusal.hint, fields)))
    for warning in made.warnings:
        out.line(_("warning: {message}").format(message=render.told(warning)))
    if made.usable_bytes is not None:
        out.line(_("usable: {size}").format(size=units.show_size(made.usable_bytes)))
    if not made.steps and not made.refusals:
        out.line(_("nothing to do: the store is what the file asks for"))
    elif made.steps:
        out.line(_("plan {digest}; steps: {count}").format(
            digest=made.digest, count=len(made.steps)
        ))


def step_teller(out: Output) -> Callable[[converge.Applied], None]:
    """Tells of each step as it is done."""

    def tell(applied: converge.Applied) -> None:
        out.event("item", applied)
        out.say(f"{applied.step.verb} {applied.step.target}")

    return tell


def applied(out: Output, made: planning.Plan, done: Sequence[converge.Applied]) -> None:
    out.event("result", {"digest": made.digest, "steps_done": len(done)})
    for warning in made.warnings:
        out.note(_("warning: {message}").format(message=render.told(warning)))
    if done:
        out.say(_("done; steps: {count}").format(count=len(done)))
    else:
        out.say(_("nothing to do: the store is what the file asks for"))


def status_data(found: judging.Status) -> dict[str, object]:
    return {
        "healthy": found.healthy,
        "risk": found.risk, "service": found.service, "activity": found.activity,
        "advice": found.advice,
        "bytes_by_margin": margins(judging.bytes_by_margin(found.seen).items()),
        "observation": {
            **_mapping(shape.plain(found.seen)),
            "datasets": [
                {**_mapping(shape.plain(one)), "bytes_by_margin": margins(one.bytes_by_margin)}
                for one in found.seen.datasets
            ],
        },
    }


def status(out: Output, found: judging.Status) -> None:
    seen = found.seen
    render.pairs(out, [
        (_("healthy"), _("yes") if found.healthy else _("no")),
        (_("can data be lost"), render.told(found.risk)),
        (_("can it be used"), render.told(found.service)),
        (_("under way"), render.told(found.activity)),
        *((_("to do"), render.told(one)) for one in found.advice),
    ])
    out.line()
    out.table(
        (_("node"), _("health"), _("state"), _("domain"), _("used"), _("free"), _("path")),
        [_node_row(one) for one in seen.nodes],
    )
    out.line()
    out.table(
        (_("dataset"), _("protection"), _("objects"), _("used"), _("survives"), _("path")),
        [_dataset_row(one) for one in seen.datasets],
    )
    out.line(_("as of {time}; usable {size}").format(
        time=clock.to_rfc3339(seen.at_ns), size=render.size(seen.usable_bytes)
    ))


def capabilities(out: Output, found: api.Capabilities) -> None:
    render.pairs(out, capability_rows(found))


def capability_rows(found: api.Capabilities) -> list[tuple[str, str]]:
    """What the engine does by itself, in words; also the table of the README."""
    rows = [
        (_("redundancy"), found.redundancy), (_("scrub"), found.scrub), (_("heal"), found.heal),
        (_("rebalance"), found.rebalance), (_("snapshots"), found.snapshot),
        (_("erasure coding"), found.erasure), (_("quota"), found.quota), (_("append"), found.append),
    ]
    yes, no = _("yes"), _("no")
    return [
        *((name, _(DOERS[who])) for name, who in rows),
        (_("an acknowledged put"), _(DURABILITIES[found.durability])),
        (_("atomic rename"), yes if found.atomic_rename else no),
        (_("empty folders"), yes if found.folders else no),
        (_("attributes"), ", ".join(sorted(found.attributes))),
    ]


def initialised(out: Output, written: initialise.Initialised) -> None:
    out.say(_("wrote {file}").format(file=written.file))
    for message in written.explanation:
        text = render.sentence(message.template, message.fields)
        if message.code.startswith(initialise.WARNING_PREFIX):
            out.note(_("warning: {message}").format(message=text))
        else:
            out.say(text)
    out.say(_("next: look at it, then holdfast plan and holdfast apply"))


def index_rebuilt(out: Output, found: Mapping[str, object]) -> None:
    out.say(_("the index was made anew from {frames} records of the commit log: {path}").format(
        frames=found["frames"], path=found["path"]
    ))


def _step_data(step: planning.Step) -> dict[str, shape.Json]:
    reason = errors.fill(step.reason, step.fields)
    return {**_mapping(shape.plain(step)), "reason": reason}


def _refusal_data(refusal: planning.Refusal) -> dict[str, shape.Json]:
    return {
        **_mapping(shape.plain(refusal)),
        "message": errors.fill(refusal.message, refusal.fields),
        "hint": errors.fill(refusal.hint, refusal.fields),
    }


def _node_row(node: observation.NodeObservation) -> tuple[str, ...]:
    return (
        node.name, _(node.health.value), _(node.state), "/".join(node.domain) or render.UNKNOWN,
        render.size(node.used_bytes), render.size(node.free_bytes), node.path,
    )


def _dataset_row(one: observation.DatasetObservation) -> tuple[str, ...]:
    return (
        one.name, one.protection, render.fact(one.objects), render.size(one.used_bytes), render.survives(one),
        one.path,
    )


def margins(rows: Iterable[tuple[int, int]]) -> list[dict[str, int]]:
    return [{"margin": margin, "bytes": size_bytes} for margin, size_bytes in rows]


def _mapping(value: shape.Json) -> dict[str, shape.Json]:
    assert isinstance(value, dict)
    return value
