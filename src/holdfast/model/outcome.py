"""What a step came to."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class OutcomeKind(enum.Enum):
    DONE = "done"
    WAITING = "waiting"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """`done` of `total` `unit`s so far; `code` and `message` say why it was refused or failed."""

    kind: OutcomeKind
    done: int = 0
    total: int | None = None
    unit: str = ""
    code: str = ""
    message: str = ""
