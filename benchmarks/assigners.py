"""How fast are anchors assigned, and how much memory do assignment and loss take?

Assignment: 8 images × 20 boxes against the 200,700 anchors of 800 × 1333, compared with a NumPy version of fizyr's
algorithm (dense IoU matrix, argmax, one-hot targets). Loss: peak memory of targets, loss and gradient with integer
labels, compared with dense one-hot targets; and of each assignment with 1,000 boxes an image.

Run: `python benchmarks/assigners.py`.
"""

from __future__ import annotations

import argparse
import functools
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, get_args

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from timing import peak_memory, reset_peak_memory

from keras_retinanet.config import AssignerName

CLASSES = 80
KINDS = ("ours", "dense")
"""Losses whose memory is compared."""


def make_problem(images: int, boxes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Anchors `(A, 4)`, boxes `(B, N, 4)` and labels `(B, N)`."""
    from keras_retinanet.geometry.anchors import Anchors

    maps = {f"P{i}": np.zeros((1, -(-800 // 2**i), -(-1333 // 2**i), 1), np.float32) for i in range(3, 8)}
    levels = Anchors()(maps, np.zeros((1, 800, 1333, 3), np.float32)).values()
    anchors = np.concatenate([np.asarray(level)[0] for level in levels])
    rng = np.random.default_rng(0)
    corner, side = rng.uniform(0, 1, (images, boxes, 2)) * [1100, 600], rng.uniform(16, 300, (images, boxes, 2))
    found = np.concatenate([corner, corner + side], axis=-1).astype(np.float32)
    return anchors, found, rng.integers(0, CLASSES, (images, boxes)).astype(np.int32)


def assign_ours(
    anchors: np.ndarray,
    boxes: np.ndarray,
    labels: np.ndarray,
    assigner: AssignerName = "iou_threshold",
    predictions: Sequence[Any] = (),
) -> np.ndarray:
    """Anchor labels `(B, A)`; `predictions` are boxes and logits for the assigner that takes them."""
    from keras_retinanet.assigners import AssignerInputs, assign
    from keras_retinanet.config import AssignerConfig

    sizes = np.tile(np.array([[800, 1333]], np.float32), (len(boxes), 1))
    cells = [9 * -(-800 // 2**i) * -(-1333 // 2**i) for i in range(3, 8)]
    levels = tuple(np.split(anchors, np.cumsum(cells)[:-1]))
    inputs = AssignerInputs(levels, (9,) * 5, boxes, labels, np.zeros(labels.shape, bool), sizes, *predictions)
    assignment = assign(AssignerConfig(assigner=assigner), inputs)
    np.asarray(assignment.matched_idxs)
    return np.asarray(assignment.anchor_labels)


def make_predictions(anchors: np.ndarray, images: int, classes: int) -> tuple[Any, Any]:
    """Predicted boxes `(B, A, 4)`, a little off their anchors, and logits `(B, A, K)` as in early training."""
    import tensorflow as tf

    boxes = anchors + tf.random.normal((images, *anchors.shape), stddev=4.0, seed=1)
    return boxes, tf.random.normal((images, len(anchors), classes), -4.0, 1.0, seed=2)


def assign_like_fizyr(anchors: np.ndarray, boxes: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The published algorithm in NumPy: per image a dense IoU matrix, then dense one-hot and regression targets."""
    states = []
    targets = np.zeros((len(boxes), len(anchors), CLASSES + 1), np.float32)
    deltas = np.zeros((len(boxes), len(anchors), 5), np.float32)
    area = (anchors[:, 2] - anchors[:, 0]) * (anchors[:, 3] - anchors[:, 1])
    for image, (own, own_labels) in enumerate(zip(boxes, labels, strict=True)):
        low = np.maximum(anchors[:, None, :2], own[None, :, :2])
        high = np.minimum(anchors[:, None, 2:], own[None, :, 2:])
        common = np.prod(np.clip(high - low, 0, None), axis=-1)
        own_area = (own[:, 2] - own[:, 0]) * (own[:, 3] - own[:, 1])
        overlap = common / (area[:, None] + own_area[None] - common)
        best = overlap.argmax(axis=1)
        value = overlap[np.arange(len(anchors)), best]
        positive, ignored = value >= 0.5, (value > 0.4) & (value < 0.5)
        targets[image, ignored, -1] = -1
        targets[image, positive, -1] = 1
        targets[image, positive, own_labels[best[positive]]] = 1
        sides = np.stack([anchors[:, 2] - anchors[:, 0], anchors[:, 3] - anchors[:, 1]] * 2, axis=1)
        deltas[image, :, :4] = (own[best] - anchors) / sides / 0.2
        x, y = (anchors[:, 0] + anchors[:, 2]) / 2, (anchors[:, 1] + anchors[:, 3]) / 2
        targets[image, (x >= 1333) | (y >= 800), -1] = -1
        states.append(targets[image, :, -1])
    return np.stack(states)


def time_of(function: Callable[[np.ndarray], object], labels: np.ndarray, repeats: int) -> tuple[float, float]:
    """Least wall and CPU milliseconds for labels that are others each time, as in training."""
    function(labels)
    walls, cpus = [], []
    for turn in range(1, repeats + 1):
        turned = np.roll(labels, turn, axis=1)
        wall, cpu = time.perf_counter(), time.process_time()
        function(turned)
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return min(walls) * 1e3, min(cpus) * 1e3


def peak_of_assignment(assigner: AssignerName) -> None:
    """Prints the growth of peak memory in MiB of one assignment with 1,000 boxes an image; in a process of its own."""
    anchors, boxes, labels = make_problem(2, 1000)
    predictions = make_predictions(anchors, 2, CLASSES) if assigner == "task_aligned" else ()
    few = [values[:, :20] for values in (boxes, labels)]
    assign_ours(anchors, *few, assigner=assigner, predictions=predictions)  # code and threads
    reset_peak_memory()
    before = peak_memory()
    assign_ours(anchors, boxes, labels, assigner=assigner, predictions=predictions)
    print(f"{peak_memory() - before:.0f}")


def peak_of_loss(kind: str) -> None:
    """Prints the growth of peak memory in MiB of one loss and gradient; in a process of its own."""
    import tensorflow as tf

    from keras_retinanet import losses
    from keras_retinanet.losses import ClassTargets

    anchors, boxes, labels = make_problem(2, 20)
    logits = tf.random.normal((len(boxes), len(anchors), CLASSES)) - 4.0
    warm = tf.reduce_sum(logits)
    reset_peak_memory()
    before = peak_memory()
    if kind == "ours":
        state = assign_ours(anchors, boxes, labels).astype(np.int32)
    else:
        state = assign_like_fizyr(anchors, boxes, labels)
        one_hot = tf.constant(np.zeros((*state.shape, CLASSES), np.float32))

    @tf.function
    def loss_and_gradient() -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(logits)
            if kind == "ours":
                loss = losses.focal(logits, ClassTargets(tf.zeros_like(state), state), alpha=0.25, gamma=2.0)
            else:
                p = tf.clip_by_value(tf.sigmoid(logits), 1e-7, 1 - 1e-7)
                alpha = tf.where(one_hot > 0.5, 0.25, 0.75)
                weight = alpha * tf.where(one_hot > 0.5, 1 - p, p) ** 2
                cross = -one_hot * tf.math.log(p) - (1 - one_hot) * tf.math.log(1 - p)
                loss = tf.reduce_sum(tf.reduce_sum(weight * cross, -1) * tf.cast(state >= 0, tf.float32))
        return loss, tape.gradient(loss, logits)

    loss, gradient = loss_and_gradient()
    print(f"{peak_memory() - before:.0f} {float(loss):.1f} {float(warm + tf.reduce_sum(gradient)):.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak in KINDS:
        peak_of_loss(arguments.peak)
        return
    if arguments.peak:
        peak_of_assignment(arguments.peak)
        return
    problem = make_problem(8, 20)
    assert np.array_equal(assign_ours(*problem), assign_like_fizyr(*problem)), "the two disagree"
    anchors, boxes, labels = problem
    ours = time_of(functools.partial(assign_ours, anchors, boxes), labels, arguments.repeats)
    theirs = time_of(functools.partial(assign_like_fizyr, anchors, boxes), labels, arguments.repeats)
    adaptive = time_of(functools.partial(assign_ours, anchors, boxes, assigner="atss"), labels, arguments.repeats)
    aligned = {}
    for classes, shown in ((3, 3), (CLASSES, 3), (CLASSES, CLASSES)):  # images of COCO show three classes on average
        predictions = make_predictions(anchors, len(boxes), classes)
        own = functools.partial(assign_ours, anchors, boxes, assigner="task_aligned", predictions=predictions)
        aligned[f"{classes:2d} classes, {shown:2d} shown"] = time_of(own, labels % shown, arguments.repeats)
    print(f"8 × 20 boxes, 200,700 anchors, IoU       wall {ours[0]:.0f} ms   CPU {ours[1]:.0f} ms")
    print(f"the same, ATSS                           wall {adaptive[0]:.0f} ms   CPU {adaptive[1]:.0f} ms")
    for kind, (wall, cpu) in aligned.items():
        print(f"the same, task-aligned, {kind}   wall {wall:.0f} ms   CPU {cpu:.0f} ms")
    print(f"fizyr's algorithm in NumPy               wall {theirs[0]:.0f} ms   CPU {theirs[1]:.0f} ms")
    print(f"ratio                                    wall {theirs[0] / ours[0]:.1f}×   CPU {theirs[1] / ours[1]:.1f}×")
    peaks = {}
    for kind in (*KINDS, *get_args(AssignerName)):
        command = [sys.executable, __file__, "--peak", kind]
        peaks[kind] = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[0])
    logits = 2 * 200_700 * CLASSES * 4 / 2**20
    title = f"peak above the logits ({logits:.0f} MB), 2 images"
    print(f"{title}   ours {peaks['ours']:.0f} MB   one-hot {peaks['dense']:.0f} MB")
    print(f"ratio                                    {peaks['dense'] / peaks['ours']:.2f}×")
    for kind in get_args(AssignerName):
        print(f"peak of {kind:14} 2 images of 1,000 boxes   {peaks[kind]:.0f} MB")


if __name__ == "__main__":
    main()
