"""What the demo stores: real files, small and large, and the comparison with them afterwards."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from holdfast import errors
from holdfast.engines import api
from holdfast.operations import context

SMALL_FILES = 4000
FILES_IN_FOLDER = 200
LARGE_FILES = 3
LARGE_BYTES = 128 << 20
CHUNK_BYTES = 4 << 20
SUFFIXES = (".txt", ".json", ".bin", ".dat")
SENTENCE = "A post that somebody wrote, and that must not be lost. "


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """How much the demo makes; less in tests."""

    small_files: int = SMALL_FILES
    large_files: int = LARGE_FILES
    large_bytes: int = LARGE_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """The folders of source files, and what they hold."""

    posts: Path
    videos: Path
    files: int
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """An object that is not what its source is; `reason` is a short English phrase."""

    path: str
    reason: str


def make(folder: Path, amount: Amount, ctx: context.Context) -> Made:
    """Write the source files. Raises Cancelled."""
    posts, videos = folder / "posts", folder / "videos"
    videos.mkdir(parents=True)
    size_bytes = 0
    for number in range(amount.small_files):
        ctx.check()
        place = posts / f"{number // FILES_IN_FOLDER:03}"
        place.mkdir(parents=True, exist_ok=True)
        size_bytes += (place / _small_name(number)).write_bytes(small(number))
    for number in range(amount.large_files):
        ctx.check()
        with open(videos / f"clip{number}.mp4", "wb") as file:
            for part in _large_parts(amount.large_bytes):
                size_bytes += file.write(part)
    return Made(
        posts=posts, videos=videos, files=amount.small_files + amount.large_files,
        size_bytes=size_bytes,
    )


def small(number: int) -> bytes:
    """A text, a record, or bytes without any pattern; from 0 bytes to some tens of KiB."""
    match SUFFIXES[number % len(SUFFIXES)]:
        case ".txt":
            return (SENTENCE * (number % 300)).encode()
        case ".json":
            tags = [f"tag{index}" for index in range(number % 50)]
            return json.dumps({"id": number, "tags": tags}).encode()
        case ".bin":
            return os.urandom(number % 20_000)
        case _:
            return os.urandom(number % 700)


def sources(folder: Path, prefix: str) -> dict[str, Path]:
    """Store path of each file below `folder` when `folder` is put into `prefix`."""
    return {
        f"{prefix}/{folder.name}/{path.relative_to(folder)}": path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def compare(
    ctx: context.Context, root: str, expected: Mapping[str, Path | bytes], meter: context.Meter
) -> Iterator[Difference]:
    """Every object below `root` against its source, byte by byte; more or fewer objects too."""
    found = {info.path for info in ctx.engine.data.list_objects(root, recursive=True)}
    for path in sorted(found - set(expected)):
        yield Difference(path=path, reason="it should not be there")
    for path, source in expected.items():
        if path not in found:
            yield Difference(path=path, reason="it is missing")
        elif not _same(ctx.engine.data, path, source, meter):
            yield Difference(path=path, reason="its bytes differ")


def _same(data: api.DataPlane, path: str, source: Path | bytes, meter: context.Meter) -> bool:
    try:
        with data.get(path) as stored:
            if isinstance(source, bytes):
                found = stored.read(len(source) + 1)
                meter.add(len(found))
                return found == source
            with open(source, "rb") as local:
                while True:
                    part, wanted = stored.read(CHUNK_BYTES), local.read(CHUNK_BYTES)
                    meter.add(len(part))
                    if part != wanted:
                        return False
                    if not part:
                        return True
    except errors.IntegrityError:
        return False


def _small_name(number: int) -> str:
    return f"{number:05}{SUFFIXES[number % len(SUFFIXES)]}"


def _large_parts(size_bytes: int) -> Iterator[bytes]:
    for at in range(0, size_bytes, CHUNK_BYTES):
        yield os.urandom(min(CHUNK_BYTES, size_bytes - at))
