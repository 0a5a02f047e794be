"""One call of the command line: its options, its output, and how it reaches the store.

Commands get it as `click.Context.obj`. Tests give their own reader of the user's file and their own
engines.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import TYPE_CHECKING, BinaryIO, Protocol

from holdfast.cli import base, output
from holdfast.kit import clock
from holdfast.operations import context

if TYPE_CHECKING:
    from holdfast.config import resolve
    from holdfast.engines import api
    from holdfast.model import spec

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Opener(Protocol):
    """engines.registry.open_engine, or a test's own."""

    def __call__(self, wanted: spec.Spec, *, read_only: bool = False) -> api.Engine: ...


Reader = Callable[[base.Options, Mapping[str, str]], "resolve.Effective"]


class Session:
    """`received` is the signal that asked the work to stop."""

    def __init__(
        self,
        *,
        environ: Mapping[str, str] = os.environ,
        reader: Reader | None = None,
        opener: Opener | None = None,
        stdin: BinaryIO | None = None,
        stdout: BinaryIO | None = None,
        time: clock.Clock = clock.SYSTEM,
    ) -> None:
        self.environ = environ
        self.options = base.Options()
        self.out = output.Output(self.options, time=time)
        self.cancel = threading.Event()
        self.received: signal.Signals | None = None
        self.time = time
        self._reader = reader or _read_config
        self._opener = opener or _open_engine
        self._stdin = stdin
        self._stdout = stdout

    @property
    def stdin(self) -> BinaryIO:
        return self._stdin or sys.stdin.buffer

    @property
    def stdout(self) -> BinaryIO:
        return self._stdout or sys.stdout.buffer

    def effective(self) -> resolve.Effective:
        """The user's file with everything that overrides it. Raises ConfigError."""
        return self._reader(self.options, self.environ)

    @contextlib.contextmanager
    def open(self, *, read_only: bool = False) -> Iterator[context.Context]:
        """The store, open. Raises ConfigError, NotInitialisedError, UnavailableError."""
        wanted = self.effective().spec
        engine = self._opener(wanted, read_only=read_only)
        engine.open()
        try:
            yield self._context(engine, wanted)
        finally:
            engine.close()

    @contextlib.contextmanager
    def work(self) -> Iterator[context.Context]:
        """The store, open for work that stops at a whole unit on the first SIGINT or SIGTERM."""
        with self.open() as ctx, self.interruptible():
            yield ctx

    @contextlib.contextmanager
    def prepare(self) -> Iterator[context.Context]:
        """The engine for `plan` and `apply`: there need be no store yet."""
        from holdfast import errors  # noqa: PLC0415

        wanted = self.effective().spec
        engine = self._opener(wanted)
        with contextlib.suppress(errors.NotInitialisedError):
            engine.open()
        try:
            yield self._context(engine, wanted)
        finally:
            engine.close()

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """SIGINT and SIGTERM set `cancel`; a second one ends the process as it always would."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {one: signal.getsignal(one) for one in SIGNALS}

        def stop(number: int, _frame: FrameType | None) -> None:
            self.received = signal.Signals(number)
            self.cancel.set()
            for one in SIGNALS:
                signal.signal(one, signal.SIG_DFL)

        for one in SIGNALS:
            signal.signal(one, stop)
        try:
            yield
        finally:
            for one in SIGNALS:
                signal.signal(one, before[one])

    def _context(self, engine: api.Engine, wanted: spec.Spec) -> context.Context:
        return context.Context(
            engine=engine, spec=wanted, progress=self.out.progress, cancel=self.cancel,
            clock=self.time,
        )


def _read_config(options: base.Options, environ: Mapping[str, str]) -> resolve.Effective:
    from holdfast import config  # noqa: PLC0415 - pydantic and ruamel load when a file is read

    return config.read(options.file, state=options.state, environ=environ)


def _open_engine(wanted: spec.Spec, *, read_only: bool = False) -> api.Engine:
    from holdfast.engines import registry  # noqa: PLC0415 - engines load when one is opened

    return registry.open_engine(wanted, read_only=read_only)
