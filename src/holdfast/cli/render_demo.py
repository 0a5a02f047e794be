"""The demo's report."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from holdfast.cli import render, render_store, shape
from holdfast.cli.output import Output
from holdfast.kit import language, units
from holdfast.model import notice
from holdfast.operations import demo, demo_traffic

_ = language.text
PHASES = {
    "all_nodes": language.mark("all nodes"),
    "1_destroyed": language.mark("one destroyed"),
    "2_destroyed": language.mark("two destroyed"),
}


def teller(out: Output) -> Callable[[notice.Notice], None]:
    """Tells of each scene when it is over."""

    def tell(found: notice.Notice) -> None:
        out.event("item", found)
        out.say("· " + render.told(found))

    return tell


def report(out: Output, found: demo.Report, *, kept: bool) -> None:
    data = shape.plain(found)
    assert isinstance(data, dict)
    margins = {
        "margins_before": render_store.margins(found.margins_before.items()),
        "margins_after": render_store.margins(found.margins_after.items()),
    }
    out.event("result", {**data, **margins})
    out.line()
    out.table(
        (_("what"), _("objects"), _("size"), _("time"), _("rate"), _("objects/s")),
        [
            (_("put small files, replicas 3"), *_row(found.put_small)),
            (_("put large files, erasure 4+2"), *_row(found.put_large)),
            (_("compare, two nodes gone"), *_row(found.compared)),
        ],
    )
    out.line()
    out.table(
        (_("call"), _("nodes"), _("calls"), _("failed"), _("median"), _("99 %"), _("worst")),
        [*_latencies(_("read"), found.reads), *_latencies(_("write"), found.writes)],
    )
    out.line()
    render.pairs(out, [
        (_("node failures survived before"), render.survivable(found.margins_before.items())),
        (_("and after"), render.survivable(found.margins_after.items())),
    ])
    for difference in found.differences[:10]:
        out.line(f"{difference.path}: {difference.reason}")
    for failure in found.failures[:10]:
        out.line(failure)
    if found.equal:
        out.line(_("every byte is equal, and no read or write failed, in {time}").format(
            time=units.show_duration(found.elapsed_s)
        ))
    if kept:
        out.line(_("kept in {folder}: holdfast -f {folder}/holdfast.yaml status").format(
            folder=found.folder
        ))


def _row(copied: demo.Copied) -> tuple[str, ...]:
    return (
        str(copied.objects), units.show_size(copied.size_bytes),
        units.show_duration(copied.elapsed_s), f"{units.show_size(copied.bytes_per_s)}/s",
        f"{copied.objects_per_s:.0f}",
    )


def _latencies(
    call: str, rows: Sequence[demo_traffic.Latency]
) -> list[tuple[str, ...]]:
    return [
        (
            call, _(PHASES.get(one.phase, one.phase)), str(one.calls), str(one.failed),
            f"{one.median_ms:.1f} ms", f"{one.p99_ms:.1f} ms", f"{one.worst_ms:.1f} ms",
        )
        for one in rows
    ]
