"""An index in memory, of one process's own: for opens that may not write, or cannot lock.

It starts from a copy of the store's index where there is a sound one, else from the newest image,
and is brought up from the log. Nothing on the nodes or in the state folder is changed.
"""

from __future__ import annotations

from pathlib import Path

import apsw

from holdfast import errors
from holdfast.engines.embedded import apply, commit_log, image, index, replay


class PrivateIndex:
    """`incomplete` says why it holds less than the log once had, where damage is in the way."""

    def __init__(
        self, log: commit_log.CommitLog, source: Path | None, until: int | None
    ) -> None:
        self.incomplete: errors.HoldfastError | None = None
        self.index = index.Index(None)
        try:
            copied = source is not None and self._copy(log, source)
            if not copied or not self._bring_up(log, until):
                self._start_over(log)
                self._bring_up(log, until)
        except BaseException:
            self.index.close()
            raise

    @property
    def position(self) -> tuple[int, bytes]:
        return replay.position(self.index.writer())

    def catch_up(self, log: commit_log.CommitLog, until: int) -> int:
        """Apply what was committed since; the last commit that it has now."""
        if not self._bring_up(log, until):
            self._start_over(log)
            self._bring_up(log, until)
        return self.position[0]

    def _copy(self, log: commit_log.CommitLog, source: Path) -> bool:
        connection = self.index.writer()
        try:
            with index.copied(source) as copy:
                index.fill(connection, copy)
        except (index.DamagedIndexError, index.StaleIndexError, apsw.Error, OSError):
            return False
        return index.get_meta(connection).get("store") == replay.store_id(log.store)

    def _start_over(self, log: commit_log.CommitLog) -> None:
        self.index.close()
        self.index = index.Index(None)
        connection = self.index.writer()
        index.prepare(connection)
        image.load_newest_into(log, connection)

    def _bring_up(self, log: commit_log.CommitLog, until: int | None) -> bool:
        """False: the index does not belong to this log. What damage hides is left out."""
        connection = self.index.writer()
        try:
            replay.apply_frames(
                log, connection, apply.Applier(connection), self.position, until)
        except errors.NotFoundError:
            return False
        except errors.IntegrityError as error:
            self.incomplete = error
        except replay.FAILURES:
            return False
        return True
