from __future__ import annotations

import threading
from concurrent import futures

import pytest

from holdfast import errors
from holdfast.kit import clock, limits


def test_what_is_in_the_bucket_is_taken_without_waiting() -> None:
    time = clock.FakeClock()
    bucket = limits.TokenBucket(10, burst=5, time=time)

    assert [bucket.take(1) for _ in range(5)] == [0.0] * 5
    assert bucket.take(1) == pytest.approx(0.1)


def test_a_bucket_holds_a_seconds_worth_unless_told_otherwise() -> None:
    bucket = limits.TokenBucket(10, time=clock.FakeClock())

    assert bucket.take(10) == 0.0
    assert bucket.take(1) == pytest.approx(0.1)


def test_more_than_the_bucket_holds_is_paid_back_before_the_next_may_take() -> None:
    time = clock.FakeClock()
    bucket = limits.TokenBucket(10, burst=5, time=time)

    assert bucket.take(25) == pytest.approx(2.0)
    assert bucket.take(10) == pytest.approx(1.0)


def test_a_full_bucket_grows_no_more() -> None:
    time = clock.FakeClock()
    bucket = limits.TokenBucket(10, burst=5, time=time)
    time.advance(1000)

    bucket.take(5)

    assert bucket.take(1) == pytest.approx(0.1)


def test_a_wait_beyond_the_deadline_takes_nothing() -> None:
    time = clock.FakeClock()
    bucket = limits.TokenBucket(10, burst=5, time=time)

    with pytest.raises(errors.UnavailableError) as caught:
        bucket.take(25, clock.Deadline(1.9, time))

    assert caught.value.code == "limits.deadline"
    assert bucket.take(5, clock.Deadline(0.1, time)) == 0.0


@pytest.mark.parametrize("rate", [0, -1.5])
def test_a_rate_must_be_positive(rate: float) -> None:
    with pytest.raises(errors.ConfigError) as caught:
        limits.TokenBucket(rate)

    assert caught.value.code == "limits.rate_not_positive"


def test_takers_in_many_threads_keep_the_rate_together() -> None:
    class Waits(clock.FakeClock):
        """Time stands still; what is slept is only noted."""

        longest_s = 0.0
        lock = threading.Lock()

        def sleep(self, seconds: float) -> None:
            with self.lock:
                self.longest_s = max(self.longest_s, seconds)

    time = Waits()
    bucket = limits.TokenBucket(100, burst=100, time=time)

    with futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: bucket.take(1), range(500)))

    assert time.longest_s == pytest.approx(4.0)
