"""Rates: how much of something may happen in a second.

A taker of more than there is goes into debt and waits until the debt is paid, so that one big
amount needs no bigger bucket, and later takers queue behind it.
"""

from __future__ import annotations

import threading

from holdfast import errors
from holdfast.kit import clock


class TokenBucket:
    """Fills with `rate_per_s` tokens a second up to `burst` (default: one second's worth)."""

    def __init__(
        self,
        rate_per_s: float,
        *,
        burst: float | None = None,
        time: clock.Clock = clock.SYSTEM,
    ) -> None:
        if rate_per_s <= 0:
            raise errors.ConfigError(
                "limits.rate_not_positive", "a rate must be above 0, not {rate}",
                hint="leave the limit out for no limit", rate=rate_per_s,
            )
        self._rate_per_s = rate_per_s
        self._burst = rate_per_s if burst is None else burst
        self._time = time
        self._lock = threading.Lock()
        self._tokens = self._burst
        self._filled_s = time.monotonic_s()

    def take(self, amount: float, deadline: clock.Deadline | None = None) -> float:
        """Take `amount`, waiting as long as that needs; returns the seconds that were waited.

        Raises UnavailableError, and takes nothing, when that would be longer than the deadline.
        """
        wait_s = self._reserve(amount, None if deadline is None else deadline.left_s())
        if wait_s > 0:
            self._time.sleep(wait_s)
        return wait_s

    def _reserve(self, amount: float, limit_s: float | None) -> float:
        with self._lock:
            now_s = self._time.monotonic_s()
            earned = (now_s - self._filled_s) * self._rate_per_s
            self._tokens = min(self._burst, self._tokens + earned)
            self._filled_s = now_s
            wait_s = max(0.0, (amount - self._tokens) / self._rate_per_s)
            if limit_s is not None and wait_s > limit_s:
                raise errors.UnavailableError(
                    "limits.deadline", "the rate limit allows this only in {wait_s:.1f} s",
                    hint="try again later, or raise the limit", wait_s=wait_s,
                )
            self._tokens -= amount
            return wait_s
