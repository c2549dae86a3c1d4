"""How long until a large data set is ready, and in how much memory, without and with the index cache.

    python benchmarks/indexing.py [--images 118000] [--boxes 860000] [--formats coco csv yolo …]

Writes a synthetic data set of COCO's size in each format (one tiny image, linked under every name) and reads it in
processes of their own: with the reader alone, and through the cache. The peer for COCO is pycocotools, which checks
nothing and looks for no image. Peak memory is that of the whole process, TensorFlow's 700 MB among it.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import index_writers
import numpy as np
from PIL import Image
from timing import peak_memory

from keras_retinanet.data.datasets import DATASETS
from keras_retinanet.data.index_cache import read_cached
from keras_retinanet.data.writers import WRITERS, OutputSplit, make_jobs, write_job
from keras_retinanet.data.writers.jobs import place_images
from keras_retinanet.schema import Sample

CLASSES = tuple(f"class {number}" for number in range(80))
FORMATS = ("coco", "csv", "yolo", "pascal", "kitti", "oid", "tfrecord", *index_writers.WRITERS)
HEIGHT, WIDTH = 480, 640


def make_part(folder: Path, num_images: int, num_boxes: int) -> OutputSplit:
    """Images with as many boxes each as chance gives them."""
    rng = np.random.default_rng(0)
    image = folder / "image.png"
    Image.new("L", (WIDTH, HEIGHT)).save(image)
    edges = np.searchsorted(np.sort(rng.integers(0, num_images, num_boxes)), np.arange(num_images + 1))
    corners = rng.uniform(0, 1, (num_boxes, 2)) * [WIDTH - 30, HEIGHT - 30]
    boxes = np.concatenate([corners, corners + rng.uniform(5, 30, (num_boxes, 2))], axis=1).astype(np.float32)
    labels = rng.integers(0, len(CLASSES), num_boxes).astype(np.int32)
    samples = [
        Sample(
            image=str(image),
            image_id=number + 1,
            boxes=boxes[start:end],
            labels=labels[start:end],
            ignore=np.zeros(end - start, bool),
            size=(HEIGHT, WIDTH),
        )
        for number, (start, end) in enumerate(itertools.pairwise(edges))
    ]
    names = [f"{number:012d}.png" for number in range(num_images)]
    return OutputSplit("train", samples, names, CLASSES, tuple(range(1, 81)))


def write(word: str, part: OutputSplit, folder: Path) -> list[str]:
    """Write the part and answer the words for its reader."""
    if word in index_writers.WRITERS:
        index_writers.WRITERS[word](part, folder)
        layout = DATASETS[word].find_layout(folder)
        assert layout is not None, f"{word} is not recognised"
        return [str(layout.path), DATASETS[word].default_sets(layout.path)[0]]
    if word in OWN_WRITERS:
        return OWN_WRITERS[word](part, folder)
    images = "copy" if word == "tfrecord" else "link"
    for job in make_jobs(word, str(folder), part, images, 8):
        write_job(job)
    WRITERS[word].write_index(folder, [part], images)
    if word == "csv":
        return [str(folder / "train.csv"), str(folder / "classes.csv")]
    return [str(folder), "train"]


def write_kitti(part: OutputSplit, folder: Path) -> list[str]:
    (folder / "train" / "labels").mkdir(parents=True)
    for job in make_jobs("kitti", str(folder), part, "link", 1):
        place_images(job, folder / "train" / "images", int)
    for sample, name in zip(part.samples, part.names, strict=True):
        lines = [
            f"Car 0.00 0 0 {' '.join(f'{side:.2f}' for side in box)} 0 0 0 0 0 0 0\n"
            for box in sample["boxes"].tolist()
        ]
        (folder / "train" / "labels" / name).with_suffix(".txt").write_text("".join(lines))
    return [str(folder), "train"]


def write_open_images(part: OutputSplit, folder: Path) -> list[str]:
    for job in make_jobs("oid", str(folder), part, "link", 1):
        place_images(job, folder / "train", int)
    described = "".join(f"/m/{label},{name}\n" for label, name in enumerate(CLASSES))
    (folder / "class-descriptions-boxable.csv").write_text(described)
    with (folder / "train-annotations-bbox.csv").open("w") as out:
        out.write(
            "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside\n"
        )
        for sample, name in zip(part.samples, part.names, strict=True):
            shares = sample["boxes"] / [WIDTH, HEIGHT, WIDTH, HEIGHT]
            out.writelines(
                f"{Path(name).stem},xclick,/m/{label},1,{x1:.6f},{x2:.6f},{y1:.6f},{y2:.6f},0,0,0,0,0\n"
                for (x1, y1, x2, y2), label in zip(shares.tolist(), sample["labels"].tolist(), strict=True)
            )
    return [str(folder), "train"]


OWN_WRITERS = {"kitti": write_kitti, "oid": write_open_images}


def read(word: str, words: list[str]) -> int:
    return len(DATASETS[word](*words))


def read_remembered(word: str, words: list[str], cache: Path) -> int:
    return len(read_cached(lambda: DATASETS[word](*words), (word, words), folder=cache, min_seconds=0.0))


def read_pycocotools(folder: str) -> int:
    from pycocotools.coco import COCO

    with contextlib.redirect_stdout(io.StringIO()):
        return len(COCO(str(Path(folder) / "annotations" / "instances_train.json")).imgs)


def measured(function: Callable[..., int], *arguments: Any) -> str:
    """Wall and CPU seconds and peak memory of a call in a process of its own, imports not counted."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        wall, cpu, peak, count = pool.apply(_measure, (function, *arguments))
    return f"{wall:8.2f} s wall  {cpu:8.2f} s CPU  {peak:6.2f} GB peak  {count} images"


def _measure(function: Callable[..., int], *arguments: Any) -> tuple[float, float, float, int]:
    wall, cpu = time.perf_counter(), time.process_time()
    count = function(*arguments)
    spent = time.perf_counter() - wall, time.process_time() - cpu
    return *spent, peak_memory() * 2**20 / 1e9, count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=118_000)
    parser.add_argument("--boxes", type=int, default=860_000)
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=FORMATS)
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        part = make_part(Path(scratch), flags.images, flags.boxes)
        for word in flags.formats:
            folder, cache = Path(scratch) / word, Path(scratch) / "cache" / word
            folder.mkdir()
            words = write(word, part, folder)
            time.sleep(3)  # what has just been written is not remembered
            print(f"{word:11} reader     {measured(read, word, words)}", flush=True)
            if word == "coco":
                print(f"{'':11} pycocotools{measured(read_pycocotools, str(folder))}", flush=True)
            read_remembered(word, words, cache)
            size = sum(file.stat().st_size for file in cache.iterdir()) / 1e6
            print(f"{'':11} remembered {measured(read_remembered, word, words, cache)}  {size:.0f} MB file", flush=True)


if __name__ == "__main__":
    main()
