"""What the other files here share: least and median time of a call, and a table of ratios."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple


class Timing(NamedTuple):
    """Milliseconds of one call."""

    wall: float
    wall_median: float
    cpu: float


def measure(run: Callable[[], Any], repeats: int, warmups: int = 1) -> Timing:
    """Least and median wall time and least CPU time (all threads) of `run`, which must wait for its own result."""
    return interleave({"": run}, repeats, warmups)[""]


def interleave(runs: dict[str, Callable[[], Any]], repeats: int, warmups: int = 1) -> dict[str, Timing]:
    """As `measure`, one call of each in turn, so that a slow spell of the machine hits them alike."""
    for run in runs.values():
        for _ in range(warmups):
            run()
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            with _stopwatch(times[name]):
                run()
    return {name: _timing(values) for name, values in times.items()}


@contextmanager
def _stopwatch(times: list[tuple[float, float]]) -> Iterator[None]:
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    times.append((time.perf_counter() - wall, time.process_time() - cpu))


def _timing(times: list[tuple[float, float]]) -> Timing:
    walls, cpus = zip(*times, strict=True)
    return Timing(1e3 * min(walls), 1e3 * statistics.median(walls), 1e3 * min(cpus))


def print_table(timings: dict[str, Timing], ours: str, ratio: str = "peer/ours") -> None:
    """One line each, with how many times the time of `ours` it takes."""
    width = max(map(len, timings))
    print(f"{'':{width}}  wall ms     (median)  CPU ms      {ratio}: wall  median  CPU")
    base = timings[ours]
    for name, timing in timings.items():
        ratios = "  ".join(f"{a / max(b, 1e-9):6.2f}" for a, b in zip(timing, base, strict=True))
        print(f"{name:{width}}  {timing.wall:9.1f}  {timing.wall_median:9.1f}  {timing.cpu:9.1f}            {ratios}")
