"""How long do the COCO numbers take, and how much memory? Ours against pycocotools, on the same detections.

    python benchmarks/evaluation.py [--images 5000] [--detections 100] [--classes 80] [--repeats 2]

Ours starts from NumPy arrays as `detect_dataset` gives them, and ends with the numbers; pycocotools starts from COCO
dicts that are already in memory, so that its side bears no cost of conversion. Each side runs in a process of its own.
Memory is the peak above what the process held before: the detections, and the imported packages.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from keras_retinanet.evaluation import coco, report


def make_set(num_images: int, num_detections: int, num_classes: int) -> tuple[list[Any], list[Any]]:
    rng = np.random.default_rng(0)
    samples, detections = [], []
    for image_id in range(1, num_images + 1):
        count = int(rng.poisson(7.2))  # as many as a COCO image has
        corners = rng.uniform(0, 400, (count, 2))
        boxes = np.concatenate([corners, corners + np.exp(rng.uniform(2, 5.3, (count, 2)))], axis=1).astype(np.float32)
        labels = rng.integers(0, num_classes, count)
        ignore = rng.uniform(size=count) < 0.01
        samples.append({"image": "", "image_id": image_id, "boxes": boxes, "labels": labels, "ignore": ignore})
        chosen = rng.integers(0, count, num_detections) if count else np.zeros(0, int)
        found = boxes[chosen] + rng.normal(0, 8, (len(chosen), 4)).astype(np.float32)
        found[:, 2:] = np.maximum(found[:, 2:], found[:, :2] + 1)
        classes = np.where(
            rng.uniform(size=len(chosen)) < 0.5, labels[chosen], rng.integers(0, num_classes, len(chosen))
        )
        scores = rng.uniform(size=len(chosen)).astype(np.float32)
        detections.append({"image_id": image_id, "boxes": found, "scores": scores, "labels": classes})
    return samples, detections


def make_dicts(samples: list[Any], detections: list[Any], num_classes: int) -> tuple[dict[str, Any], list[Any]]:
    annotations: list[dict[str, Any]] = []
    for sample in samples:
        for box, label, ignore in zip(sample["boxes"].astype(float), sample["labels"], sample["ignore"], strict=True):
            x, y, w, h = box[0], box[1], box[2] - box[0], box[3] - box[1]
            annotation = {"id": len(annotations) + 1, "image_id": sample["image_id"], "category_id": int(label) + 1}
            annotations.append(annotation | {"bbox": [x, y, w, h], "area": w * h, "iscrowd": int(ignore)})
    truth = {
        "images": [{"id": sample["image_id"]} for sample in samples],
        "categories": [{"id": k + 1, "name": str(k)} for k in range(num_classes)],
        "annotations": annotations,
    }
    return truth, list(report.coco_results(detections, range(1, num_classes + 1)))


def run_pycocotools(truth: dict[str, Any], results: list[Any]) -> list[float]:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        sides = [COCO()]
        sides[0].dataset = truth
        sides[0].createIndex()
        sides.append(sides[0].loadRes(results))
        evaluator = COCOeval(*sides, "bbox")
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return [float(value) for value in evaluator.stats]


def peak_mebibytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(run: Callable[[], list[float]]) -> dict[str, Any]:
    before, wall, cpu = peak_mebibytes(), time.perf_counter(), time.process_time()
    stats = run()
    return {
        "wall": time.perf_counter() - wall,
        "cpu": time.process_time() - cpu,
        "memory": peak_mebibytes() - before,
        "stats": stats,
    }


def measure_side(side: str, flags: argparse.Namespace) -> dict[str, Any]:
    """One side in this process; the packages are loaded by a small set first."""
    small, large = (make_set(images, flags.detections, flags.classes) for images in (20, flags.images))
    names = [str(k) for k in range(flags.classes)]
    if side == "ours":
        coco.evaluate(*small, names)
        return measure(lambda: [*coco.evaluate(*large, names).stats.values()])
    run_pycocotools(*make_dicts(*small, flags.classes))
    dicts = make_dicts(*large, flags.classes)
    return measure(lambda: run_pycocotools(*dicts))


def measure_apart(side: str, flags: argparse.Namespace) -> dict[str, Any]:
    """The fastest of several processes."""
    sizes = [f"--{name}={getattr(flags, name)}" for name in ("images", "detections", "classes")]
    command = [sys.executable, str(Path(__file__)), f"--side={side}", *sizes]
    answers = [subprocess.run(command, check=True, capture_output=True, text=True) for _ in range(flags.repeats)]
    return min((json.loads(answer.stdout) for answer in answers), key=lambda answer: answer["wall"])


def main() -> None:
    parser = argparse.ArgumentParser(description="Time and memory of the COCO numbers, ours against pycocotools.")
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--detections", type=int, default=100)
    parser.add_argument("--classes", type=int, default=80)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--side", choices=["ours", "pycocotools"], help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.side:
        print(json.dumps(measure_side(flags.side, flags)))
        return
    ours, peer = measure_apart("ours", flags), measure_apart("pycocotools", flags)
    print(f"{flags.images} images, up to {flags.images * flags.detections} detections")
    for name, side in (("keras_retinanet", ours), ("pycocotools", peer)):
        print(
            f"{name:<15} {side['wall']:8.2f} s wall {side['cpu']:8.2f} s CPU {side['memory']:8.0f} MiB"
            f"   AP {side['stats'][0]:.6f}"
        )
    ratios = [peer[key] / max(ours[key], 1e-9) for key in ("wall", "cpu", "memory")]
    gap = np.abs(np.subtract(ours["stats"][:12], peer["stats"])).max()
    print(
        f"{'ratio':<15} {ratios[0]:8.1f}        {ratios[1]:8.1f}       {ratios[2]:8.1f}       largest difference {gap}"
    )


if __name__ == "__main__":
    main()
