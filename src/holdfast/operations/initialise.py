"""Write the user's file of a newcomer: a node for each folder, one dataset, the rest explained."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from holdfast import config, errors
from holdfast.config import choose

FILE_NAME = "holdfast.yaml"
NODE_FILE = "holdfast.node"
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
    """Raises ConfigError; RefusedError (`config.exists`): a file that is there is never replaced;
    RefusedError (`init.file_in_node`): in a node it would be somebody else's file.
    """
    target = Path(os.path.abspath(file or FILE_NAME))
    _check_outside(target, folders)
    text, explanation = choose.new_file(
        [Path(one) for one in folders],
        state=Path(os.path.abspath(state)) if state else None,
        devices=_devices(folders),
        missing=[Path(one) for one in folders if not os.path.lexists(one)],
    )
    choose.write_new(target, text)
    config.read(str(target), environ={})
    return Initialised(file=str(target), text=text, explanation=explanation)


def _check_outside(target: Path, folders: Sequence[str]) -> None:
    wanted = {Path(os.path.abspath(one)) for one in folders}
    for folder in target.parents:
        if folder in wanted or (folder / NODE_FILE).exists():
            raise errors.RefusedError(
                "init.file_in_node", "{file} would lie in {path}, the folder of a node",
                hint="go to another folder first, or name the file: holdfast -f FILE init FOLDER...",
                file=str(target), path=str(folder),
            )


def _devices(folders: Sequence[str]) -> tuple[int, ...]:
    """The device that each folder lies on, or will when it is made."""
    return tuple(_device(os.path.abspath(folder)) for folder in folders)


def _device(folder: str) -> int:
    while True:
        try:
            return os.stat(folder).st_dev
        except FileNotFoundError:
            folder = os.path.dirname(folder)
