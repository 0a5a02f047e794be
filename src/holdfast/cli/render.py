"""Results of operations as words, lines and tables. The only place that makes sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from holdfast import errors
from holdfast.cli import table
from holdfast.cli.output import Output
from holdfast.kit import clock, language, units
from holdfast.model import notice, objects, observation
from holdfast.model import snapshot as snapshotting
from holdfast.operations import copying, names
from holdfast.operations import datasets as sets
from holdfast.operations import explain as explaining

if TYPE_CHECKING:
    from holdfast.config import render as rendering

_ = language.text
UNKNOWN = "-"
DONE_WORDS = {
    "put": language.mark("stored {objects} objects, {size} in {time} ({rate}/s)"),
    "get": language.mark("got {objects} objects, {size} in {time} ({rate}/s)"),
    "mv": language.mark("moved {objects}"),
    "rm": language.mark("removed {objects}"),
}
ONE_DONE_WORDS = {
    "put": language.mark("stored 1 object, {size} in {time} ({rate}/s)"),
    "get": language.mark("got 1 object, {size} in {time} ({rate}/s)"),
}
WORDS = (  # values of enums, as they are shown
    language.mark("object"), language.mark("folder"),
    language.mark("up"), language.mark("read_only"), language.mark("unmounted"),
    language.mark("foreign"), language.mark("stale"), language.mark("failing"),
    language.mark("new"),
    language.mark("active"), language.mark("draining"), language.mark("out"),
    language.mark("removed"),
    language.mark("replica"), language.mark("data"), language.mark("parity"),
)


def sentence(template: str, fields: Mapping[str, errors.Field]) -> str:
    """A template in the reader's language, filled."""
    return errors.fill(_(template), fields)


def told(found: notice.Notice) -> str:
    return sentence(found.message, found.fields)


def item_teller(out: Output) -> Callable[[copying.Item], None]:
    """Tells of each item as it is done: lines of JSON, or a note for what was left out."""

    def tell(item: copying.Item) -> None:
        if out.json:
            out.event("item", item)
        elif item.error is not None:
            out.item_left_out(item)

    return tell


def copied(out: Output, report: copying.Report, verb: str) -> None:
    out.event("result", report)
    if report.objects or not report.left_out:
        out.say(_copied(report, verb))
    for warning in report.warnings:
        out.note(_("warning: {message}").format(message=told(warning)))


def _copied(report: copying.Report, verb: str) -> str:
    rate = report.size_bytes / report.elapsed_s if report.elapsed_s > 0 else 0.0
    return sentence(
        (ONE_DONE_WORDS if report.objects == 1 else DONE_WORDS)[verb],
        {
            "objects": report.objects, "size": units.show_size(report.size_bytes),
            "time": units.show_duration(report.elapsed_s), "rate": units.show_size(rate),
        },
    )


def changed(out: Output, report: copying.Report, verb: str) -> None:
    out.event("result", report)
    out.say(sentence(DONE_WORDS[verb], {"objects": report.objects}))


def listed(out: Output, *, long: bool) -> Callable[[objects.ObjectInfo], None]:
    """Prints an entry of a listing."""

    def show(info: objects.ObjectInfo) -> None:
        name = info.path + ("/" if info.kind is objects.ObjectKind.FOLDER else "")
        out.line(f"{_long(info)}  {name}" if long else name)

    return show


def described(out: Output, rows: Sequence[names.Described]) -> None:
    for number, row in enumerate(rows):
        if number:
            out.line()
        pairs(out, _facts(row.info))
        if row.shards is not None:
            out.line()
            out.table(
                (_("shard"), _("offset"), _("length"), _("margin"), _("nodes"), _("digest")),
                [_shard_row(one) for one in row.shards],
            )


def pairs(out: Output, rows: Sequence[tuple[str, str]]) -> None:
    """Names and values, one a line."""
    width = max((table.width(name) for name, _value in rows), default=0)
    for name, value in rows:
        out.line(table.pad(f"{name}:", width + 2) + value)


def snapshot_taken(out: Output, taken: snapshotting.SnapshotInfo) -> None:
    out.say(_("snapshot {name} of {dataset}: {root}").format(
        name=taken.name, dataset=taken.dataset, root=taken.root
    ))


def snapshots(out: Output, rows: Sequence[snapshotting.SnapshotInfo]) -> None:
    out.table(
        (_("dataset"), _("name"), _("taken"), _("path")),
        [(one.dataset, one.name, clock.to_rfc3339(one.created_ns), one.root) for one in rows],
    )


def snapshot_deleted(out: Output, dataset_name: str, name: str) -> None:
    out.say(_("removed snapshot {name} of {dataset}").format(name=name, dataset=dataset_name))


def datasets(out: Output, rows: Sequence[sets.DatasetView]) -> None:
    out.table(
        (_("dataset"), _("path"), _("protection"), _("objects"), _("used"), _("quota")),
        [_view_row(one) for one in rows],
    )


def dataset(out: Output, found: sets.DatasetView) -> None:
    wanted, held = found.wanted, found.held
    quota = UNKNOWN if wanted.quota_bytes is None else units.show_size(wanted.quota_bytes)
    rows = [
        (_("dataset"), wanted.name), (_("path"), wanted.path),
        (_("protection"), str(wanted.protection)), (_("profile"), wanted.profile.value),
        (_("quota"), quota),
    ]
    if held is None:
        rows.append((_("state"), _("in the file, but not yet in the store: run holdfast apply")))
    else:
        rows += [
            (_("objects"), fact(held.objects)), (_("used"), size(held.used_bytes)),
            (_("snapshots"), str(held.snapshots)), (_("survives"), survives(held)),
        ]
    pairs(out, rows)


def explanation(out: Output, found: explaining.Explanation) -> None:
    wanted = found.dataset
    out.line(_("{path} is kept as {protection}, as dataset {dataset} asks").format(
        path=found.info.path, protection=wanted.protection, dataset=wanted.name
    ))
    if found.margin is None:
        out.line(_("it is empty: nothing of it lies on any node but its name"))
        return
    out.line(_("failures that it survives now: nodes {nodes}, or whole domains {domains}").format(
        nodes=found.margin, domains=found.domain_margin
    ))
    if wanted.protection.width > 1:
        out.line(_(
            "each shard has {width} pieces on different nodes, spread over the domains as evenly "
            "as they allow"
        ).format(width=wanted.protection.width))
    out.line()
    out.table(
        (_("shard"), _("piece"), _("role"), _("node"), _("domain"), _("health")),
        [
            (
                str(place.shard.number), str(piece.number), _(piece.role),
                piece.node or _("nowhere"), piece.domain, _(piece.health),
            )
            for place in found.shards
            for piece in place.pieces
        ],
    )


def settings(out: Output, rows: Sequence[rendering.Row]) -> None:
    out.table(
        (_("setting"), _("value"), _("from")), [(one.key, one.shown, one.origin) for one in rows]
    )


def _facts(info: objects.ObjectInfo) -> list[tuple[str, str]]:
    rows = [(_("path"), info.path), (_("kind"), _(info.kind.value))]
    if info.kind is objects.ObjectKind.OBJECT:
        rows += [
            (_("size"), f"{units.show_size(info.size_bytes)} ({info.size_bytes})"),
            (_("version"), info.version),
            (_("digest"), info.digest or UNKNOWN),
            (_("margin"), UNKNOWN if info.margin is None else str(info.margin)),
        ]
    if info.modified_ns:
        rows.append((_("modified"), clock.to_rfc3339(info.modified_ns)))
    if info.attributes.mode is not None:
        rows.append((_("mode"), f"{info.attributes.mode:04o}"))
    return rows


def _long(info: objects.ObjectInfo) -> str:
    if info.kind is objects.ObjectKind.FOLDER:
        return f"{UNKNOWN:>2} {UNKNOWN:>14}  {UNKNOWN:<24}"
    margin = UNKNOWN if info.margin is None else str(info.margin)
    return f"{margin:>2} {info.size_bytes:>14}  {clock.to_rfc3339(info.modified_ns):<24}"


def _shard_row(shard: objects.Shard) -> tuple[str, ...]:
    return (
        str(shard.number), str(shard.offset), str(shard.length), str(shard.margin),
        ",".join(node or UNKNOWN for node in shard.nodes), shard.digest,
    )


def _view_row(one: sets.DatasetView) -> tuple[str, ...]:
    quota = one.wanted.quota_bytes
    return (
        one.wanted.name, one.wanted.path, str(one.wanted.protection),
        fact(one.held.objects) if one.held else UNKNOWN,
        size(one.held.used_bytes) if one.held else UNKNOWN,
        UNKNOWN if quota is None else units.show_size(quota),
    )


def survives(one: observation.DatasetObservation) -> str:
    return survivable(one.bytes_by_margin)


def survivable(bytes_by_margin: Iterable[tuple[int, int]]) -> str:
    """`lost: 1.0 MiB; none: 2 B; any 2: 4.0 GiB`: which failures of nodes, the worst first."""
    parts = []
    for margin, size_bytes in sorted(bytes_by_margin):
        size = units.show_size(size_bytes)
        if margin < 0:
            parts.append(_("lost: {size}").format(size=size))
        elif margin == 0:
            parts.append(_("none: {size}").format(size=size))
        else:
            parts.append(_("any {margin}: {size}").format(margin=margin, size=size))
    return "; ".join(parts) or UNKNOWN


def fact(fact: observation.Fact) -> str:
    return str(fact.value) if fact.known else _("unknown")


def size(fact: observation.Fact) -> str:
    if isinstance(fact.value, (int, float)):
        return units.show_size(fact.value)
    return _("unknown")
