"""Clients of `serving_load.py`: send requests, compare every reply, count."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from serving_models import is_same
from serving_requests import Attempt, Requests

REFUSED = 503  # allowed for any request: it was not accepted
PIECES = 6  # of the body of a slow client
BINARY = "Inference-Header-Content-Length"


@dataclass
class Tally:
    """What happened."""

    outcomes: Counter[str] = field(default_factory=Counter)
    problems: Counter[str] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    images: int = 0
    memory: list[tuple[float, float]] = field(default_factory=list)  # seconds, MiB
    compare: Callable[[dict[str, Any], dict[str, Any]], bool] = is_same


async def converse(address: tuple[str, int], place: str, attempt: Attempt) -> tuple[int, bytes]:
    """Sends one request on a connection of its own; status and body of the answer, status -1 if there is none."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        head = f"POST {place}{attempt.path} HTTP/1.1\r\nHost: test\r\nContent-Length: {len(attempt.body)}\r\n"
        head += f"{BINARY}: {attempt.header_length}\r\n" if attempt.header_length else ""
        writer.write(head.encode() + b"Connection: close\r\n\r\n")
        sent = attempt.body[: int(len(attempt.body) * attempt.stops_at)]
        pieces = PIECES if attempt.seconds else 1
        for piece in range(pieces):
            writer.write(sent[piece * len(sent) // pieces : (piece + 1) * len(sent) // pieces])
            await writer.drain()
            await asyncio.sleep(attempt.seconds / pieces)
        if attempt.hangs_up:
            return 0, b""
        answer = await reader.read()
    finally:
        writer.close()
    head_bytes, _, body = answer.partition(b"\r\n\r\n")
    return int(head_bytes.split(b" ", 2)[1]) if head_bytes else -1, body


def rows_of(content: dict[str, Any]) -> list[dict[str, Any]]:
    """An object per image from a reply in rows, in columns, or of the Open Inference Protocol."""
    if "predictions" in content:
        return list(content["predictions"])
    columns = content["outputs"]
    if isinstance(columns, list):
        columns = {one["name"]: np.reshape(one["data"], one["shape"]).tolist() for one in columns}
    return [{name: columns[name][row] for name in columns} for row in range(len(columns["scores"]))]


def problem_of(attempt: Attempt, status: int, body: bytes, tally: Tally) -> str | None:
    """What is wrong with a reply, if anything is."""
    if attempt.hangs_up or status == REFUSED:
        return None
    if status not in attempt.statuses:
        lost = "LOST" if 200 in attempt.statuses and status in (-1, 504) else attempt.kind
        return f"{lost}: status {status} in place of {attempt.statuses[0]}"
    content = json.loads(body)
    if status != 200:
        return None if isinstance(content.get("error"), str) else f"{attempt.kind}: no message"
    rows = rows_of(content)
    told = content.get("model_version")
    for version, expected in enumerate(attempt.expected, 1):
        if told in (None, str(version)) and len(rows) == len(expected) and all(map(tally.compare, rows, expected)):
            tally.versions[str(version)] += 1
            return None
    return "WRONG ANSWER"


async def client(address: tuple[str, int], place: str, make: Requests, end: float, tally: Tally) -> None:
    """Asks again and again."""
    while time.monotonic() < end:
        attempt = make()
        began = time.monotonic()
        try:
            status, body = await asyncio.wait_for(converse(address, place, attempt), 120)
        except (OSError, TimeoutError) as error:
            is_hung_up = attempt.kind == "too large"  # the server may do so while it is still being sent
            lost = "LOST" if 200 in attempt.statuses and not attempt.hangs_up else attempt.kind
            (tally.outcomes if is_hung_up else tally.problems)[f"{lost}: {type(error).__name__}"] += 1
            continue
        tally.outcomes[f"{attempt.kind}: {'-' if attempt.hangs_up else status}"] += 1
        if problem := problem_of(attempt, status, body, tally):
            tally.problems[problem] += 1
        elif status == 200 and not attempt.seconds and time.monotonic() <= end:
            tally.latencies.append(time.monotonic() - began)
            tally.images += len(attempt.expected[0])
        elif status == REFUSED:
            await asyncio.sleep(0.2)


def resident(process: int) -> float:
    """Resident memory of a process and its children in MiB."""
    own = [process, *(int(word) for word in Path(f"/proc/{process}/task/{process}/children").read_text().split())]
    pages = (int(Path(f"/proc/{one}/statm").read_text().split()[1]) for one in own)
    return sum(pages) * 4096 / 2**20


async def watch_memory(process: int, began: float, tally: Tally) -> None:
    """Samples the server's resident memory once a second."""
    while True:
        tally.memory.append((time.monotonic() - began, resident(process)))
        await asyncio.sleep(1)


async def load(
    address: tuple[str, int], place: str, makers: list[Requests], seconds: float, process: int, tally: Tally
) -> None:
    """All clients at once."""
    began = time.monotonic()
    watching = asyncio.create_task(watch_memory(process, began, tally))
    await asyncio.gather(*(client(address, place, make, began + seconds, tally) for make in makers))
    watching.cancel()


def report(tally: Tally, seconds: float) -> None:
    """Prints the figures."""
    print(f"{len(tally.latencies) / seconds:.1f} good requests/s, {tally.images / seconds:.1f} images/s")
    if tally.latencies:
        marks = np.percentile(1000 * np.array(tally.latencies), [50, 95, 99, 100])
        print("latency of good requests, ms: p50 {:.0f}, p95 {:.0f}, p99 {:.0f}, most {:.0f}".format(*marks))
    print("replies by kind and status:")
    for name, count in sorted(tally.outcomes.items()):
        print(f"  {name:28}{count:8}")
    print(f"answers by version of the model: {dict(sorted(tally.versions.items()))}")
    if tally.memory:
        steps = tally.memory[:: max(1, len(tally.memory) // 8)]
        print("server memory, MiB: " + ", ".join(f"{mib:.0f} at {at:.0f} s" for at, mib in steps))
        early = next((mib for at, mib in tally.memory if at >= 60), tally.memory[-1][1])
        late = [mib for at, mib in tally.memory if at > 60] or [early]
        last = tally.memory[-1][1]
        most = max(late)
        print(f"  after one minute {early:.0f}; later at most {most:.0f} ({most / early:.3f} of it), last {last:.0f}")
    print(f"wrong answers: {tally.problems.pop('WRONG ANSWER', 0)}")
    lost = sum(count for name, count in tally.problems.items() if name.startswith("LOST"))
    print(f"lost requests: {lost}")
    print(f"other problems: {dict(tally.problems) or 'none'}")
