"""Does `retinanet-serve` stay right, quick and small under load? Many clients, some of them broken, hostile or slow.

    python benchmarks/serving_load.py [MODEL] [--clients 200] [--seconds 60] [--half] [--serve-flags …]

The server runs in a process of its own, on the loopback. What it should answer is computed here by the same runtime,
one image at a time; every reply is compared with it, so that an answer that belongs to another request is found (scores
within 0.001, boxes within half a pixel; the expected answers differ by more from each other). In half precision a
batch rounds otherwise than an image alone: for such a snapshot say `--half`. Good requests have one to three images, in
either protocol. Others are damaged files, decompression bombs, wrong JSON, bodies that are too large, that come in
pieces or stop half-way, and clients that hang up before or after the whole body. Without MODEL two small detectors with
random weights are made, and the second replaces the first as version 2 at half of the time.

Prints throughput, latency of good requests, replies by kind, and the server's memory over time. Exit status 1 if an
answer was wrong, an accepted request had no answer, a status was not the one expected, the second version did not
answer, memory grew by a tenth after the first minute, or the server did not end cleanly.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import signal
import sys
import tempfile
import threading
from pathlib import Path

from serving_clients import Tally, load, report
from serving_models import REQUEST_MB, ROOT, expected_answers, is_alike, is_same, make_images, make_models, start_server
from serving_requests import Requests

GROWTH = 1.1  # of the memory after one minute


def add_version(folder: Path, number: int, model: Path) -> None:
    """Puts a version into the folder as a whole."""
    hidden = folder / f".{number}"
    hidden.mkdir(parents=True)
    shutil.copy(model, hidden / "model.onnx")
    hidden.rename(folder / str(number))


def check_end(tally: Tally, status: int, log: int, has_reload: bool) -> None:
    """Counts what is wrong after all."""
    asked = sum(tally.outcomes.values()) + sum(tally.problems.values())
    if status != 0:
        tally.problems[f"the server ended with status {status}"] += 1
    if log > asked + 2:  # and a line for each version
        tally.problems[f"{log} lines of log for {asked} requests"] += 1
    if has_reload and not tally.versions["2"]:
        tally.problems["version 2 never answered"] += 1
    late = [mib for at, mib in tally.memory if at >= 60]
    if late and max(late) > GROWTH * late[0]:
        tally.problems["memory grew"] += 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", type=Path)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--images", type=int, default=48, help="distinct images")
    parser.add_argument(
        "--half", action="store_true", help="the model computes in half precision: only the best detections must agree"
    )
    parser.add_argument(
        "--serve-flags", nargs=argparse.REMAINDER, default=[], help="all that follows goes to the server"
    )
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    tally = Tally(compare=is_alike if options.half else is_same)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models = [options.model] if options.model else make_models(folder, 2)
        images = make_images(options.images)
        answers = [expected_answers(model, images, tally.compare) for model in models]
        served = options.model
        if served is None:
            served = folder / "versions"
            add_version(served, 1, models[0])
        process, url, lines = start_server(served, ["--reload-seconds", "0.5", *options.serve_flags])
        reload = threading.Timer(options.seconds / 2, add_version, (folder / "versions", 2, models[-1]))
        try:
            host, _, port = url.removeprefix("http://").rpartition(":")
            makers = [Requests(images, answers, seed, REQUEST_MB) for seed in range(options.clients)]
            print(
                f"{options.clients} clients for {options.seconds:g} s on {len(os.sched_getaffinity(0))} cores",
                flush=True,
            )
            if len(models) > 1:
                reload.start()
            asyncio.run(load((host, int(port)), "", makers, options.seconds, process.pid, tally))
            process.send_signal(signal.SIGTERM)
            status = process.wait(90)
        finally:
            reload.cancel()
            process.kill()
    check_end(tally, status, len(lines), len(models) > 1)
    is_bad = bool(tally.problems) or not tally.latencies
    report(tally, options.seconds)
    return int(is_bad)


if __name__ == "__main__":
    sys.exit(main())
