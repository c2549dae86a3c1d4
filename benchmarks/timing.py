"""What the other files here share: least and median time of a call, and a table of ratios."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

Run = Callable[[], Any]


def peak_memory() -> float:
    """Most MiB that this process held since it started or since `reset_peak_memory`; Linux.

    `ru_maxrss` would begin with what the parent process held.
    """
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def reset_peak_memory() -> None:
    """From here on, `peak_memory` begins with what this process holds now; Linux."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


class Timing(NamedTuple):
    """Milliseconds of one call: least and median wall time, least CPU time of all threads."""

    wall: float
    wall_median: float
    cpu: float


def interleave(runs: dict[str, Run], repeats: int, warmups: int = 1) -> dict[str, Timing]:
    """Times each run, which must wait for its own result, in turn: a slow spell of the machine hits them alike."""
    for run in runs.values():
        for _ in range(warmups):
            run()
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            times[name].append(_time(run))
    return {name: _timing(values) for name, values in times.items()}


def interleave_processes(makers: dict[str, Callable[[], Run]], repeats: int) -> dict[str, Timing]:
    """As `interleave`, each in a process of its own, where `maker()` sets it up.

    So frameworks share neither threads nor memory. A run may return a line to print; one that fails is named and
    left out.
    """
    with contextlib.ExitStack() as stack:
        pipes = {name: stack.enter_context(_worker(maker)) for name, maker in makers.items()}
        ready = {}
        for name, pipe in pipes.items():
            pipe.send("start")
            is_ready, line = pipe.recv()
            print(f"  {name}: {line}", flush=True)
            if is_ready:
                ready[name] = pipe
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in ready}
        for _ in range(repeats):
            for name, pipe in ready.items():
                pipe.send("run")
                times[name].append(pipe.recv())
        for name, pipe in ready.items():  # not after the first call: PyTorch's optimizer has its memory from then on
            pipe.send("peak")
            print(f"  {name}: peak memory {pipe.recv():.2f} GiB")
    return {name: _timing(values) for name, values in times.items()}


@contextlib.contextmanager
def _worker(maker: Callable[[], Run]) -> Iterator[Any]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(maker, theirs), daemon=True)
    process.start()
    try:
        yield ours
    finally:
        process.kill()
        process.join()


def _serve(maker: Callable[[], Run], pipe: Any) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    pipe.recv()
    began = time.perf_counter()
    try:
        run = maker()
        line = run()
    except Exception as error:
        pipe.send((False, f"not measured: {type(error).__name__}: {str(error)[:300]}"))
        return
    line = "" if line is None else f"{line}, "
    pipe.send((True, f"{line}ready in {time.perf_counter() - began:.0f} s"))
    while order := pipe.recv():
        pipe.send(_time(run) if order == "run" else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)


def _time(run: Run) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - wall, time.process_time() - cpu


def _timing(times: list[tuple[float, float]]) -> Timing:
    walls, cpus = zip(*times, strict=True)
    return Timing(1e3 * min(walls), 1e3 * statistics.median(walls), 1e3 * min(cpus))


def print_table(timings: dict[str, Timing], ours: str) -> None:
    """One line each; the ratios say how many times the time of `ours` it takes."""
    if not timings:
        return
    width = max(map(len, timings))
    print(f"{'':{width}}    wall ms   (median)     CPU ms   ratio to ours: wall  median   CPU")
    base = timings.get(ours)
    for name, timing in timings.items():
        ratios = [] if base is None else [f"{a / max(b, 1e-9):6.2f}" for a, b in zip(timing, base, strict=True)]
        times = "  ".join(f"{value:9.1f}" for value in timing)
        print(f"{name:{width}}  {times}   {'':14}{'  '.join(ratios)}")
