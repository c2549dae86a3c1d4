"""Does the network of `retinanet-detect` ever wait for files and pictures? Images a second of a folder of JPEGs.

    python benchmarks/throughput.py MODEL [--images 200] [--side 800] [--batch-size 4] [--cores 2] [--no-pictures]

MODEL is a snapshot or an artefact, such as a ResNet-50 in bfloat16 for OpenVINO. The command reads the files, resizes,
detects, draws and writes. The peer is the network alone: its first batch again, as often as there were batches. Wall
and CPU time from the first batch to the end, so without start-up.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from export import jpeg
from startup import watch_networks

BATCHES_ALONE = 5


def clock() -> tuple[float, float]:
    return time.monotonic(), time.process_time()


def since(start: tuple[float, float]) -> tuple[float, float]:
    now = clock()
    return now[0] - start[0], now[1] - start[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--side", type=int, default=800, help="shorter side in pixels; the longer is 5/3 of it")
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--no-pictures", action="store_true")
    options = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
    calls: list[Callable[[], Any]] = []
    starts: list[tuple[float, float]] = []

    def note(call: Callable[[], Any]) -> None:
        starts.append(clock())
        calls.append(call if not calls else calls[0])

    watch_networks(options.model, note)
    from keras_retinanet.cli.detect import main as detect

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "photos"
        folder.mkdir()
        for number in range(options.images):
            (folder / f"{number:06d}.jpg").write_bytes(jpeg((options.side, options.side * 5 // 3)))
        words = ["--no-pictures", "--csv", f"{temporary}/found.csv"] if options.no_pictures else []
        words += ["--out", f"{temporary}/out", "--batch-size", str(options.batch_size)]
        assert detect([options.model, str(folder), *words]) == 0
    whole, batches = since(starts[1]), len(calls) - 1  # the first batch compiles
    alone = []
    for _ in range(min(BATCHES_ALONE, batches)):
        start = clock()
        calls[0]()
        alone.append(since(start))
    network = [batches * min(times) for times in zip(*alone, strict=True)]
    images = options.images * batches / len(calls)
    print(f"{images / whole[0]:.2f} images/s; the network alone {images / network[0]:.2f}")
    for name, own, all_of_it in zip(("wall", "CPU"), network, whole, strict=True):
        print(f"{name}: {own / all_of_it:.2f} of the network's own rate ({all_of_it / images:.3f} s an image)")


if __name__ == "__main__":
    main()
