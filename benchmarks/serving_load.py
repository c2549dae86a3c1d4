"""Does `retinanet-serve` stay right, quick and small under load? Many clients, some of them broken, hostile or slow.

    python benchmarks/serving_load.py [MODEL] [--clients 200] [--seconds 60] [--half] [--serve-flags …]

The server runs in a process of its own, on the loopback. What it should answer is computed here by the same runtime,
one image at a time; every reply is compared with it, so that an answer that belongs to another request is found (scores
within 0.001, boxes within half a pixel; the expected answers differ by more from each other). In half precision a batch
rounds otherwise than an image alone: for such a snapshot say `--half`. Beside good requests of one to three images
there are damaged files, decompression bombs, wrong JSON, bodies that are too large, bodies that stop half-way and
clients that hang up. Without MODEL a small detector with random weights is made.

Prints throughput, latency of good requests, replies by kind, and the server's memory over time. Exit status 1 if an
answer was wrong, a status was not the one expected, or the server did not end cleanly.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from serving_requests import Attempt, Requests

ROOT = Path(__file__).resolve().parents[1]
SIZES = ((120, 160), (160, 120), (96, 144), (108, 192), (192, 108), (128, 128))
CLIENT_TIMEOUT = 5  # seconds after which the server gives up on a slow body
REQUEST_MB = 4
BUSY = (503, 504)  # allowed under load for any request


@dataclass
class Tally:
    """What happened."""

    outcomes: Counter[str] = field(default_factory=Counter)
    problems: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    images: int = 0
    memory: list[tuple[float, float]] = field(default_factory=list)  # seconds, MiB
    compare: Callable[[dict[str, Any], dict[str, Any]], bool] = field(default_factory=lambda: is_same)


def make_model(folder: Path) -> Path:
    """A detector of a few million operations, whose random scores lie on both sides of its threshold."""
    import keras

    from keras_retinanet import DetectionModel, build
    from keras_retinanet.config import AnchorConfig, FilterConfig, ModelConfig, ResizeConfig

    keras.utils.set_random_seed(2)
    model = build(
        ModelConfig("resnet10_050", "none", 3, 5, fpn_width=32, head_width=32, head_depth=1),
        class_names=["ant", "bee"],
        anchors=AnchorConfig((16.0, 32.0, 64.0), (8, 16, 32)),
        resize=ResizeConfig(64, 96),
    )
    final = model.class_head.predictors[0]
    kernel, bias = final.get_weights()
    final.set_weights([np.random.default_rng(5).normal(0, 0.3, kernel.shape), 0 * bias])
    path = folder / "small.keras"
    DetectionModel(model, FilterConfig(score_threshold=0.5, max_detections=10)).save(path)
    return path


def make_images(count: int) -> list[np.ndarray]:
    """Coarse noise in several shapes."""
    rng = np.random.default_rng(0)
    images = []
    for index in range(count):
        height, width = SIZES[index % len(SIZES)]
        coarse = rng.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
        images.append(np.kron(coarse, np.ones((8, 8, 1), np.uint8))[:height, :width])
    return images


def is_same(answer: dict[str, Any], found: dict[str, Any]) -> bool:
    """Whether a row of a reply is what the runtime found."""
    count = len(found["scores"])
    return (
        answer["num_detections"] == count
        and answer["labels"][:count] == found["labels"].tolist()
        and np.allclose(answer["scores"][:count], found["scores"], atol=1e-3)
        and np.allclose(np.reshape(answer["boxes"][:count], (-1, 4)), found["boxes"], atol=0.5)
    )


def is_alike(answer: dict[str, Any], found: dict[str, Any], most: int = 5) -> bool:
    """Whether the best detections of either side stand on the other, wherever: rounding changes their order.

    One may be missing: of two that are nearly equal, suppression keeps the other.
    """
    count = answer["num_detections"]
    given = {name: np.array(answer[name][:count]) for name in found}
    for one, other in ((given, found), (found, given)):
        missing = 0
        for box, score, label in zip(one["boxes"][:most], one["scores"][:most], one["labels"][:most], strict=True):
            near = (np.abs(other["scores"] - score) < 0.02) & (other["labels"] == label)
            missing += not np.any(near & (np.abs(other["boxes"].reshape(-1, 4) - box).max(axis=1) < 0.5))
        if missing > 1:
            return False
    return True


def expected_answers(model: Path, images: list[np.ndarray], compare: Callable[..., bool]) -> list[Any]:
    """What each image should be answered, all different from each other."""
    from keras_retinanet.runtimes import open_runtime

    runtime = open_runtime(model)
    found = [runtime.detect([image])[0] for image in images]
    rows = [{**{name: one[name].tolist() for name in one}, "num_detections": len(one["scores"])} for one in found]
    for i, row in enumerate(rows):
        if twins := [j for j, other in enumerate(found) if j != i and compare(row, other)]:
            raise SystemExit(f"images {i} and {twins[0]} have the same answer; take a model that finds more in noise")
    return found


async def converse(address: tuple[str, int], path: str, attempt: Attempt) -> tuple[int, bytes]:
    """Sends one request on a connection of its own; status and body of the answer."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        head = f"POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {len(attempt.body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + attempt.body[: int(len(attempt.body) * attempt.stops_at)])
        await writer.drain()
        if attempt.hangs_up:
            return 0, b""
        answer = await reader.read()
    finally:
        writer.close()
    head_bytes, _, body = answer.partition(b"\r\n\r\n")
    return int(head_bytes.split(b" ", 2)[1]) if head_bytes else -1, body


def problem_of(attempt: Attempt, status: int, body: bytes, compare: Callable[..., bool]) -> str | None:
    """What is wrong with a reply, if anything is."""
    if attempt.hangs_up or status in BUSY:
        return None
    if status not in attempt.statuses:
        return f"{attempt.kind}: status {status} in place of {attempt.statuses[0]}"
    content = json.loads(body)
    if status != 200:
        return None if isinstance(content.get("error"), str) else f"{attempt.kind}: no message"
    rows = content.get("predictions")
    if rows is None:
        columns = content["outputs"]
        rows = [{name: columns[name][row] for name in columns} for row in range(len(columns["scores"]))]
    is_right = len(rows) == len(attempt.expected) and all(map(compare, rows, attempt.expected))
    return None if is_right else "WRONG ANSWER"


async def client(address: tuple[str, int], path: str, make: Requests, end: float, tally: Tally) -> None:
    """Asks again and again."""
    while time.monotonic() < end:
        attempt = make()
        began = time.monotonic()
        try:
            status, body = await asyncio.wait_for(converse(address, path, attempt), 120)
        except (OSError, TimeoutError) as error:
            is_hung_up = attempt.kind == "too large"  # the server may do so while it is still being sent
            (tally.outcomes if is_hung_up else tally.problems)[f"{attempt.kind}: {type(error).__name__}"] += 1
            continue
        tally.outcomes[f"{attempt.kind}: {'-' if attempt.hangs_up else status}"] += 1
        if problem := problem_of(attempt, status, body, tally.compare):
            tally.problems[problem] += 1
        elif status == 200 and time.monotonic() <= end:
            tally.latencies.append(time.monotonic() - began)
            tally.images += len(attempt.expected)


async def watch_memory(process: int, began: float, tally: Tally) -> None:
    """Samples the server's resident memory once a second."""
    while True:
        found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{process}/status").read_text())
        if found:
            tally.memory.append((time.monotonic() - began, int(found.group(1)) / 1024))
        await asyncio.sleep(1)


async def load(
    address: tuple[str, int], path: str, makers: list[Requests], seconds: float, process: int, tally: Tally
) -> None:
    """All clients at once."""
    began = time.monotonic()
    watching = asyncio.create_task(watch_memory(process, began, tally))
    await asyncio.gather(*(client(address, path, make, began + seconds, tally) for make in makers))
    watching.cancel()


def start_server(model: Path, flags: list[str]) -> tuple[subprocess.Popen[str], str, list[int]]:
    """The server's process, its URL once it is ready, and a list that grows by one a line of its log."""
    words = [sys.executable, str(ROOT / "bin" / "retinanet-serve"), str(model), "--port", "0", "--name", "load"]
    words += ["--client-timeout", str(CLIENT_TIMEOUT), "--max-request-mb", str(REQUEST_MB), *flags]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stderr is not None
    output = []
    for line in process.stderr:
        output.append(line)
        if found := re.search(r"ready: .* on (http://\S+)", line):
            lines: list[int] = []
            threading.Thread(target=count_lines, args=(process.stderr, lines), daemon=True).start()
            return process, found.group(1), lines
    raise SystemExit(f"the server did not start:\n{''.join(output)}")


def count_lines(stream: Any, lines: list[int]) -> None:
    for _ in stream:
        lines.append(1)


def report(tally: Tally, seconds: float) -> None:
    """Prints the figures."""
    print(f"{len(tally.latencies) / seconds:.1f} good requests/s, {tally.images / seconds:.1f} images/s")
    if tally.latencies:
        marks = np.percentile(1000 * np.array(tally.latencies), [50, 95, 99, 100])
        print("latency of good requests, ms: p50 {:.0f}, p95 {:.0f}, p99 {:.0f}, most {:.0f}".format(*marks))
    print("replies by kind and status:")
    for name, count in sorted(tally.outcomes.items()):
        print(f"  {name:24}{count:8}")
    if tally.memory:
        steps = tally.memory[:: max(1, len(tally.memory) // 8)]
        print("server memory, MiB: " + ", ".join(f"{mib:.0f} at {at:.0f} s" for at, mib in steps))
        print(f"  peak {max(mib for _, mib in tally.memory):.0f}")
    print(f"wrong answers: {tally.problems.pop('WRONG ANSWER', 0)}")
    print(f"other problems: {dict(tally.problems) or 'none'}")


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
    with tempfile.TemporaryDirectory() as folder:
        model = options.model or make_model(Path(folder))
        images = make_images(options.images)
        answers = expected_answers(model, images, tally.compare)
        process, url, lines = start_server(model, options.serve_flags)
        try:
            host, _, port = url.removeprefix("http://").rpartition(":")
            makers = [Requests(images, answers, seed, REQUEST_MB) for seed in range(options.clients)]
            path = "/v1/models/load:predict"
            print(f"{options.clients} clients for {options.seconds:g} s on {os.cpu_count()} cores", flush=True)
            asyncio.run(load((host, int(port)), path, makers, options.seconds, process.pid, tally))
            process.send_signal(signal.SIGTERM)
            status = process.wait(90)
        finally:
            process.kill()
    asked = sum(tally.outcomes.values()) + sum(tally.problems.values())
    if status != 0:
        tally.problems[f"the server ended with status {status}"] += 1
    if len(lines) > asked:
        tally.problems[f"{len(lines)} lines of log for {asked} requests"] += 1
    is_bad = bool(tally.problems) or not tally.latencies
    report(tally, options.seconds)
    return int(is_bad)


if __name__ == "__main__":
    sys.exit(main())
