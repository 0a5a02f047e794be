"""The rows of the promise and how each is measured, round by round, next to its reference."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from bench import ceilings, child
from bench.figures import Row, Sample

MIB = 1 << 20

ROWS: tuple[Row, ...] = (
    Row(name="put_erasure", title="put, erasure 4+2, durable", unit="MB/s", reference="W",
        share=1 / 1.5, floor=0.40, aim=0.70),
    Row(name="put_replicas", title="put, replicas 3, durable", unit="MB/s", reference="W",
        share=1 / 3, floor=0.50, aim=0.80),
    Row(name="get_erasure", title="get, erasure 4+2, cold", unit="MB/s", reference="R",
        floor=0.75, aim=0.95),
    Row(name="get_replicas", title="get, replicas 3, cold", unit="MB/s", reference="R",
        floor=0.75, aim=0.95),
    Row(name="small_8", title="put 4 KiB, replicas 3, 8 threads", unit="/s",
        reference="plain files, 8 threads", floor=0.4, aim=1.0),
    Row(name="small_64", title="put 4 KiB, replicas 3, 64 threads", unit="/s",
        reference="plain files, 64 threads", floor=1.5, aim=5.0),
    Row(name="small_processes", title="put 4 KiB, 4 processes of 8 threads", unit="/s",
        reference="one process, 8 threads", floor=0.8, aim=1.5),
    Row(name="batch", title="batch ingest of 4 KiB records", unit="/s", reference="cp -r, synced",
        floor=0.6, aim=1.5),
    Row(name="per_object_put", title="cost of a put in a big store", unit="ms",
        reference="in a small store", floor=1.3, aim=1.05, higher=False),
    Row(name="per_object_stat", title="cost of a stat in a big store", unit="ms",
        reference="in a small store", floor=1.3, aim=1.05, higher=False),
    Row(name="per_object_page", title="cost of a listing page in a big store", unit="ms",
        reference="in a small store", floor=1.3, aim=1.05, higher=False),
    Row(name="memory_flat", title="peak memory of a big object", unit="MiB",
        reference="of a small object", floor=1.25, aim=1.05, higher=False),
    Row(name="capacity_replicas", title="usable on mixed nodes, replicas 3", unit="TB",
        reference="optimum", floor=0.97, aim=0.99),
    Row(name="capacity_erasure", title="usable on mixed nodes, erasure 4+2", unit="TB",
        reference="optimum", floor=0.97, aim=0.99),
    Row(name="peak_memory", title="peak memory of all of these", unit="MiB", reference="-",
        floor=256, aim=128, higher=False, absolute=True),
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How much work, and where. `threads` read or write large objects at once."""

    folder: Path
    rounds: int = 5
    total_bytes: int = 4 << 30
    objects: int = 8
    threads: int = 2
    small_count: int = 16_000
    batch_count: int = 1_000_000
    batch_source: str = "tree"
    few_count: int = 10_000
    probes: int = 2_000


Round = Iterator[list[Sample]]


def large(settings: Settings) -> Round:
    """W, then puts; R, then gets: of both protections."""
    while True:
        samples = []
        with scratch(settings, "ceilings") as folder:
            seconds = ceilings.write_s(folder, settings.total_bytes)
            write = settings.total_bytes / min(seconds.values()) / 1e6
            means = min(seconds, key=lambda name: seconds[name])
            read = settings.total_bytes / ceilings.read_s(folder, settings.total_bytes) / 1e6
        for dataset in ("erasure", "replicas"):
            with store(settings) as folder:
                put = large_work(settings, "work.put_large", folder, dataset)
                ceilings.forget(folder)
                get = large_work(settings, "work.get_large", folder, dataset)
            samples += [
                Sample(row=f"put_{dataset}", reference=write, measured=mb_s(put),
                       peak_bytes=put.peak_bytes, note=f"W by {means} writes"),
                Sample(row=f"get_{dataset}", reference=read, measured=mb_s(get),
                       peak_bytes=get.peak_bytes),
            ]
        yield samples


def small(settings: Settings) -> Round:
    """Plain files and objects of 4 KiB, with few and with many threads."""
    with store(settings) as place, scratch(settings, "plain") as plain:
        number = 0
        while True:
            samples = []
            for threads in (8, 64):
                number += 1
                arguments = {"name": f"s{number}", "count": settings.small_count,
                             "threads": threads}
                reference = child.run(job("plain.put_small", folder=str(plain), **arguments))
                measured = child.run(job("work.put_small", folder=str(place), **arguments))
                samples.append(
                    Sample(row=f"small_{threads}", reference=rate(reference),
                           measured=rate(measured), peak_bytes=measured.peak_bytes)
                )
            yield samples


def processes(settings: Settings) -> Round:
    """One process of 8 threads, then four of them at once."""
    with store(settings) as place:
        number = 0
        while True:
            number += 1
            jobs = [
                job("work.put_small", folder=str(place), name=f"p{number}-{process}",
                     count=settings.small_count // 4, threads=8)
                for process in range(5)
            ]
            one = child.run(jobs[4])
            four = child.run(*jobs[:4])
            yield [
                Sample(row="small_processes", reference=rate(one), measured=rate(four),
                       peak_bytes=four.peak_bytes)
            ]


def batch(settings: Settings) -> Round:
    """`cp -r` of a tree, then the same records in one BatchPut into an empty store."""
    with tree_of(settings) as tree:
        while True:
            with scratch(settings, "copy") as folder:
                copy = child.run(job("plain.copy", tree=str(tree), target=str(folder / "copy"),
                                      count=settings.batch_count))
            with store(settings) as place:
                ingest = child.run(job("work.batch", folder=str(place), tree=str(tree),
                                        count=settings.batch_count, source=settings.batch_source))
            yield [
                Sample(row="batch", reference=rate(copy), measured=rate(ingest),
                       peak_bytes=ingest.peak_bytes, note=f"from {settings.batch_source}")
            ]


def per_object(settings: Settings) -> Round:
    """The same probes in a store of few objects and in one of many, one after the other."""
    counts = (settings.few_count, settings.batch_count)
    with store(settings, "few") as few, store(settings, "many") as many:
        for place, count in zip((few, many), counts, strict=True):
            child.run(job("work.batch", folder=str(place), tree="", count=count, source="memory"))
        number = 0
        while True:
            number += 1
            cheap, dear = (
                child.run(job("work.per_object", folder=str(place), name=f"probe{number}", held=held,
                               probes=settings.probes))
                for place, held in zip((few, many), counts, strict=True)
            )
            yield [
                Sample(row=f"per_object_{what}", reference=cheap.details[what] * 1e3,
                       measured=dear.details[what] * 1e3, peak_bytes=dear.peak_bytes)
                for what in ("put", "stat", "page")
            ]


def memory(settings: Settings) -> Round:
    """Peak memory of putting one small and one big object."""
    while True:
        peaks = []
        for total in (settings.total_bytes // 64, settings.total_bytes):
            with store(settings) as place:
                big = job("work.put_large", folder=str(place), dataset="/erasure", total=total,
                          objects=1, threads=1)
                peaks.append(child.run(big).peak_bytes)
        yield [
            Sample(row="memory_flat", reference=peaks[0] / MIB, measured=peaks[1] / MIB,
                   peak_bytes=peaks[1])
        ]


def capacity(_: Settings) -> Round:
    """The placement table on nodes of 4 to 16 TB, against the optimum by bisection."""
    from bench import mixed  # noqa: PLC0415 - all others load the product in children only

    while True:
        yield mixed.samples()


GROUPS: dict[str, tuple[Callable[[Settings], Round], tuple[str, ...]]] = {
    "large": (large, ("put_erasure", "put_replicas", "get_erasure", "get_replicas")),
    "small": (small, ("small_8", "small_64")),
    "processes": (processes, ("small_processes",)),
    "batch": (batch, ("batch",)),
    "per_object": (per_object, ("per_object_put", "per_object_stat", "per_object_page")),
    "memory": (memory, ("memory_flat",)),
    "capacity": (capacity, ("capacity_replicas", "capacity_erasure")),
}


def large_work(settings: Settings, work: str, folder: Path, dataset: str) -> child.Measured:
    return child.run(
        job(work, folder=str(folder), dataset="/" + dataset, total=settings.total_bytes,
             objects=settings.objects, threads=settings.threads)
    )


def job(work: str, **arguments: object) -> child.Job:
    return child.Job(work=work, arguments=arguments)


def rate(measured: child.Measured) -> float:
    return measured.amount / measured.seconds


def mb_s(measured: child.Measured) -> float:
    return rate(measured) / 1e6


@contextlib.contextmanager
def scratch(settings: Settings, name: str) -> Iterator[Path]:
    """An empty folder, gone afterwards."""
    folder = settings.folder / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def store(settings: Settings, name: str = "store") -> Iterator[Path]:
    """An empty store of six nodes, gone afterwards."""
    with scratch(settings, name) as folder:
        child.run(job("work.create_store", folder=str(folder)))
        yield folder


@contextlib.contextmanager
def tree_of(settings: Settings) -> Iterator[Path]:
    with scratch(settings, "tree") as folder:
        child.run(job("plain.create_tree", folder=str(folder), count=settings.batch_count))
        yield folder
