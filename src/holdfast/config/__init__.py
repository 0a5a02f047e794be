"""The user's file: found, read, checked, resolved, and told about.

Called by operations and the faces. pydantic and ruamel load only when a file is read.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from holdfast.config.resolve import Effective


def read(
    file: str | None = None,
    *,
    state: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> Effective:
    """What the user asked for. `file` and `state` are the flags -f and --state.

    Raises ConfigError, naming file, line and key where there are any.
    """
    from holdfast.config.load import find, load  # noqa: PLC0415 - pydantic and ruamel load on use
    from holdfast.config.resolve import resolve  # noqa: PLC0415

    seen = os.environ if environ is None else environ
    return resolve(load(find(file, seen)), seen, {"state": state})
