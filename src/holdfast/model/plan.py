"""Ordered steps towards what the user's file asks for. A frozen plan has a digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from holdfast.model import notice

Value = str | int | float | bool | None | tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One act of an engine. `verb` is `prepare_node`, `create_dataset`, ...; `target` its subject.

    `bytes_moved` and `eta_s` say what it costs, `reversible` whether `undo` names a way back.
    """

    id: str
    verb: str
    target: str
    reason: str
    fields: Mapping[str, Value] = field(default_factory=dict)
    bytes_moved: int = 0
    eta_s: float | None = None
    reversible: bool = True
    undo: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A difference that no step may mend: what, why (code and English), and what a person can do."""

    target: str
    code: str
    message: str
    hint: str
    fields: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Empty steps and refusals: converged. `warnings` stop nothing, but a person should know them."""

    steps: tuple[Step, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    warnings: tuple[notice.Notice, ...] = ()
    usable_bytes: int | None = None

    @property
    def digest(self) -> str:
        """16 hex digits over the steps: what `apply --plan` accepts."""
        rows = [
            (step.verb, step.target, sorted((name, str(value)) for name, value in step.fields.items()))
            for step in self.steps
        ]
        canonical = json.dumps(rows, sort_keys=True, separators=(",", ":")).encode()
        return hashlib.sha256(canonical).hexdigest()[:16]
