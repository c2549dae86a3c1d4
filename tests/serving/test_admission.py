"""Requests are refused by the time they would take, worked by hand with a clock of the test."""

from __future__ import annotations

import contextlib
import random
from collections import deque

import numpy as np
import pytest

from keras_retinanet.serving.admission import Admission, BusyError, TooManyError


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_before_the_first_batch_only_the_count_limits() -> None:
    admission = Admission(0.1, 4)
    assert admission.expected_seconds(3) == 0.0
    with (
        admission.admitted(3),
        pytest.raises(BusyError, match=r"^3 images are waiting already; try again in a moment") as caught,
        admission.admitted(2),
    ):
        pass
    assert caught.value.retry_after == 1
    with pytest.raises(TooManyError, match="has 5 images; send at most 4 at once"), admission.admitted(5):
        pass
    assert admission.waiting == 0


def test_what_would_come_too_late_is_refused_with_the_time_to_wait() -> None:
    """0.5 s per image and a limit of 2 s: 4 images at once; with 3 waiting, 2 more would take 2.5 s."""
    admission = Admission(2.0, 100)
    admission.note_batch(1, 0.5)
    with admission.admitted(3):
        with admission.admitted(1):
            assert admission.expected_seconds(5) == pytest.approx(4.5)
        message = r"3 images are waiting already, and a result would take 2.5 s"
        with pytest.raises(BusyError, match=message) as caught, admission.admitted(2):
            pass
        assert caught.value.retry_after == 1
        with admission.admitted(1), pytest.raises(BusyError) as caught, admission.admitted(4):
            pass
        assert caught.value.retry_after == 2, "8 images take 4 s"
    assert admission.waiting == 0


def test_an_idle_server_takes_what_it_cannot_do_faster_later() -> None:
    """A slow batch of 9 s must not refuse for ever: an idle server admits, and learns."""
    admission = Admission(2.0, 100)
    admission.note_batch(1, 0.5)
    admission.note_batch(1, 9.0)
    assert admission.expected_seconds(4) > 2
    with admission.admitted(4):
        pass
    message = "has 5 images, which take longer than 2 s; send at most 4"
    with pytest.raises(TooManyError, match=message), admission.admitted(5):
        pass
    slow = Admission(2.0, 100)
    slow.note_batch(1, 9.0)
    with slow.admitted(1):
        pass


def test_under_load_an_image_takes_the_time_between_two_ends() -> None:
    """The network needs 0.1 s for two images; with decoding, two come every 0.4 s. Weights: 1 - 0.95² = 0.0975."""
    clock = Clock()
    admission = Admission(60.0, 100, clock)
    with admission.admitted(10):
        admission.note_batch(2, 0.1)
        assert admission.expected_seconds(0) == pytest.approx(10 * 0.05)
        clock.now += 0.4
        admission.note_batch(2, 0.1)
    assert admission.expected_seconds(1) == pytest.approx(0.05 + 0.0975 * (0.2 - 0.05))


def test_idle_time_is_not_counted() -> None:
    clock = Clock()
    admission = Admission(60.0, 100, clock)
    with admission.admitted(1):
        admission.note_batch(1, 0.1)
    clock.now += 50
    admission.note_batch(1, 0.1)
    assert admission.expected_seconds(1) == pytest.approx(0.1)


def test_the_first_batches_of_the_warm_up_do_not_count() -> None:
    admission = Admission(60.0, 100)
    admission.note_batch(1, 30.0)
    admission.note_batch(8, 0.8)
    admission.end_warm_up()
    assert admission.expected_seconds(2) == pytest.approx(0.2)


def batch_seconds(images: int) -> float:
    """4 ms and 2 ms per image: 400 images per second in batches of eight."""
    return 0.004 + 0.002 * images


def simulate(rate: float, limit: float, count: int = 20_000) -> tuple[np.ndarray, float]:
    """Latencies of those admitted of `count` requests at random times, and the share that is refused."""
    clock, choose, latencies = Clock(), random.Random(0), []
    admission, queue, refused = Admission(limit, 10**6, clock), deque[tuple[float, contextlib.ExitStack]](), 0
    arrivals = deque(np.cumsum([choose.expovariate(rate) for _ in range(count)]) + clock.now)

    def admit_until(end: float) -> None:
        nonlocal refused
        while arrivals and arrivals[0] <= end:
            clock.now, held = arrivals.popleft(), contextlib.ExitStack()
            try:
                held.enter_context(admission.admitted(1))
            except BusyError:
                refused += 1
            else:
                queue.append((clock.now, held))

    while arrivals or queue:
        if not queue:
            admit_until(arrivals[0])
            continue
        began = clock.now
        batch = [queue.popleft() for _ in range(min(8, len(queue)))]
        end = began + batch_seconds(len(batch))
        admit_until(end)
        clock.now = end
        admission.note_batch(len(batch), batch_seconds(len(batch)))
        for arrival, held in batch:
            held.close()
            latencies.append(end - arrival)
    return np.array(latencies), refused / count


def test_at_70_percent_of_the_capacity_p99_is_within_twice_p50() -> None:
    """280 of 400 images per second come. Without a limit the tail is longer; twice the median as limit cuts it."""
    free, refused = simulate(280, 60.0)
    p50, p99 = np.percentile(free, [50, 99])
    assert (refused, p99 / p50) == (0, pytest.approx(2.19, abs=0.01))
    limited, refused = simulate(280, 2 * p50)
    p50, p99 = np.percentile(limited, [50, 99])
    assert p99 / p50 == pytest.approx(1.70, abs=0.01)
    assert refused == pytest.approx(0.065, abs=0.001)


def test_at_150_percent_the_limit_holds_and_the_capacity_is_used() -> None:
    """600 per second come, a third too many: as many are refused, and none waits for longer than the limit of 0.1 s."""
    latencies, refused = simulate(600, 0.1)
    assert refused == pytest.approx(1 / 3, abs=0.01)
    assert np.percentile(latencies, 99) < 0.1
    assert latencies.max() < 0.1 + batch_seconds(8)
