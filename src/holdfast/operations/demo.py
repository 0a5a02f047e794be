"""The demo: the main job on real files, with nodes that are destroyed, and every byte compared.

Called by the CLI's `demo`, which only shows the report. Everything happens below one folder.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from holdfast import config, errors
from holdfast.engines import registry
from holdfast.kit import clock, units
from holdfast.model import notice, snapshot
from holdfast.operations import (
    context,
    converge,
    copying,
    demo_data,
    demo_traffic,
    names,
    put,
    snapshots,
    status,
)

DOMAINS = ("shelf-a", "shelf-b", "shelf-c")
NODES = tuple((f"disk{number}", DOMAINS[(number - 1) // 2]) for number in range(1, 7))
DESTROYED = ("disk1", "disk4")
DESTROY_TRIES = 20
POSTS, VIDEOS = "/posts", "/videos"
SNAPSHOT = "before"
CHANGED, REMOVED = 100, 100
SPACE_FACTOR = 4
FULL = demo_data.Amount()
FILE = """\
cluster: demo
state: state
engine:
  kind: embedded
  nodes:
{nodes}
datasets:
  posts: {{path: /posts, protect: replicas 3, profile: records}}
  videos: {{path: /videos, protect: erasure 4+2, profile: media}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """`folder` must be new or empty; it is removed at the end unless `keep`. `settle_s`: how long
    traffic goes on before, between and after the two failures."""

    folder: Path
    amount: demo_data.Amount = FULL
    keep: bool = False
    settle_s: float = 2.0
    progress: Callable[[context.Progress], None] = context.ignore_progress
    tell: Callable[[notice.Notice], None] = lambda _: None
    cancel: threading.Event | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """One measured copy; the rate is in bytes a second."""

    objects: int
    size_bytes: int
    elapsed_s: float
    bytes_per_s: float
    objects_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was measured. `equal`: nothing differed, and no read or write failed."""

    equal: bool
    folder: str
    elapsed_s: float
    put_small: Copied
    put_large: Copied
    compared: Copied
    destroyed: tuple[str, ...]
    margins_before: dict[int, int]
    margins_after: dict[int, int]
    risk_after: notice.Notice
    reads: tuple[demo_traffic.Latency, ...]
    writes: tuple[demo_traffic.Latency, ...]
    failures: tuple[str, ...]
    differences: tuple[demo_data.Difference, ...]


def run(request: Request) -> Report:
    """Raises RefusedError when the folder is in use or has too little room, Cancelled."""
    _check_folder(request.folder, request.amount)
    request.folder.mkdir(parents=True, exist_ok=True)
    start_s = clock.SYSTEM.monotonic_s()
    try:
        with _store(request, _write_file(request.folder)) as ctx:
            report = _Run(request, ctx).run()
    finally:
        if not request.keep:
            shutil.rmtree(request.folder)
    return replace(report, elapsed_s=clock.SYSTEM.monotonic_s() - start_s)


def verdict(report: Report) -> None:
    """Raises IntegrityError when anything was not as it should be."""
    if not report.equal:
        raise errors.IntegrityError(
            "demo.failed", "{differences} objects differ from their source, {failures} calls failed",
            hint="please report this with the output of holdfast demo --keep --json",
            differences=len(report.differences), failures=len(report.failures),
        )


class _Run:
    """The scenes of the demo, one after another, on an open store."""

    def __init__(self, request: Request, ctx: context.Context) -> None:
        self._request = request
        self._ctx = ctx
        self._tell = request.tell

    def run(self) -> Report:
        made = self._make()
        put_small = self._put(made.posts, POSTS)
        put_large = self._put(made.videos, VIDEOS)
        before = status.bytes_by_margin(status.look(self._ctx).seen)
        taken = snapshots.create(self._ctx, "posts", SNAPSHOT)
        self._say("demo.snapshot", "took the snapshot {name} of /posts", name=SNAPSHOT)
        originals = demo_data.sources(made.posts, POSTS)
        clips = demo_data.sources(made.videos, VIDEOS)
        traffic = self._break({**originals, **clips})
        after = status.look(self._ctx)
        expected = self._change(originals, traffic)
        compared, differences = self._compare(
            {POSTS: expected, taken.root: _moved(originals, taken), VIDEOS: {**clips}}
        )
        failures = traffic.reads.all_failures() + traffic.writes.all_failures()
        return Report(
            equal=not differences and not failures,
            folder=str(self._request.folder), elapsed_s=0.0,
            put_small=put_small, put_large=put_large, compared=compared,
            destroyed=DESTROYED, margins_before=before,
            margins_after=status.bytes_by_margin(after.seen), risk_after=after.risk,
            reads=traffic.reads.summary(), writes=traffic.writes.summary(),
            failures=failures, differences=differences,
        )

    def _make(self) -> demo_data.Made:
        made = demo_data.make(self._request.folder / "source", self._request.amount, self._ctx)
        self._say(
            "demo.made", "made {files} real files, {size}",
            files=made.files, size=units.show_size(made.size_bytes),
        )
        return made

    def _put(self, folder: Path, target: str) -> Copied:
        report = put.put(self._ctx, [str(folder)], target)
        report.raise_if_partial()
        copied = _copied(report)
        self._say(
            "demo.put", "put {objects} files into {target}: {size} in {time}, {rate}/s",
            objects=copied.objects, target=target, size=units.show_size(copied.size_bytes),
            time=units.show_duration(copied.elapsed_s), rate=units.show_size(copied.bytes_per_s),
        )
        return copied

    def _destroy(self, node: Path) -> None:
        """Remove a node that is being written to: what appears meanwhile is removed as well."""
        for _ in range(DESTROY_TRIES):
            shutil.rmtree(node, ignore_errors=True)
            if not node.exists():
                return
        shutil.rmtree(node)

    def _break(self, known: dict[str, Path]) -> demo_traffic.Traffic:
        """Destroy nodes, one after the other, under a reader and a writer."""
        wait = self._ctx.clock.sleep
        with demo_traffic.Traffic(self._ctx, known, f"{POSTS}/live") as traffic:
            wait(self._request.settle_s)
            for number, name in enumerate(DESTROYED, start=1):
                self._ctx.check()
                traffic.phase = f"{number}_destroyed"
                self._destroy(self._request.folder / name)
                self._say(
                    "demo.destroyed", "destroyed node {node} while reads and writes go on",
                    node=name,
                )
                wait(self._request.settle_s)
        return traffic

    def _change(
        self, originals: dict[str, Path], traffic: demo_traffic.Traffic
    ) -> dict[str, Path | bytes]:
        """Overwrite some posts and remove others; what /posts must then hold."""
        expected: dict[str, Path | bytes] = {**originals, **traffic.written}
        paths = list(originals)
        for path in paths[:CHANGED]:
            self._ctx.check()
            content = f"changed: {path}\n".encode()
            self._ctx.engine.data.put(path, content, overwrite=True)
            expected[path] = content
        gone = paths[CHANGED : CHANGED + REMOVED]
        names.remove(self._ctx, gone).raise_if_partial()
        for path in gone:
            del expected[path]
        self._say(
            "demo.changed", "overwrote {changed} posts and removed {removed}",
            changed=len(paths[:CHANGED]), removed=len(gone),
        )
        return expected

    def _compare(
        self, expected: dict[str, dict[str, Path | bytes]]
    ) -> tuple[Copied, tuple[demo_data.Difference, ...]]:
        """Everything: what is there now, and the snapshot, with the nodes still gone."""
        meter = self._ctx.meter("compare", total=None, unit="bytes")
        found = tuple(
            difference
            for root, rows in expected.items()
            for difference in demo_data.compare(self._ctx, root, rows, meter)
        )
        meter.finish()
        compared = _rates(
            sum(len(rows) for rows in expected.values()), meter.done, meter.elapsed_s
        )
        self._say(
            "demo.compared",
            "compared {objects} objects byte by byte, the snapshot too: {differences} differ",
            objects=compared.objects, differences=len(found),
        )
        return compared, found

    def _say(self, code: str, message: str, **fields: errors.Field) -> None:
        self._tell(notice.Notice(code=code, message=message, fields=fields))


@contextlib.contextmanager
def _store(request: Request, file: Path) -> Iterator[context.Context]:
    """A new store of six nodes, prepared and open."""
    wanted = config.read(str(file), environ={}).spec
    engine = registry.open_engine(wanted)
    cancel = request.cancel or threading.Event()
    ctx = context.Context(engine=engine, spec=wanted, progress=request.progress, cancel=cancel)
    with contextlib.suppress(errors.NotInitialisedError):
        engine.open()
    try:
        converge.apply(ctx, converge.make_plan(ctx), lambda _: None)
        engine.open()
        sentence = "six nodes in three domains below {folder}; posts: replicas 3, videos: erasure 4+2"
        request.tell(
            notice.Notice(
                code="demo.prepared", message=sentence, fields={"folder": str(request.folder)}
            )
        )
        yield ctx
    finally:
        engine.close()


def _write_file(folder: Path) -> Path:
    rows = "\n".join(
        f"    - {{name: {name}, path: {name}, domain: {domain}}}" for name, domain in NODES
    )
    for name, _domain in NODES:
        (folder / name).mkdir()
    file = folder / "holdfast.yaml"
    file.write_text(FILE.format(nodes=rows), encoding="utf-8")
    return file


def _check_folder(folder: Path, amount: demo_data.Amount) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise errors.RefusedError(
            "demo.folder_in_use", "{folder} is there already and is not empty",
            hint="name another: holdfast demo --dir FOLDER", folder=str(folder),
        )
    above = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    needed = SPACE_FACTOR * amount.large_files * amount.large_bytes
    free = shutil.disk_usage(above).free
    if free < needed or not os.access(above, os.W_OK):
        raise errors.RefusedError(
            "demo.no_room", "the demo needs {needed} below {folder}, where {free} are free",
            hint="name a folder with more room: holdfast demo --dir FOLDER",
            needed=units.show_size(needed), folder=str(folder), free=units.show_size(free),
        )


def _copied(report: copying.Report) -> Copied:
    return _rates(report.objects, report.size_bytes, report.elapsed_s)


def _rates(objects: int, size_bytes: int, elapsed_s: float) -> Copied:
    seconds = max(elapsed_s, 1e-9)
    return Copied(
        objects=objects, size_bytes=size_bytes, elapsed_s=elapsed_s,
        bytes_per_s=size_bytes / seconds, objects_per_s=objects / seconds,
    )


def _moved(originals: dict[str, Path], taken: snapshot.SnapshotInfo) -> dict[str, Path | bytes]:
    """Where the originals are read in a snapshot of /posts."""
    return {taken.root + path[len(POSTS) :]: source for path, source in originals.items()}
