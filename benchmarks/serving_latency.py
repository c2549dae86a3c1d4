"""Latency of `retinanet-serve` at a share of its capacity, with requests that do not wait for each other.

    python benchmarks/serving_latency.py [MODEL] [--share 0.7] [--seconds 60] [--limit 1.7] [--serve-flags …]

First, clients that ask again as soon as they are answered measure the capacity. Then requests arrive at random times
(Poisson), as many a second as the share of the capacity, whether or not earlier ones have been answered. Each has one
image. Then the same once more with a server whose `--max-latency-ms` is `--limit` times the p50 that was found; the
limit does not count the time to send a request and its response. Prints p50 and p99 of the accepted requests, and how
many were refused (503). Without MODEL a small detector is made. Exit status 1 if p99 with the limit is more than twice
p50, or a request had another status. Run it on a quiet machine, with the server on other cores than this script:
`--server-cores 1`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from serving_clients import converse
from serving_models import ROOT, make_images, make_models, start_server
from serving_requests import Attempt, Requests

RATIO = 2.0  # of p99 to p50, at most


class Asked:
    """Latencies of accepted requests, and the statuses of all."""

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.seconds: list[float] = []

    async def ask(self, address: tuple[str, int], attempt: Attempt) -> None:
        """Sends one request."""
        began = time.monotonic()
        try:
            status, _ = await converse(address, "", attempt)
        except OSError:
            status = -1
        self.statuses[status] += 1
        if status == 200:
            self.seconds.append(time.monotonic() - began)


async def measure_capacity(address: tuple[str, int], attempts: list[Attempt], clients: int, seconds: float) -> float:
    """Requests per second of clients that ask again and again."""
    asked, end = Asked(), time.monotonic() + seconds

    async def repeat(seed: int) -> None:
        choose = random.Random(seed)
        while time.monotonic() < end:
            await asked.ask(address, choose.choice(attempts))

    await asyncio.gather(*(repeat(seed) for seed in range(clients)))
    return asked.statuses[200] / seconds


async def arrive(address: tuple[str, int], attempts: list[Attempt], rate: float, seconds: float) -> Asked:
    """Requests at random times."""
    asked, choose = Asked(), random.Random(0)
    moment, tasks = time.monotonic(), []
    end = moment + seconds
    while (moment := moment + choose.expovariate(rate)) < end:
        await asyncio.sleep(max(0.0, moment - time.monotonic()))
        tasks.append(asyncio.create_task(asked.ask(address, choose.choice(attempts))))
    await asyncio.gather(*tasks)
    return asked


def report(asked: Asked, share: float) -> tuple[float, float]:
    """Prints the figures; p50 and p99 in milliseconds."""
    if not asked.seconds:
        raise SystemExit(f"no request was answered: {dict(asked.statuses)}")
    p50, p99 = np.percentile(1000 * np.array(asked.seconds), [50, 99])
    total = sum(asked.statuses.values())
    print(f"{total} requests at {share:g} of it: p50 {p50:.1f} ms, p99 {p99:.1f} ms, {p99 / p50:.2f} times p50")
    print(f"refused {100 * asked.statuses[503] / total:.1f} %; by status {dict(asked.statuses)}", flush=True)
    return float(p50), float(p99)


@contextlib.contextmanager
def running(model: Path, options: argparse.Namespace, *flags: str) -> Iterator[tuple[str, int]]:
    """A server, and its address."""
    process, url, _ = start_server(model, ["--no-log", *flags, *options.serve_flags])
    try:
        if options.server_cores:
            for task in Path(f"/proc/{process.pid}/task").iterdir():
                os.sched_setaffinity(int(task.name), options.server_cores)
        place = urlsplit(url)
        yield str(place.hostname), int(place.port or 0)
        process.send_signal(signal.SIGTERM)
        process.wait(90)
    finally:
        process.kill()


def measure(model: Path, attempts: list[Attempt], options: argparse.Namespace) -> int:
    """Without and with the limit; the exit status."""
    with running(model, options) as address:
        found = measure_capacity(address, attempts, options.clients, options.capacity_seconds)
        capacity = asyncio.run(found)
        print(f"capacity {capacity:.1f} requests/s with {options.clients} clients", flush=True)
        asked = asyncio.run(arrive(address, attempts, options.share * capacity, options.seconds))
        p50, _ = report(asked, options.share)
    limit = options.limit * p50
    print(f"with --max-latency-ms {limit:.0f}:")
    with running(model, options, "--max-latency-ms", str(limit)) as address:
        asked = asyncio.run(arrive(address, attempts, options.share * capacity, options.seconds))
        p50, p99 = report(asked, options.share)
    return int(p99 > RATIO * p50 or set(asked.statuses) > {200, 503})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", type=Path)
    parser.add_argument("--share", type=float, default=0.7)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--capacity-seconds", type=float, default=20)
    parser.add_argument("--clients", type=int, default=16, help="that measure the capacity")
    parser.add_argument("--limit", type=float, default=1.7, help="--max-latency-ms of the second part, in p50s")
    parser.add_argument("--server-cores", type=int, nargs="+", help="cores of the server")
    parser.add_argument(
        "--serve-flags", nargs=argparse.REMAINDER, default=[], help="all that follows goes to the server"
    )
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with tempfile.TemporaryDirectory() as folder:
        model = options.model or make_models(Path(folder), 1)[0]
        images = make_images(24)
        requests = Requests(images, [images], 0, 1)
        attempts = [requests.one(index) for index in range(len(images))]
        return measure(model, attempts, options)


if __name__ == "__main__":
    sys.exit(main())
