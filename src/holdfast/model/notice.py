"""A sentence for people as code, English template and fields, so that it can be told in any language.

Engines and operations make them; faces translate and fill them. Nothing decides by their words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from holdfast import errors


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """`message` is a `str.format` template over `fields`. Two with equal code and template may
    still differ in their fields."""

    code: str
    message: str
    fields: Mapping[str, errors.Field] = field(default_factory=dict, hash=False)

    def __str__(self) -> str:
        """In English."""
        return errors.fill(self.message, self.fields)
