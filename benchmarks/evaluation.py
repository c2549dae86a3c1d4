"""How long do the COCO numbers take? Ours against pycocotools, on the same detections and in the same process.

    python benchmarks/evaluation.py [--images 5000] [--detections 100] [--classes 80] [--repeats 1]

Ours starts from NumPy arrays as `detect_dataset` gives them; pycocotools from COCO dicts that are already in memory,
so that its side bears no cost of conversion.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import io
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from keras_retinanet.evaluation import coco, report


def make_set(num_images: int, num_detections: int, num_classes: int) -> tuple[list[Any], list[Any]]:
    rng = np.random.default_rng(0)
    samples, detections = [], []
    for image_id in range(1, num_images + 1):
        count = int(rng.poisson(7))  # as many as a COCO image has
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
    return truth, report.coco_results(detections, range(1, num_classes + 1))


def run_pycocotools(truth: dict[str, Any], results: list[Any]) -> list[float]:
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


def measure(run: Callable[[], Any], repeats: int) -> tuple[float, float, Any]:
    """Least wall time, least CPU time, result."""
    times = []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        result = run()
        times.append((time.perf_counter() - wall, time.process_time() - cpu))
    return min(wall for wall, _ in times), min(cpu for _, cpu in times), result


def main() -> None:
    parser = argparse.ArgumentParser(description="Time of the COCO numbers, ours against pycocotools.")
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--detections", type=int, default=100)
    parser.add_argument("--classes", type=int, default=80)
    parser.add_argument("--repeats", type=int, default=1)
    flags = parser.parse_args()
    samples, detections = make_set(flags.images, flags.detections, flags.classes)
    truth, results = make_dicts(samples, detections, flags.classes)
    names = [str(k) for k in range(flags.classes)]
    wall, cpu, result = measure(lambda: coco.evaluate(samples, detections, names), max(flags.repeats, 2))
    peer_wall, peer_cpu, peer = measure(lambda: run_pycocotools(copy.deepcopy(truth), list(results)), flags.repeats)
    gap = np.abs(np.array(list(result.stats.values())) - peer).max()
    print(f"{flags.images} images, {result.num_detections} detections, {result.num_boxes.sum()} boxes")
    print(f"keras_retinanet  {wall:7.2f} s wall  {cpu:7.2f} s CPU   AP {result.stats['AP']:.6f}")
    print(f"pycocotools      {peer_wall:7.2f} s wall  {peer_cpu:7.2f} s CPU   AP {peer[0]:.6f}")
    print(f"ratio            {peer_wall / wall:7.1f}        {peer_cpu / cpu:7.1f}         largest difference {gap:.1e}")


if __name__ == "__main__":
    main()
