"""`python -m bench.peers`: the same work on what is installed of GlusterFS and Ceph.

Six nodes on one disk each, 4+2 and three copies; everyone in turn, round by round. What is absent
is named, and that is no failure.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import ceilings, ceph, child, gluster, rows
from bench.__main__ import GIB, RESULTS, machine

KINDS = ("erasure", "replicas")
MEASURES = {"put": "put, durable, MB/s", "get": "get, cold, MB/s", "small": "put 4 KiB, 8 clients, /s"}
OURS = "holdfast"
Figures = dict[str, float]


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    started = time.monotonic()
    found: dict[str, list[float]] = defaultdict(list)
    versions, absent = present()
    with tempfile.TemporaryDirectory(prefix="holdfast-peers-", dir=options.folder) as name:
        settings = rows.Settings(
            folder=Path(name), rounds=options.rounds, total_bytes=int(options.gib * GIB),
            small_count=options.count,
        )
        for _ in range(settings.rounds):
            for kind in KINDS:
                for who, figures in one_round(settings, kind, list(versions)).items():
                    for measure, value in figures.items():
                        found[f"{kind} {measure} {who}"].append(value)
                        print(f"{who} {kind} {measure}: {value:,.0f}", file=sys.stderr, flush=True)
    report: dict[str, Any] = {
        "format": "holdfast.bench-peers/1",
        "at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": machine(options.folder), "versions": versions, "absent": absent,
        "gib": options.gib, "rounds": options.rounds, "figures": found,
        "seconds": round(time.monotonic() - started, 1),
    }
    print(table(found, [OURS, *versions]))
    for who, why in absent.items():
        print(f"not measured: {who}: {why}")
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"peers-{report['at'].replace(':', '')}.json"
    file.write_text(json.dumps(report, indent=1) + "\n")
    print(f"total time {report['seconds']:.0f} s; {file}")
    return 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--gib", type=float, default=1.0, help="bytes of each large put and get")
    parser.add_argument("--count", type=int, default=2000, help="4 KiB objects of each round")
    parser.add_argument("--folder", default="/var/tmp", help="on the disk to measure")
    return parser.parse_args(arguments)


def present() -> tuple[dict[str, str], dict[str, str]]:
    """Versions of the peers that are there, and why the others are not."""
    versions, absent = {}, {}
    for peer in (gluster, ceph):
        why = peer.lacks()
        if why:
            absent[peer.NAME] = why
        else:
            versions[peer.NAME] = peer.version()
    return versions, absent


def one_round(settings: rows.Settings, kind: str, peers: Sequence[str]) -> dict[str, Figures]:
    """Everyone's figures for one kind of protection, one after the other."""
    figures = {OURS: ours(settings, kind)}
    if gluster.NAME in peers:
        figures[gluster.NAME] = of_gluster(settings, kind)
    if ceph.NAME in peers:
        figures[ceph.NAME] = of_ceph(settings, kind)
    return figures


def ours(settings: rows.Settings, kind: str) -> Figures:
    with rows.store(settings) as folder:
        put = rows.large_work(settings, "work.put_large", folder, kind)
        ceilings.forget(folder)
        get = rows.large_work(settings, "work.get_large", folder, kind)
        small = child.run(rows.job("work.put_small", folder=str(folder), name="small",
                                   count=settings.small_count, threads=8, dataset="/" + kind))
    return {"put": rows.mb_s(put), "get": rows.mb_s(get), "small": rows.rate(small)}


def of_gluster(settings: rows.Settings, kind: str) -> Figures:
    with contextlib.ExitStack() as stack:
        daemon = stack.enter_context(gluster.running(settings.folder / "gluster"))
        inside = stack.enter_context(daemon.volume(kind))
        mount = str(daemon.mount_point)
        large = {"folder": mount, "total": settings.total_bytes, "files": settings.objects,
                 "threads": settings.threads}
        put = child.run(child.Job(work="plain.put_files", arguments=large, inside=inside))
        ceilings.forget(settings.folder)
        get = child.run(child.Job(work="plain.get_files", arguments=large, inside=inside))
        few = {"folder": mount, "name": "small", "count": settings.small_count, "threads": 8}
        small = child.run(child.Job(work="plain.put_small", arguments=few, inside=inside))
    return {"put": rows.mb_s(put), "get": rows.mb_s(get), "small": rows.rate(small)}


def of_ceph(settings: rows.Settings, kind: str) -> Figures:
    seconds = max(3, int(settings.total_bytes / 200e6))
    with contextlib.ExitStack() as stack:
        cluster = stack.enter_context(ceph.running(settings.folder / "ceph"))
        pool = stack.enter_context(cluster.pool(kind))
        put = cluster.bench(pool, "write", seconds=seconds)
        ceilings.forget(settings.folder)
        get = cluster.bench(pool, "seq", seconds=seconds)
        small = cluster.bench(pool, "write", seconds=3, object_bytes=4096)
    return {"put": put * (4 << 20) / 1e6, "get": get * (4 << 20) / 1e6, "small": small}


def table(found: dict[str, list[float]], who: Sequence[str]) -> str:
    """Medians side by side, and how many times the best peer we are."""
    lines = [("protection", "measure", *who, "holdfast / best peer")]
    for kind in KINDS:
        for measure, title in MEASURES.items():
            medians = [statistics.median(found[f"{kind} {measure} {one}"]) for one in who]
            ratio = f"{medians[0] / max(medians[1:]):.1f}" if medians[1:] else "-"
            shown = (f"{value:,.0f}" for value in medians)
            lines.append((kind, title, *shown, ratio))
    widths = [max(len(line[at]) for line in lines) for at in range(len(lines[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


if __name__ == "__main__":
    sys.exit(main())
