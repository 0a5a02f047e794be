"""Which engine a user's file asks for. Engines are imported only when they are chosen."""

from __future__ import annotations

from holdfast import errors
from holdfast.engines import api
from holdfast.model import spec

KINDS = ("embedded", "memory")


def open_engine(wanted: spec.Spec, *, read_only: bool = False) -> api.Engine:
    """The engine of `wanted`, constructed; the caller opens it. Raises ConfigError."""
    kind = wanted.engine.kind
    if kind == "embedded":
        return _embedded(wanted, read_only=read_only)
    if kind == "memory":
        return _memory(wanted, read_only=read_only)
    raise errors.ConfigError(
        "engine.unknown", "there is no engine of kind {kind}",
        hint="engine.kind in {file} is one of: {kinds}", kind=kind, file=wanted.file, kinds=KINDS,
    )


def _embedded(wanted: spec.Spec, *, read_only: bool) -> api.Engine:
    from holdfast.engines.embedded import engine  # noqa: PLC0415 - heavy, and only if chosen

    return engine.EmbeddedEngine(wanted, read_only=read_only)


def _memory(wanted: spec.Spec, *, read_only: bool) -> api.Engine:
    from holdfast.engines import memory, wrappers  # noqa: PLC0415 - only if chosen

    held = memory.MemoryEngine(wanted)
    return wrappers.ReadOnly(held) if read_only else held
