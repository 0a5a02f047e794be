"""Write the user's file of a newcomer: a node for each folder, one dataset, the rest explained."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from holdfast import config
from holdfast.config import choose

FILE_NAME = "holdfast.yaml"
WARNING_PREFIX = "init.warn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Initialised:
    """The file that was written, its text, and why it says what it says."""

    file: str
    text: str
    explanation: tuple[choose.Message, ...]


def initialise(
    folders: Sequence[str], *, file: str | None = None, state: str | None = None
) -> Initialised:
    """Raises ConfigError; RefusedError (`config.exists`): a file that is there is never replaced."""
    target = Path(os.path.abspath(file or FILE_NAME))
    text, explanation = choose.new_file(
        [Path(one) for one in folders],
        state=Path(os.path.abspath(state)) if state else None,
        devices=_devices(folders),
        missing=[Path(one) for one in folders if not os.path.lexists(one)],
    )
    choose.write_new(target, text)
    config.read(str(target), environ={})
    return Initialised(file=str(target), text=text, explanation=explanation)


def _devices(folders: Sequence[str]) -> tuple[int, ...]:
    """The device that each folder lies on, or will when it is made."""
    return tuple(_device(os.path.abspath(folder)) for folder in folders)


def _device(folder: str) -> int:
    while True:
        try:
            return os.stat(folder).st_dev
        except FileNotFoundError:
            folder = os.path.dirname(folder)
