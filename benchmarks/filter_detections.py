"""How long does filtering take? 200,700 anchors of an 800 x 1333 image, 80 classes, millions of scores above 0.05.

    python benchmarks/filter_detections.py [--batch 1] [--repeats 10] [--mean-logit -4.0]

Beside our two ways: the filter of fizyr/keras-retinanet as it is written, a suppression for each class in turn over
every score above the threshold, and TensorFlow's fused kernel given all anchors. All inside a `tf.function`, on the
same tensors in memory; all four must find the same number of detections.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import numpy as np
import tensorflow as tf
from timing import interleave, print_table

from keras_retinanet.geometry.anchors import Anchors
from keras_retinanet.geometry.filter_detections import filter_detections

LEVEL_SHAPES = [(100, 167), (50, 84), (25, 42), (13, 21), (7, 11)]
THRESHOLD, NMS, D = 0.05, 0.5, 300


def make_image(batch: int, mean_logit: float, num_classes: int) -> tuple[tf.Tensor, tf.Tensor, list[int]]:
    """Anchors moved a little, and normal logits: the worst case for a filter is a network that has learnt nothing."""
    rng = np.random.default_rng(0)
    pyramid = {f"P{3 + i}": tf.zeros((1, *shape, 1)) for i, shape in enumerate(LEVEL_SHAPES)}
    anchors = [level[0].numpy() for level in Anchors()(pyramid, tf.zeros((1, 800, 1333, 1))).values()]
    boxes = np.concatenate(anchors)[None] + rng.normal(0, 4, (batch, sum(map(len, anchors)), 4))
    boxes = np.clip(boxes, 0, [1333, 800, 1333, 800])
    logits = rng.normal(mean_logit, 1.0, (*boxes.shape[:2], num_classes)).astype("float32")
    return tf.constant(boxes, tf.float32), tf.sigmoid(logits), [len(level) for level in anchors]


def class_by_class(boxes: tf.Tensor, scores: tf.Tensor) -> dict[str, tf.Tensor]:
    """The algorithm of fizyr for one image: threshold, NMS of each class in an unrolled loop, the best of all."""
    kept: list[tuple[tf.Tensor, tf.Tensor, tf.Tensor]] = []
    for label in range(scores.shape[1]):
        index = tf.where(scores[:, label] > THRESHOLD)[:, 0]
        class_scores = tf.gather(scores[:, label], index)
        chosen = tf.image.non_max_suppression(tf.gather(boxes, index), class_scores, D, iou_threshold=NMS)
        kept.append((tf.gather(class_scores, chosen), tf.gather(index, chosen), tf.fill(tf.shape(chosen), label)))
    values, index, labels = (tf.concat(parts, axis=0) for parts in zip(*kept, strict=True))
    values, order = tf.math.top_k(values, tf.minimum(D, tf.size(values)))
    return {"boxes": tf.gather(boxes, tf.gather(index, order)), "scores": values, "labels": tf.gather(labels, order)}


def make_ways(sizes: list[int]) -> dict[str, Callable[[tf.Tensor, tf.Tensor], Any]]:
    def ours(kernel: str) -> Callable[[tf.Tensor, tf.Tensor], Any]:
        return lambda boxes, scores: filter_detections(boxes, scores, level_sizes=sizes, kernel=kernel)["scores"]

    def fizyr(boxes: tf.Tensor, scores: tf.Tensor) -> tf.Tensor:
        return tf.stack([class_by_class(boxes[i], scores[i])["scores"] for i in range(boxes.shape[0])])

    def fused(boxes: tf.Tensor, scores: tf.Tensor) -> tf.Tensor:
        return tf.image.combined_non_max_suppression(
            boxes[:, :, None], scores, D, D, NMS, THRESHOLD, clip_boxes=False
        ).nmsed_scores

    ways = {"ours, TensorFlow's kernel": ours("tensorflow"), "ours, keras.ops": ours("ops")}
    ways |= {"class by class, as fizyr": fizyr, "fused kernel on all anchors": fused}
    return {name: tf.function(way) for name, way in ways.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--mean-logit", type=float, default=-4.0)
    parser.add_argument("--classes", type=int, default=80)
    options = parser.parse_args()
    boxes, scores, sizes = make_image(options.batch, options.mean_logit, options.classes)
    above = int(tf.reduce_sum(tf.cast(scores > THRESHOLD, tf.int32)))
    print(
        f"{scores.shape[0]} x {scores.shape[1]} anchors, {scores.shape[2]} classes, {above:,} scores above {THRESHOLD}"
    )
    ways = make_ways(sizes)
    for name, way in ways.items():
        found = way(boxes, scores).numpy()
        count, least = (found >= 0).sum(axis=1), found[found >= 0].min()
        print(f"  {name}: {count} detections, scores {found.max():.4f} to {least:.4f}")
    runs = {name: (lambda way=way: tf.reduce_sum(way(boxes, scores)).numpy()) for name, way in ways.items()}
    print_table(interleave(runs, options.repeats), ours="ours, TensorFlow's kernel")


if __name__ == "__main__":
    main()
