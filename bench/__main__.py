"""`python -m bench`: measure, print a table, write JSON to bench/results."""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import itertools
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import ceilings, figures, rows
from bench.figures import Sample

RESULTS = Path(__file__).parent / "results"
GIB = 1 << 30


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-", dir=options.folder) as folder:
        settings = settings_of(options, Path(folder))
        if not options.quick:
            print(f"warmed {ceilings.warm_memory() / GIB:.1f} GiB of memory", file=sys.stderr)
        samples = measure(settings, chosen_groups(options.rows))
    report: dict[str, Any] = {
        "format": "holdfast.bench/1",
        "at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": machine(options.folder),
        "settings": {**dataclasses.asdict(settings), "folder": options.folder},
        "seconds": round(time.monotonic() - started, 1),
        "rows": summaries(samples),
    }
    print(figures.table(report["rows"]))
    print(f"total time {report['seconds']:.0f} s; {write_report(report)}")
    return 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line; defaults are the promised sizes."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    names = [row.name for row in rows.ROWS]
    parser.add_argument("--rows", nargs="+", metavar="ROW", default=list(rows.GROUPS),
                        choices=[*rows.GROUPS, *names],
                        help="groups or rows: " + ", ".join([*rows.GROUPS, *names]))
    parser.add_argument("--rounds", type=int, default=5, help="how often each pair alternates")
    parser.add_argument("--scale", type=float, default=1.0,
                        help="share of the promised sizes and counts")
    parser.add_argument("--quick", action="store_true", help="--scale 0.02 --rounds 1")
    parser.add_argument("--threads", type=int, default=2, help="large objects at once")
    parser.add_argument("--batch-count", type=int, help="records of the batch, and of the big store")
    parser.add_argument("--batch-source", choices=("tree", "memory"), default="tree",
                        help="whether the batch reads the files that cp -r copies")
    parser.add_argument("--folder", default="/var/tmp", help="on the disk to measure")
    return parser.parse_args(arguments)


def settings_of(options: argparse.Namespace, folder: Path) -> rows.Settings:
    """Counts and sizes at the chosen scale."""
    scale = 0.02 if options.quick else options.scale
    base = rows.Settings(folder=folder)
    return dataclasses.replace(
        base,
        rounds=1 if options.quick else options.rounds,
        total_bytes=max(192 << 20, int(base.total_bytes * scale)),
        threads=options.threads,
        small_count=max(640, int(base.small_count * scale)),
        batch_count=options.batch_count or max(2000, int(base.batch_count * scale)),
        batch_source=options.batch_source,
        few_count=max(1000, int(base.few_count * scale)),
        probes=max(200, int(base.probes * scale)),
    )


def chosen_groups(names: Sequence[str]) -> list[str]:
    """A row stands for the group that it is measured in."""
    return [
        group
        for group, (_, members) in rows.GROUPS.items()
        if group in names or any(member in names for member in members)
    ]


def measure(settings: rows.Settings, groups: Sequence[str]) -> list[Sample]:
    """All samples, and the peak of their processes as one more."""
    samples: list[Sample] = []
    for group in groups:
        started = time.monotonic()
        rounds = rows.GROUPS[group][0](settings)
        for found in itertools.islice(rounds, settings.rounds):
            samples += found
            shown = ", ".join(f"{one.row} {one.measured:,.4g}/{one.reference:,.4g}" for one in found)
            print(f"{group}: {shown}", file=sys.stderr, flush=True)
        rounds.close()  # type: ignore[attr-defined] # a generator: its stores go away now
        print(f"{group}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    peak = max((sample.peak_bytes for sample in samples), default=0)
    if peak:
        samples.append(Sample(row="peak_memory", reference=1.0, measured=peak / rows.MIB,
                              peak_bytes=peak))
    return samples


def summaries(samples: Sequence[Sample]) -> list[dict[str, Any]]:
    return [
        figures.summary(row, [sample for sample in samples if sample.row == row.name])
        for row in rows.ROWS
        if any(sample.row == row.name for sample in samples)
    ]


def machine(folder: str) -> dict[str, Any]:
    """What a reader needs to compare."""
    memory = Path("/proc/meminfo").read_text().splitlines()[0].split()[1]
    load = os.getloadavg()
    return {
        "system": platform.platform(), "python": platform.python_version(),
        "cores": os.cpu_count(), "memory_bytes": int(memory) * 1024,
        "load_1_min": round(load[0], 2), "folder": folder, "root": os.geteuid() == 0,
    }


def write_report(report: dict[str, Any]) -> Path:
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"bench-{report['at'].replace(':', '')}.json"
    file.write_text(json.dumps(report, indent=1) + "\n")
    return file


if __name__ == "__main__":
    sys.exit(main())
