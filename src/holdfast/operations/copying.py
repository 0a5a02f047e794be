"""What a copy of many things came to, and the rules that put, get, mv and rm share."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from holdfast import errors
from holdfast.model import notice

SHOWN_MAX = 5
STOPPING = frozenset({"quota.full", "space.full", "dataset.none"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing that was copied (`error` None) or was not, told as soon as it is known."""

    source: str
    target: str
    size_bytes: int = 0
    margin: int | None = None
    warnings: tuple[notice.Notice, ...] = ()
    error: errors.HoldfastError | None = None


def ignore_item(_: Item) -> None:
    """The item callback of those who need only the report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """`overwrite`: replace what is there. `sync`: also make local files durable. `tell` is called
    with each Item, from whichever thread did it, one at a time."""

    overwrite: bool = False
    sync: bool = False
    tell: Callable[[Item], None] = ignore_item


DEFAULT = Options()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """`left_out` holds what was not copied; each of `warnings` stands there once."""

    objects: int
    folders: int
    size_bytes: int
    elapsed_s: float
    lowest_margin: int | None
    left_out: tuple[Item, ...]
    warnings: tuple[notice.Notice, ...]

    def raise_if_partial(self) -> None:
        """Raises PartialError when something was left out and something was done; when nothing
        was done, the one error that there is."""
        if not self.left_out:
            return
        first = self.left_out[0].error
        if self.objects + self.folders == 0 and len(self.left_out) == 1 and first is not None:
            raise first
        raise errors.PartialError(
            "copy.partial", "{left_out} of {total} were left out: {paths}",
            hint="mend what is listed, then run the command for these again",
            left_out=len(self.left_out), total=self.objects + len(self.left_out),
            paths=tuple(item.source for item in self.left_out[:SHOWN_MAX]),
            codes=tuple(sorted({item.error.code for item in self.left_out if item.error})),
        )


@dataclass(slots=True)
class Tally:
    """Gathers Items from several threads into a Report."""

    tell: Callable[[Item], None]
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _objects: int = 0
    _folders: int = 0
    _size_bytes: int = 0
    _margins: set[int] = field(default_factory=set)
    _left_out: list[Item] = field(default_factory=list)
    _warnings: dict[notice.Notice, None] = field(default_factory=dict)

    def note(self, item: Item) -> None:
        """Raises the item's error when it would meet every later item too."""
        with self._lock:
            if item.error is None:
                self._objects += 1
                self._size_bytes += item.size_bytes
                self._warnings.update(dict.fromkeys(item.warnings))
                if item.margin is not None:
                    self._margins.add(item.margin)
            else:
                self._left_out.append(item)
            self.tell(item)
        if item.error is not None and stops_all(item.error):
            raise item.error

    def note_folder(self) -> None:
        with self._lock:
            self._folders += 1

    def report(self, elapsed_s: float) -> Report:
        with self._lock:
            return Report(
                objects=self._objects, folders=self._folders, size_bytes=self._size_bytes,
                elapsed_s=elapsed_s, lowest_margin=min(self._margins, default=None),
                left_out=tuple(self._left_out), warnings=tuple(self._warnings),
            )


def stops_all(error: errors.HoldfastError) -> bool:
    """Whether going on with the next item is pointless or harmful."""
    if error.code in STOPPING:
        return True
    items_own = (errors.RefusedError, errors.ConfigError, errors.NotFoundError)
    return not isinstance(error, (*items_own, errors.IntegrityError))
