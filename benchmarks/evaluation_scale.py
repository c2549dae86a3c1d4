"""How much memory does an evaluation take as the number of images grows?

    python benchmarks/evaluation_scale.py [--images 5000 100000] [--detections 100] [--classes 80]

Each size runs in a process of its own, through the code of `retinanet-evaluate`: reading a COCO file, decoding small
JPEGs, storing detections, the twelve numbers. The network is replaced by a table of boxes; `--no-images` lists images
without decoding them. With `--kill`, a process is killed (SIGKILL) half-way at the first size, another one continues,
and the numbers must be equal.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from keras_retinanet.cli import evaluate
from keras_retinanet.config import FilterConfig, ResizeConfig
from keras_retinanet.data import pipeline
from keras_retinanet.data.sample_table import SampleTable

SIDE = 64  # pixels of the images


def write_set(folder: Path, num_images: int, num_classes: int) -> None:
    rng = np.random.default_rng(0)
    pictures = folder / "images"
    pictures.mkdir(parents=True)
    content = [_jpeg(rng, folder) for _ in range(50)]
    images, annotations = [], []
    for number in range(1, num_images + 1):
        name = f"{number:07}.jpg"
        (pictures / name).write_bytes(content[number % len(content)] + number.to_bytes(4, "big"))  # no two are equal
        images.append({"id": number, "file_name": name, "width": SIDE, "height": SIDE})
        count = int(rng.poisson(7.2))  # as many as a COCO image has
        corners, sides = rng.uniform(0, 40, (count, 2)).round(2), rng.uniform(4, 24, (count, 2)).round(2)
        for corner, size, label in zip(corners, sides, rng.integers(0, num_classes, count), strict=True):
            record = {"id": len(annotations) + 1, "image_id": number, "category_id": int(label) + 1, "iscrowd": 0}
            annotations.append(record | {"bbox": [*corner, *size], "area": float(size.prod())})
    categories = [{"id": k + 1, "name": f"class {k:03}"} for k in range(num_classes)]
    table = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "boxes.json").write_text(json.dumps(table))


def _jpeg(rng: Any, folder: Path) -> bytes:
    path = folder / "one.jpg"
    Image.new("RGB", (SIDE, SIDE), tuple(rng.integers(0, 256, 3).tolist())).save(path)
    return path.read_bytes()


class FakeDetector:
    """Boxes from a table by the first two pixels of each image, so that another run finds the same."""

    def __init__(self, num_classes: int, num_detections: int) -> None:
        self.class_names = tuple(f"class {k:03}" for k in range(num_classes))
        self.filter_config = FilterConfig(max_detections=num_detections)
        self.network = types.SimpleNamespace(
            resize_config=ResizeConfig(min_side=SIDE, max_side=SIDE), pad_value=(0.0, 0.0, 0.0)
        )
        rng = np.random.default_rng(1)
        corners = rng.uniform(0, 40, (997, num_detections, 2))
        self._boxes = np.concatenate([corners, corners + rng.uniform(4, 24, corners.shape)], axis=2).astype(np.float32)
        self._scores = np.sort(rng.uniform(size=corners.shape[:2]))[:, ::-1].astype(np.float32)
        self._labels = rng.integers(0, num_classes, corners.shape[:2]).astype(np.int32)

    def predict_on_batch(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """The detections of a batch."""
        rows = inputs["images"][:, 0, :2].reshape(len(inputs["images"]), -1).astype(int).sum(axis=1) % 997
        count = np.full(len(rows), self.filter_config.max_detections)
        found = {"boxes": self._boxes[rows], "scores": self._scores[rows], "labels": self._labels[rows]}
        return {**found, "num_detections": count}


class NoImages:
    """In place of `InferenceBatches`: the same batches, whose first pixels say which image it is."""

    def __init__(self, samples: Any, *, batch_size: int, **settings: Any) -> None:
        self._count, self._batch_size = len(samples), batch_size
        self._table = SampleTable(samples, settings["resize"])

    def dataset(self, done: Any = None) -> Iterator[Any]:
        """The batches."""
        due = np.arange(self._count) if done is None else np.flatnonzero(~done)
        for first in range(0, len(due), self._batch_size):
            index = due[first : first + self._batch_size]
            images = np.zeros((len(index), 1, 2, 3), np.float32)
            images[:, 0, 0, 0] = index
            sizes = np.full((len(index), 2), SIDE)
            yield (
                images,
                {"size": sizes, "original_size": sizes, "scale": np.ones((len(index), 2)), "image_index": index},
            )


def run_side(folder: Path, flags: argparse.Namespace) -> None:
    """One evaluation in this process."""
    detector = FakeDetector(flags.classes, flags.detections)
    vars(evaluate)["open_detector"] = lambda *_: detector
    vars(evaluate)["read_settings"] = lambda _: {}
    if flags.no_images:
        vars(pipeline)["InferenceBatches"] = NoImages
    snapshot = folder / "none.keras"
    if not snapshot.exists():  # another time of modification would be another snapshot
        snapshot.touch()
    if flags.die_after:
        timer = threading.Timer(flags.die_after, os.kill, (os.getpid(), signal.SIGKILL))
        timer.daemon = True
        timer.start()
    start = time.perf_counter()
    argv = ["coco", str(folder / "boxes.json"), "--image-dir", str(folder / "images"), str(snapshot)]
    status = evaluate.main([*argv, "--json", str(folder / "numbers.json"), "--batch-size", "16"])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"status": status, "seconds": time.perf_counter() - start, "peak": peak}))


def start_side(folder: Path, flags: argparse.Namespace, *more: str) -> subprocess.CompletedProcess[str]:
    words = [f"--{name}={getattr(flags, name)}" for name in ("detections", "classes")]
    words += ["--no-images"] * flags.no_images
    command = [sys.executable, __file__, "--side", str(folder), *words, *more]
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache"), "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def main() -> None:
    parser = argparse.ArgumentParser(description="Memory of an evaluation by the number of images.")
    parser.add_argument("--images", type=int, nargs="+", default=[5000, 100_000])
    parser.add_argument("--detections", type=int, default=100)
    parser.add_argument("--classes", type=int, default=80)
    parser.add_argument("--no-images", action="store_true", help="do not decode images, only list them")
    parser.add_argument("--kill", action="store_true", help="also kill and continue the first size")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--die-after", type=float, help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.side:
        run_side(Path(flags.side), flags)
        return
    for num_images in flags.images:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_set(folder, num_images, flags.classes)
            done = start_side(folder, flags)
            figures = json.loads(done.stdout.splitlines()[-1])
            whole = (folder / "numbers.json").read_text()
            stats = json.loads(whole)["stats"]
            print(f"{num_images:>7} images  {figures['seconds']:7.1f} s  peak {figures['peak']:6.0f} MiB"
                  f"  AP50 {stats['AP50']:.6f}", flush=True)  # fmt: skip
            if flags.kill and num_images == flags.images[0]:
                killed = start_side(folder, flags, "--die-after", str(figures["seconds"] / 2))
                again = start_side(folder, flags)
                resumed = next((line for line in again.stdout.splitlines() if line.startswith("resumed")), "")
                equal = (folder / "numbers.json").read_text() == whole
                print(f"killed with status {killed.returncode}; then: {resumed}; numbers equal: {equal}", flush=True)


if __name__ == "__main__":
    main()
