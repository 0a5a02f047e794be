"""Runs the command line in this process, on a memory engine that outlives each call."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from holdfast.cli import base, main, session
from holdfast.config import resolve
from holdfast.engines import api, memory
from holdfast.model import spec, topology

DATASETS = (
    spec.DatasetSpec(name="data", path="/data", protection=topology.replicas(1)),
    spec.DatasetSpec(name="other", path="/other", protection=topology.replicas(1)),
    spec.DatasetSpec(name="videos", path="/videos", protection=topology.erasure(4, 2)),
)


@dataclass
class Ran:
    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, object]:
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found

    @property
    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass
class Runner:
    """`run("put", "a", "/data/")` as a shell would, with a store that stays."""

    capsys: pytest.CaptureFixture[str]
    wanted: spec.Spec
    engine: api.Engine
    environ: Mapping[str, str] = field(default_factory=dict)

    def run(self, *arguments: str, stdin: bytes = b"") -> Ran:
        stdout = io.BytesIO()
        used = session.Session(
            environ=self.environ, reader=self._read, opener=self._open,
            stdin=io.BytesIO(stdin), stdout=stdout,
        )
        self.capsys.readouterr()
        code = main.run(arguments, used)
        seen = self.capsys.readouterr()
        return Ran(code=code, out=seen.out + stdout.getvalue().decode(), err=seen.err)

    def ok(self, *arguments: str, stdin: bytes = b"") -> Ran:
        ran = self.run(*arguments, stdin=stdin)
        assert ran.code == 0, ran
        return ran

    def _read(self, options: base.Options, environ: Mapping[str, str]) -> resolve.Effective:
        return resolve.Effective(spec=self.wanted, entries=())

    def _open(self, wanted: spec.Spec, *, read_only: bool = False) -> api.Engine:
        return self.engine


def make_runner(
    capsys: pytest.CaptureFixture[str], datasets: Sequence[spec.DatasetSpec] = DATASETS
) -> Runner:
    wanted = spec.Spec(
        cluster="test", file="/test/holdfast.yaml", engine=spec.EngineSpec(kind="memory"),
        datasets=tuple(datasets),
    )
    return Runner(capsys=capsys, wanted=wanted, engine=memory.MemoryEngine(wanted))


def make_tree(folder: Path) -> Path:
    """photos/: two small files, one in a folder below, one large, an empty folder, a symlink."""
    photos = folder / "photos"
    (photos / "deep").mkdir(parents=True)
    (photos / "empty").mkdir()
    (photos / "a.jpg").write_bytes(b"a" * 10)
    (photos / "deep" / "b.jpg").write_bytes(b"b" * 1000)
    (photos / "large.bin").write_bytes(bytes(range(256)) * 2048)
    (photos / "link").symlink_to("a.jpg")
    return photos
