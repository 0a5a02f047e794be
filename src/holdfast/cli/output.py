"""Where a command's words go: results to standard output, all else to standard error.

People get text, or tables on a terminal; `--json` gets one document, or JSON Lines for long runs,
and stays valid when the command fails.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TextIO, TypeVar

from holdfast import errors
from holdfast.cli import base, shape, table
from holdfast.kit import clock, language, units
from holdfast.operations import context, copying

_ = language.text
Row = TypeVar("Row")

PROGRESS_EVERY_S = 1.0
PHASES = {
    "put": language.mark("storing"),
    "get": language.mark("reading"),
    "rm": language.mark("removing"),
    "mv": language.mark("moving"),
    "apply": language.mark("applying"),
    "compare": language.mark("comparing"),
}
STOPPED = {
    "interrupted": language.mark("interrupted"),
    "terminated": language.mark("terminated"),
}
UNITS = (language.mark("paths"), language.mark("steps"))


class Output:
    """One per call of the command line. Its methods that print are called from one thread at a
    time."""

    def __init__(
        self,
        options: base.Options,
        *,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
        time: clock.Clock = clock.SYSTEM,
    ) -> None:
        self._options = options
        self._stdout = stdout or sys.stdout
        self._stderr = stderr or sys.stderr
        self._time = time
        self._stream_open = False
        self._told: errors.HoldfastError | None = None  # the document of `listing` holds it
        self._left_out: errors.HoldfastError | None = None  # said when it is not the only one
        self._progress_shown = False
        self._progress_told_s = float("-inf")

    @property
    def json(self) -> bool:
        return self._options.json

    @property
    def quiet(self) -> bool:
        return self._options.quiet

    @property
    def on_terminal(self) -> bool:
        return self._stdout.isatty()

    def result(self, kind: str, data: object, text: Callable[[], None]) -> None:
        """What the command was asked for: a document, or what `text` prints."""
        if self.json:
            self._dump(shape.envelope(kind, data, self._time.now_ns()))
        else:
            text()

    def listing(
        self, kind: str, key: str, rows: Iterable[Row], text: Callable[[Row], None]
    ) -> int:
        """A result of any length, row by row; returns how many. With --json one document, which
        carries `error` beside the rows when they break off."""
        if not self.json:
            return _each(rows, text)
        head = json.dumps({"format": f"holdfast.{kind}/1", "at": shape.moment(self._time.now_ns())})
        iterator = iter(rows)
        first = next(iterator, None)  # what is wrong from the start is a plain error document
        count = 0
        self._write(f'{head[:-1]}, "data": {{"{key}": [')
        failure: errors.HoldfastError | None = None
        try:
            for count, row in enumerate(_chain(first, iterator), start=1):
                comma = "," if count > 1 else ""
                self._write(f"{comma}\n{json.dumps(shape.plain(row), ensure_ascii=False)}")
        except errors.HoldfastError as error:
            failure = error
        tail = "" if failure is None else f', "error": {json.dumps(shape.error(failure))}'
        self._write(f"\n]}}{tail}}}\n")
        if failure is not None:
            self._told = failure
            raise failure
        return count

    def begin(self, kind: str) -> None:
        """The header of a long run's JSON Lines."""
        if self.json:
            self._stream_open = True
            self._dump({"format": f"holdfast.{kind}/1", "at": shape.moment(self._time.now_ns())})

    def event(self, kind: str, data: Mapping[str, object] | object) -> None:
        """One line of a long run: item, progress or result."""
        if self.json:
            body = shape.plain(data)
            assert isinstance(body, dict)
            self._dump({"event": kind, **body})

    def line(self, text: str = "") -> None:
        """Part of the result for people."""
        if not self.json:
            self._clear_progress()
            self._write(text + "\n")

    def say(self, text: str) -> None:
        """What --quiet leaves out."""
        if not self.quiet:
            self.line(text)

    def note(self, text: str) -> None:
        """To standard error: a warning, or what was left out."""
        self._clear_progress()
        print(text, file=self._stderr, flush=True)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Drawn on a terminal; tab-separated with a header line elsewhere."""
        if self.json:
            return
        self._clear_progress()
        if not self.on_terminal:
            for row in (columns, *rows):
                self._write("\t".join(row) + "\n")
            return
        for line in table.lines(columns, rows, bold=self._colors()):
            self._write(line + "\n")

    def error(self, found: errors.HoldfastError) -> None:
        """The error, in the place and form that was asked for."""
        self._clear_progress()
        if found is not self._left_out:
            self._say_left_out()
        if self.json:
            if found is not self._told:
                self._dump({"error": shape.error(found)})
            return
        message, hint = errors.render(found, _)
        print(_("error: {message}").format(message=message), file=self._stderr)
        if hint:
            print(_("hint: {hint}").format(hint=hint), file=self._stderr)
        self._stderr.flush()

    def stopped(self, word: str) -> None:
        """The work was asked to stop: `interrupted` or `terminated`."""
        self._say_left_out()
        if self.json:
            self._dump({"error": {"code": word, "message": f"{word}; what was done stays", "hint": ""}})
        else:
            self.note(_(STOPPED[word]))

    def progress(self, seen: context.Progress) -> None:
        """A line that is rewritten on a terminal; an event a second in JSON Lines."""
        if self.json:
            now_s = self._time.monotonic_s()
            if self._stream_open and now_s - self._progress_told_s >= PROGRESS_EVERY_S:
                self._progress_told_s = now_s
                self.event("progress", seen)
            return
        if self.quiet or not self._stderr.isatty():
            return
        self._progress_shown = True
        print(f"\r\033[K{progress_line(seen)}", end="", file=self._stderr, flush=True)

    def item_left_out(self, item: copying.Item) -> None:
        assert item.error is not None
        self._say_left_out()
        self._left_out = item.error

    def _say_left_out(self) -> None:
        error, self._left_out = self._left_out, None
        if error is not None:
            message, _hint = errors.render(error, _)
            self.note(_("left out: {message}").format(message=message))

    def flush(self) -> None:
        self._clear_progress()
        self._stdout.flush()

    def _colors(self) -> bool:
        if self._options.color is not None:
            return self._options.color
        return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"

    def _dump(self, document: Mapping[str, shape.Json]) -> None:
        self._clear_progress()
        self._write(json.dumps(document, ensure_ascii=False) + "\n")

    def _write(self, text: str) -> None:
        self._stdout.write(text)

    def _clear_progress(self) -> None:
        if self._progress_shown:
            self._progress_shown = False
            print("\r\033[K", end="", file=self._stderr, flush=True)


def progress_line(seen: context.Progress) -> str:
    """`storing 1.2 GiB of 4.0 GiB, 310.0 MiB/s, 9.0 s left`."""
    is_bytes = seen.unit == "bytes"
    show = units.show_size if is_bytes else _count
    phase = _(PHASES.get(seen.phase, seen.phase))
    done = show(seen.done) if is_bytes else f"{show(seen.done)} {_(seen.unit)}"
    parts = [f"{phase} {done}"]
    if seen.total:
        parts = [_("{phase} {done} of {total}").format(phase=phase, done=done, total=show(seen.total))]
    parts.append(f"{show(seen.rate)}/s")
    if seen.eta_s is not None:
        parts.append(_("{time} left").format(time=units.show_duration(seen.eta_s)))
    return ", ".join(parts)


def _count(value: float) -> str:
    return f"{value:.0f}"


def _each(rows: Iterable[Row], act: Callable[[Row], None]) -> int:
    count = 0
    for count, row in enumerate(rows, start=1):  # noqa: B007 - the count of the last is the result
        act(row)
    return count


def _chain(first: Row | None, rest: Iterator[Row]) -> Iterator[Row]:
    if first is not None:
        yield first
        yield from rest
