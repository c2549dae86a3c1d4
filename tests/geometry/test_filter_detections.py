"""Detections against golden results, worked cases and a plain greedy reference, in every way of computing them.

Under another `KERAS_BACKEND` this file tests that backend; `test_other_backends` runs it so in a fresh process.
"""

from __future__ import annotations

import importlib.util
import math
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from keras_retinanet.geometry.filter_detections import FilterDetections, filter_detections

BACKEND = keras.backend.backend()
KERNELS = ("ops", "tensorflow") if BACKEND == "tensorflow" else ("ops",)
FIZYR_MODELS = ("fizyr_resnet50", "fizyr_resnet50_stem020", "fizyr_mobilenet")
TORCH_MODELS = ("torchvision_v1", "torchvision_v2", "detectron2_r50")
TOP_K = (None, 1000)
if BACKEND != "tensorflow":  # without a graph to reuse each case compiles again: one of each kind
    FIZYR_MODELS, TORCH_MODELS, TOP_K = FIZYR_MODELS[:1], TORCH_MODELS[:1], TOP_K[1:]
each_kernel = pytest.mark.parametrize("kernel", KERNELS)
only_tensorflow = pytest.mark.skipif(BACKEND != "tensorflow", reason="about TensorFlow's graphs")


def run(boxes: Any, scores: Any, **settings: Any) -> dict[str, np.ndarray]:
    """The detections of a batch as NumPy arrays."""
    function = partial(filter_detections, **settings)
    if BACKEND == "jax":
        import jax

        function = jax.jit(function)
    detections = function(np.asarray(boxes, "float32"), np.asarray(scores, "float32"))
    return {name: ops.convert_to_numpy(value) for name, value in detections.items()}


def reference_iou(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    box, boxes = box.astype("float64"), boxes.astype("float64")
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    shared = np.prod(np.maximum(sides, 0), axis=1)
    union = np.prod(box[2:] - box[:2]) + np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def reference(
    boxes: np.ndarray,
    scores: np.ndarray,
    level_sizes: tuple[int, ...] | None = None,
    score_threshold: float = 0.05,
    nms_threshold: float = 0.5,
    max_detections: int = 300,
    top_k: int | None = 1000,
    nms: str = "per_class",
    top_k_scope: str = "level",
    max_per_class: int | None = None,
    window: np.ndarray | None = None,
) -> list[tuple[int, int]]:
    """(anchor, class) of the detections of one image, by the definition, one pair at a time in float64."""
    if nms == "agnostic":
        is_best = np.argmax(scores, axis=1)[:, None] == np.arange(scores.shape[1])
        scores = np.where(is_best, scores, -np.inf)
    pairs, start = [], 0
    for size in level_sizes or (len(boxes),):
        level = [(-scores[a, c], a, c) for a in range(start, start + size) for c in range(scores.shape[1])]
        pairs += sorted(pair for pair in level if -pair[0] > np.float32(score_threshold))[:top_k]
        start += size
    if top_k_scope == "class":
        every = sorted((-scores[a, c], a, c) for a, c in np.ndindex(scores.shape) if scores[a, c] > score_threshold)
        pairs = [pair for c in range(scores.shape[1]) for pair in [pair for pair in every if pair[2] == c][:top_k]]
    is_inside = np.ones(len(boxes), bool)
    if window is not None:
        is_inside = (np.clip(boxes[:, 2:], 0, window[0, ::-1]) > np.clip(boxes[:, :2], 0, window[0, ::-1])).all(axis=1)
    kept: list[tuple[int, int]] = []
    for _, a, c in sorted(pairs):
        if max_per_class is not None and sum(label == c for _, label in kept) >= max_per_class:
            continue
        rivals = np.array([box for box, label in kept if nms == "agnostic" or (nms == "per_class" and label == c)], int)
        if not rivals.size or reference_iou(boxes[a], boxes[rivals]).max() <= nms_threshold:
            kept.append((a, c))
        if sum(is_inside[box] for box, _ in kept) == max_detections:
            break
    return [(box, label) for box, label in kept if is_inside[box]]


def check_against_reference(boxes: np.ndarray, scores: np.ndarray, kernel: str, **settings: Any) -> None:
    found = run(boxes, scores, kernel=kernel, **settings)
    for image, (image_boxes, image_scores) in enumerate(zip(boxes, scores, strict=True)):
        expected = np.array(reference(image_boxes, image_scores, **settings), int).reshape(-1, 2)
        count = len(expected)
        assert found["num_detections"][image] == count
        np.testing.assert_array_equal(found["labels"][image, :count], expected[:, 1])
        np.testing.assert_array_equal(found["boxes"][image, :count], image_boxes[expected[:, 0]])
        np.testing.assert_array_equal(found["scores"][image, :count], image_scores[expected[:, 0], expected[:, 1]])
        assert all((found[name][image, count:] == -1).all() for name in ("boxes", "scores", "labels"))


def random_case(seed: int, B: int, A: int, K: int, levels: int) -> tuple[np.ndarray, np.ndarray, tuple[int, ...]]:
    """Crowded boxes, some repeated, some without area; scores on a coarse grid, so that many are equal."""
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 60, (B, A, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(0, 50, (B, A, 2))], axis=-1).astype("float32")
    boxes[:, ::7, 2:] = boxes[:, ::7, :2]
    boxes[:, 1::5] = boxes[:, :1]
    scores = (rng.integers(0, 12, (B, A, K)) / 12).astype("float32")
    cuts = np.sort(rng.integers(1, A, levels - 1)) if levels > 1 else np.array([], int)
    return boxes, scores, tuple(int(n) for n in np.diff([0, *cuts, A]))


# --- worked by hand -------------------------------------------------------------------------------------------------

#                 IoU with the first:       1          0.5             0.6             0
ROW = np.array([[[0, 0, 10, 10], [0, 0, 10, 5], [0, 0, 10, 6], [20, 0, 30, 10]]], "float32")


@each_kernel
def test_iou_equal_to_the_threshold_is_kept_and_above_it_dropped(kernel: str) -> None:
    found = run(ROW, [[[0.9], [0.8], [0.7], [0.6]]], kernel=kernel, nms_threshold=0.5, max_detections=5)
    np.testing.assert_array_equal(found["boxes"][0], [*ROW[0, [0, 1, 3]], [-1] * 4, [-1] * 4])
    np.testing.assert_allclose(found["scores"][0], [0.9, 0.8, 0.6, -1, -1])
    np.testing.assert_array_equal(found["labels"][0], [0, 0, 0, -1, -1])
    assert found["num_detections"].tolist() == [3]
    found = run(ROW, [[[0.9], [0.8], [0.7], [0.6]]], kernel=kernel, nms_threshold=0.6, max_detections=5)
    assert found["num_detections"].tolist() == [3]  # 0.6 repeats 0.5 at IoU 50/60


@each_kernel
@pytest.mark.parametrize("gap", [[2, 0, 2, 0], [0, 2, 0, 2]], ids=["x", "y"])
def test_boxes_of_one_pixel_that_do_not_meet_are_both_kept(kernel: str, gap: list[float]) -> None:
    """One pixel apart in one direction, level in the other: nothing in common, however small the boxes are."""
    first = np.array([0, 0, 1, 1], "float32")
    found = run([[first, first + gap]], [[[0.9], [0.8]]], kernel=kernel, nms_threshold=0.1, max_detections=2)
    np.testing.assert_array_equal(found["boxes"][0], [first, first + gap])


@each_kernel
def test_modes_on_two_classes(kernel: str) -> None:
    scores = [[[0.9, 0.1], [0.3, 0.3], [0.2, 0.8], [0.04, 0.05]]]  # the last row: 0.05 is not above 0.05
    labels = {
        mode: run(ROW, scores, kernel=kernel, nms=mode, max_detections=8)["labels"][0].tolist()
        for mode in ("per_class", "agnostic", "none")
    }
    # class 0: .9, .3 (IoU .5 with .9), .2 repeats .9; class 1: .8, .3 repeats .8 at 5/6, .1 repeats it at .6
    assert labels["per_class"] == [0, 1, 0, -1, -1, -1, -1, -1]
    assert labels["agnostic"] == [0, 0, -1, -1, -1, -1, -1, -1]  # .8 repeats .9 across classes; the tie is class 0
    assert labels["none"] == [0, 1, 0, 1, 0, 1, -1, -1]  # .9 .8 .3 .3 .2 .1


@each_kernel
@pytest.mark.parametrize("from_logits", [False, True])
def test_each_class_has_its_own_threshold(kernel: str, from_logits: bool) -> None:
    """By hand: of class 0 only .9 and .6 exceed .55; of class 1 .2 exceeds .15, and .15 itself does not."""
    apart = np.arange(4, dtype="float32")[None, :, None] * 100 + np.array([0, 0, 10, 10], "float32")
    scores = np.array([[[0.9, 0.1], [0.6, 0.2], [0.5, 0.15], [0.54, 0.7]]])
    if from_logits:
        scores = np.log(scores / (1 - scores))
    settings = {"kernel": kernel, "from_logits": from_logits, "class_thresholds": (0.55, 0.1501), "max_detections": 6}
    found = run(apart, scores, **settings)
    np.testing.assert_allclose(found["scores"][0], [0.9, 0.7, 0.6, 0.2, -1, -1], rtol=1e-6)
    assert found["labels"][0].tolist() == [0, 1, 0, 1, -1, -1]
    assert found["boxes"][0, :4, 0].tolist() == [0, 300, 100, 100]
    # one label an anchor: the best of the classes that are there
    found = run(apart, scores, nms="agnostic", **{**settings, "class_thresholds": (0.7, 0.05)})
    assert found["labels"][0].tolist() == [0, 1, 1, 1, -1, -1]
    np.testing.assert_allclose(found["scores"][0, :4], [0.9, 0.7, 0.2, 0.15], rtol=1e-6)
    assert found["boxes"][0, :4, 0].tolist() == [0, 300, 100, 200]


@each_kernel
@pytest.mark.parametrize("from_logits", [False, True])
def test_thresholds_apply_to_calibrated_scores(kernel: str, from_logits: bool) -> None:
    """By hand: at temperature 2 the odds 9, 4, 1, 1/4 become 3, 2, 1, 1/2; with bias ln 2 then 6, 4, 2, 1."""
    scores = np.array([[[0.9], [0.8], [0.5], [0.2]]])
    scores = np.log(scores / (1 - scores)) if from_logits else scores
    settings = {"kernel": kernel, "from_logits": from_logits, "nms": "none", "max_detections": 4, "temperature": 2.0}
    found = run(ROW, scores, **settings, score_threshold=0.51)
    np.testing.assert_allclose(found["scores"][0], [3 / 4, 2 / 3, -1, -1], rtol=1e-6)
    found = run(ROW, scores, **settings, score_bias=math.log(2), class_thresholds=(0.51,))
    np.testing.assert_allclose(found["scores"][0], [6 / 7, 4 / 5, 2 / 3, -1], rtol=1e-6)
    assert found["num_detections"][0] == 3
    assert found["labels"][0].tolist() == [0, 0, 0, -1]


@each_kernel
def test_equal_class_thresholds_are_one_threshold(kernel: str) -> None:
    boxes, scores, sizes = random_case(4, B=2, A=60, K=3, levels=2)
    settings = {"kernel": kernel, "level_sizes": sizes, "top_k": 20}
    one = run(boxes, scores, score_threshold=0.4, **settings)
    each = run(boxes, scores, class_thresholds=(0.4, 0.4, 0.4), **settings)
    assert one["num_detections"].min() > 3
    for name, value in one.items():
        np.testing.assert_array_equal(each[name], value)


def test_as_many_thresholds_as_classes() -> None:
    with pytest.raises(ValueError, match="one value for each of 1 classes, not 2"):
        filter_detections(ROW, np.zeros((1, 4, 1), "float32"), class_thresholds=(0.1, 0.2))


@each_kernel
def test_equal_scores_go_by_anchor_then_class(kernel: str) -> None:
    apart = np.arange(6, dtype="float32")[None, :, None] * 100 + np.array([0, 0, 10, 10], "float32")
    found = run(apart, np.full((1, 6, 3), 0.5), kernel=kernel, max_detections=5, top_k=4, level_sizes=(4, 2))
    assert found["boxes"][0, :, 0].tolist() == [0, 0, 0, 100, 400]
    assert found["labels"][0].tolist() == [0, 1, 2, 0, 0]


@each_kernel
def test_equal_scores_go_by_anchor_even_if_the_later_one_has_a_better_class(kernel: str) -> None:
    apart = np.array([[[0, 0, 10, 10], [100, 0, 110, 10]]], "float32")
    found = run(apart, [[[0.4, 0.5], [0.4, 0.9]]], kernel=kernel, max_detections=4)
    assert found["labels"][0].tolist() == [1, 1, 0, 0]
    assert found["boxes"][0, :, 0].tolist() == [100, 0, 0, 100]


@each_kernel
def test_top_k_is_per_level(kernel: str) -> None:
    apart = np.arange(5, dtype="float32")[None, :, None] * 100 + np.array([0, 0, 10, 10], "float32")
    scores = [[[0.9], [0.8], [0.7], [0.2], [0.1]]]
    kept = {
        sizes: run(apart, scores, kernel=kernel, top_k=1, level_sizes=sizes)["num_detections"][0]
        for sizes in (None, (3, 2), (1, 1, 1, 1, 1))
    }
    assert list(kept.values()) == [1, 2, 5]


@each_kernel
def test_limits_of_each_class(kernel: str) -> None:
    """Three disjoint boxes of class 0 and one of class 1, which scores least."""
    boxes = np.array([[[20 * i, 0, 20 * i + 10, 10] for i in range(4)]], "float32")
    scores = [[[0.9, 0.0], [0.8, 0.0], [0.7, 0.0], [0.0, 0.6]]]
    found = run(boxes, scores, kernel=kernel, max_per_class=2, max_detections=4)
    np.testing.assert_allclose(found["scores"][0], [0.9, 0.8, 0.6, -1])
    assert found["labels"][0].tolist() == [0, 0, 1, -1]
    found = run(boxes, scores, kernel=kernel, top_k=1, top_k_scope="class", max_detections=4)
    np.testing.assert_allclose(found["scores"][0], [0.9, 0.6, -1, -1])
    found = run(boxes, scores, kernel=kernel, top_k=1, max_detections=4)
    np.testing.assert_allclose(found["scores"][0], [0.9, -1, -1, -1])


@each_kernel
@pytest.mark.parametrize("seed", range(3))
def test_random_cases_with_limits_of_each_class(kernel: str, seed: int) -> None:
    boxes, scores, level_sizes = random_case(seed, B=2, A=40, K=3, levels=3)
    check_against_reference(
        boxes, scores, kernel, level_sizes=level_sizes, top_k=9, top_k_scope="class", max_per_class=4, max_detections=10
    )


@each_kernel
def test_boxes_outside_the_window_take_part_but_are_not_detections(kernel: str) -> None:
    """Of class 0, the best box lies left of the window and suppresses the third, with an IoU of 40 / 60 = 2 / 3.

    As in `multiclass_non_max_suppression` of the Object Detection API: each class has its limit, boxes without area are
    dropped, and the best of all remain.
    """
    boxes = [[[-10, 0, 0, 10], [20, 0, 30, 10], [-8, 0, 2, 10], [40, 0, 50, 10], [60, 5, 70, 15], [0, 90, 9, 99]]]
    scores = [[[0.9, 0.0], [0.8, 0.0], [0.7, 0.0], [0.6, 0.0], [0.0, 0.5], [0.0, 0.95]]]
    settings: dict[str, Any] = {"kernel": kernel, "window": np.array([[80.0, 65.0]], "float32")}
    for changes, expected in (
        ({}, [0.8, 0.6, 0.5]),
        ({"max_detections": 2}, [0.8, 0.6]),
        ({"max_per_class": 2}, [0.8, 0.5]),
        ({"max_per_class": 1}, []),
        ({"nms": "none", "max_detections": 4}, [0.8, 0.7, 0.6, 0.5]),
        ({"nms": "none", "max_detections": 3}, [0.8, 0.7, 0.6]),
        ({"nms": "agnostic", "max_detections": 2}, [0.8, 0.6]),
    ):
        found = run(boxes, scores, **settings, **changes)
        assert found["num_detections"].tolist() == [len(expected)], changes
        np.testing.assert_allclose(found["scores"][0, : len(expected)], expected)
        assert (found["scores"][0, len(expected) :] == -1).all()
    assert run(boxes, scores, kernel=kernel, max_detections=2)["scores"].tolist() == [
        [np.float32(0.95), np.float32(0.9)]
    ]


@each_kernel
@pytest.mark.parametrize("max_per_class", [None, 4, 30])
def test_random_cases_with_a_window(kernel: str, max_per_class: int | None) -> None:
    boxes, scores, _ = random_case(5, B=2, A=60, K=2, levels=1)
    window = np.array([[30, 40]], "float32")
    check_against_reference(boxes, scores, kernel, window=window, max_per_class=max_per_class, max_detections=7)


@each_kernel
def test_inverted_and_empty_boxes(kernel: str) -> None:
    boxes = [[[10, 10, 0, 0], [0, 0, 10, 10], [5, 5, 5, 5], [5, 5, 5, 5]]]
    found = run(boxes, [[[0.9], [0.8], [0.7], [0.6]]], kernel=kernel)
    assert found["num_detections"].tolist() == [3]  # the first two are one box, as TensorFlow's kernel has it
    assert np.isfinite(found["scores"]).all()


@each_kernel
def test_nothing_above_the_threshold(kernel: str) -> None:
    found = run(np.zeros((2, 9, 4)), np.zeros((2, 9, 3)), kernel=kernel, max_detections=4)
    assert found["num_detections"].tolist() == [0, 0]
    assert all((found[name] == -1).all() for name in ("boxes", "scores", "labels"))


@each_kernel
def test_extreme_thresholds_of_logits(kernel: str) -> None:
    logits = np.array([[[-100.0], [0.0], [100.0], [3.0]]])
    counts = {
        t: run(ROW, logits, kernel=kernel, nms="none", from_logits=True, score_threshold=t)["num_detections"][0]
        for t in (0.0, 0.5, 0.9, 1.0)
    }
    assert counts == {0.0: 4, 0.5: 2, 0.9: 2, 1.0: 0}


@each_kernel
def test_logits_and_probabilities_agree(kernel: str) -> None:
    boxes, _, sizes = random_case(3, B=2, A=60, K=4, levels=2)
    logits = np.random.default_rng(0).normal(-2, 2, (2, 60, 4)).astype("float32")
    one = run(boxes, logits, kernel=kernel, level_sizes=sizes, from_logits=True, top_k=50)
    other = run(boxes, 1 / (1 + np.exp(-logits)), kernel=kernel, level_sizes=sizes, top_k=50)
    for name, value in other.items():
        np.testing.assert_allclose(one[name], value, atol=1e-6)


# --- against the definition, and against other libraries ------------------------------------------------------------


@each_kernel
@pytest.mark.parametrize("nms", ["per_class", "agnostic", "none"])
@pytest.mark.parametrize(
    ("B", "A", "K", "levels", "top_k", "max_detections"),
    [
        (1, 40, 1, 1, 1000, 300),
        (3, 70, 3, 3, 11, 20),
        (1, 40, 80, 4, 60, 90),
        (1, 130, 5, 2, None, 7),
        (2, 5, 2, 5, 1, 3),
    ],
)
def test_random_cases(
    kernel: str, nms: str, B: int, A: int, K: int, levels: int, top_k: int | None, max_detections: int
) -> None:
    for seed, nms_threshold in ((0, 0.5), (1, 0.3)):
        boxes, scores, sizes = random_case(seed, B, A, K, levels)
        check_against_reference(
            boxes,
            scores,
            kernel,
            level_sizes=sizes,
            nms=nms,
            top_k=top_k,
            max_detections=max_detections,
            nms_threshold=nms_threshold,
        )


@each_kernel
@pytest.mark.parametrize("top_k", TOP_K)
@pytest.mark.parametrize(
    ("case", "settings"),
    {
        "default": {},
        "agnostic": {"nms": "agnostic"},
        "nonms": {"nms": "none"},
        "tight": {"score_threshold": 0.6, "nms_threshold": 0.3, "max_detections": 20},
        "max5": {"max_detections": 5},
        "none": {"score_threshold": 1.1},
    }.items(),
)
def test_fizyr_golden(
    shared: Callable[[str], Path], kernel: str, top_k: int | None, case: str, settings: dict[str, Any]
) -> None:
    golden = np.load(shared("reference/fizyr_golden/filter_golden.npz"))
    found = run(golden["boxes"][None], golden["scores"][None], kernel=kernel, top_k=top_k, **settings)
    for name in ("boxes", "scores", "labels"):
        np.testing.assert_array_equal(found[name][0], golden[f"{case}/{name}"])


@each_kernel
@pytest.mark.parametrize("model", FIZYR_MODELS)
@pytest.mark.parametrize(
    ("case", "settings"),
    {
        "raw": {},
        "agnostic": {"nms": "agnostic"},
        "nonms": {"nms": "none"},
        "tight": {"score_threshold": 0.1, "nms_threshold": 0.3, "max_detections": 20},
    }.items(),
)
def test_fizyr_heads(
    shared: Callable[[str], Path], kernel: str, model: str, case: str, settings: dict[str, Any]
) -> None:
    stored = np.load(shared(f"reference/{model}/reference.npz"))
    boxes = np.clip(stored["decoded"], 0, [277, 197, 277, 197])  # fizyr clips to the last pixel of 198 x 278
    sizes = tuple(int(h * w * 9) for h, w in stored["level_shapes"])
    found = run(boxes[None], stored["classification"], kernel=kernel, level_sizes=sizes, **settings)
    assert found["num_detections"][0] == (stored[f"{case}_labels"] >= 0).sum()
    np.testing.assert_array_equal(found["labels"], stored[f"{case}_labels"])
    np.testing.assert_allclose(found["scores"], stored[f"{case}_scores"], atol=1e-6)
    np.testing.assert_allclose(found["boxes"], stored[f"{case}_boxes"], atol=1e-3)


@each_kernel
@pytest.mark.parametrize("model", TORCH_MODELS)
@pytest.mark.parametrize("is_tight", [False, True])
def test_torch_heads(shared: Callable[[str], Path], kernel: str, model: str, is_tight: bool) -> None:
    stored = np.load(shared(f"reference/{model}/reference.npz"))
    settings = {"max_detections": 100 if model == "detectron2_r50" else 300}
    if is_tight:
        settings = {"score_threshold": 0.02, "nms_threshold": 0.3, "max_detections": 25, "top_k": 20}
    height, width = (int(n) for n in stored["resized_size"])
    bounds = [width, height, width, height]
    boxes = stored["decoded"] if model == "detectron2_r50" else np.clip(stored["decoded"], 0, bounds)
    sizes = tuple(int(h * w * 9) for h, w in stored["level_shapes"])
    found = run(boxes[None], stored["cls_logits"], kernel=kernel, from_logits=True, level_sizes=sizes, **settings)
    count = found["num_detections"][0]
    original = np.array([211 / width, 150 / height] * 2)
    found_boxes = np.clip(found["boxes"][0, :count], 0, bounds) * original
    prefix = "tight" if is_tight else "det"
    np.testing.assert_array_equal(found["labels"][0, :count], stored[f"{prefix}_labels"])
    np.testing.assert_allclose(found["scores"][0, :count], stored[f"{prefix}_scores"], atol=1e-6)
    np.testing.assert_allclose(found_boxes, stored[f"{prefix}_boxes"], atol=1e-3)


# --- the layer ------------------------------------------------------------------------------------------------------

NON_DEFAULT = {
    "score_threshold": 0.2,
    "nms_threshold": 0.4,
    "max_detections": 7,
    "top_k": 9,
    "nms": "agnostic",
    "class_thresholds": (0.25, 0.5),
    "temperature": 2.0,
    "score_bias": -0.5,
    "from_logits": True,
    "kernel": "ops",
}


def test_config_holds_every_argument() -> None:
    layer = FilterDetections(**NON_DEFAULT, name="filter")
    config = layer.get_config()
    assert {name: config[name] for name in NON_DEFAULT} == NON_DEFAULT
    assert {name: getattr(layer, name) for name in NON_DEFAULT} == NON_DEFAULT
    restored = keras.layers.deserialize(keras.layers.serialize(layer))
    assert restored.get_config() == config


def test_only_the_fused_kernel_excludes_xla() -> None:
    assert FilterDetections(kernel="ops").supports_jit
    assert FilterDetections().supports_jit is (BACKEND != "tensorflow")


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16", "bfloat16"])
def test_boxes_stay_float32_under_every_policy(policy: str) -> None:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        layer = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(FilterDetections()))
        box = np.array([[[1001.3, 799.7, 1332.6, 1333.1]]], "float32")
        found = layer(box, np.array([[[0.9]]], "float32"))
    finally:
        keras.config.set_dtype_policy(before)
    np.testing.assert_allclose(ops.convert_to_numpy(found["boxes"])[0, 0], box[0, 0], atol=1e-3)
    assert keras.backend.standardize_dtype(found["boxes"].dtype) == "float32"
    assert keras.backend.standardize_dtype(found["labels"].dtype) == "int32"


def test_half_scores_are_filtered_in_float32() -> None:
    scores = ops.cast(np.array([[[0.9], [0.8], [0.7], [0.6]]]), "bfloat16")
    found = FilterDetections(nms="none", max_detections=4)(ROW, scores)
    np.testing.assert_allclose(ops.convert_to_numpy(found["scores"])[0], [0.9, 0.8, 0.7, 0.6], atol=4e-3)


def functional_model(layer: FilterDetections, level_shape: tuple[int | None, int] = (None, 4)) -> keras.Model:
    """Boxes are the pyramid's anchors, so their number is known only when it runs."""
    levels = {name: keras.Input(level_shape, name=name) for name in ("P3", "P4")}
    scores = keras.Input((None, 3), name="scores")
    found = layer(keras.layers.Concatenate(axis=1)(list(levels.values())), scores, levels)
    return keras.Model({**levels, "scores": scores}, found)


def test_functional_model_with_levels() -> None:
    model = functional_model(FilterDetections(top_k=4, max_detections=6))
    assert model.output["boxes"].shape == (None, 6, 4)
    boxes, scores, _ = random_case(0, B=2, A=50, K=3, levels=1)
    found = model.predict({"P3": boxes[:, :30], "P4": boxes[:, 30:], "scores": scores}, verbose=0)
    expected = run(boxes, scores, level_sizes=(30, 20), top_k=4, max_detections=6)
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value)


def test_saved_model_file(tmp_path: Path) -> None:
    model = functional_model(FilterDetections(top_k=4, max_detections=6, nms="none"))
    model.save(tmp_path / "model.keras")
    restored = keras.models.load_model(tmp_path / "model.keras")
    boxes, scores, _ = random_case(0, B=1, A=20, K=3, levels=1)
    batch = {"P3": boxes[:, :15], "P4": boxes[:, 15:], "scores": scores}
    for name, value in model.predict(batch, verbose=0).items():
        np.testing.assert_array_equal(restored.predict(batch, verbose=0)[name], value)


@only_tensorflow
@each_kernel
def test_saved_model_with_dynamic_sizes(tmp_path: Path, kernel: str) -> None:
    import tensorflow as tf

    class Filter(tf.Module):
        @tf.function(
            input_signature=[
                tf.TensorSpec((None, None, 4)),
                tf.TensorSpec((None, None, 3)),
                tf.TensorSpec([2], tf.int32),
            ],
            autograph=False,
        )
        def __call__(self, boxes: tf.Tensor, scores: tf.Tensor, sizes: tf.Tensor) -> dict[str, tf.Tensor]:
            return filter_detections(boxes, scores, level_sizes=[sizes[0], sizes[1]], top_k=10, kernel=kernel)

    tf.saved_model.save(Filter(), str(tmp_path))
    restored = tf.saved_model.load(str(tmp_path))
    operations = {node.op for node in restored.signatures["serving_default"].graph.as_graph_def().node}
    assert not operations & {"PyFunc", "EagerPyFunc", "PyFuncStateless"}
    for A in (7, 31):
        boxes, scores, sizes = random_case(A, B=2, A=A, K=3, levels=2)
        expected = run(boxes, scores, level_sizes=sizes, top_k=10, kernel=kernel)
        for name, value in restored(boxes, scores, tf.constant(sizes)).items():
            np.testing.assert_array_equal(value, expected[name])


@only_tensorflow
def test_ops_kernel_compiles_with_xla() -> None:
    import tensorflow as tf

    boxes, scores, sizes = random_case(1, B=2, A=40, K=3, levels=2)
    compiled = tf.function(filter_detections, jit_compile=True, autograph=False)
    found = compiled(tf.constant(boxes), tf.constant(scores), level_sizes=sizes, top_k=10, kernel="ops")
    for name, value in run(boxes, scores, level_sizes=sizes, top_k=10).items():
        np.testing.assert_array_equal(found[name], value)


@pytest.mark.skipif(BACKEND != "jax", reason="about jax.jit")
def test_jax_jit() -> None:
    import jax

    boxes, scores, sizes = random_case(1, B=2, A=40, K=3, levels=2)
    found = jax.jit(lambda b, s: filter_detections(b, s, level_sizes=sizes, top_k=10))(boxes, scores)
    for name, value in run(boxes, scores, level_sizes=sizes, top_k=10).items():
        np.testing.assert_array_equal(found[name], value)


@pytest.mark.parametrize(
    "settings",
    [{"nms": "soft"}, {"kernel": "cuda"}, {"nms_threshold": 1.5}, {"max_detections": 0}, {"top_k": 0}],
)
def test_wrong_settings_are_named(settings: dict[str, Any]) -> None:
    ((name, value),) = settings.items()
    with pytest.raises(ValueError, match=f"{name}.*{value}"):
        FilterDetections(**settings)
    with pytest.raises(ValueError, match=f"{name}.*{value}"):
        filter_detections(ROW, np.zeros((1, 4, 1)), **settings)


@only_tensorflow
@pytest.mark.parametrize(
    ("backend", "selection"),
    [
        # XLA compiles each case anew: one of each kind
        (
            "jax",
            "golden and not (tight or max5) or random_cases and 70-3 or equal_scores or is_kept or bfloat16 or jit",
        ),
        ("torch", "test"),
    ],
)
def test_other_backends(backend: str, selection: str) -> None:
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    # Keras reads PyTorch tensors through np.array(), which NumPy 2 warns about
    known = "ignore:__array__ implementation:DeprecationWarning"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-n0",
        "-p",
        "no:cacheprovider",
        "-W",
        known,
        "-k",
        selection,
        __file__,
    ]
    root = Path(__file__).resolve().parents[2]
    fast = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}  # compiling takes longer than the little that is computed
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(root), **fast}
    outcome = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, timeout=300)
    assert outcome.returncode == 0, outcome.stdout[-3000:] + outcome.stderr[-1000:]
    assert "passed" in outcome.stdout


def test_threshold_in_logits_is_the_threshold() -> None:
    logits = np.array([[[math.log(0.3 / 0.7) + d] for d in (-1e-4, 1e-4)]])
    assert run(ROW[:, :2], logits, from_logits=True, score_threshold=0.3)["num_detections"].tolist() == [1]


@only_tensorflow
@pytest.mark.parametrize("nms", ["per_class", "agnostic", "none"])
def test_graphs_have_no_operator_that_a_runtime_lacks(nms: str) -> None:
    """Keras' argmax of floats tests their sign bits: ONNX of opset 18 lacks the one operator, LiteRT the other."""
    import tensorflow as tf

    function = tf.function(partial(filter_detections, nms=nms, class_thresholds=(0.3, 0.6)), autograph=False)
    graph = function.get_concrete_function(tf.TensorSpec((None, None, 4)), tf.TensorSpec((None, None, 2))).graph
    assert {operation.type for operation in graph.get_operations()}.isdisjoint({"Bitcast", "BitwiseAnd"})


def test_the_best_class_is_the_first_of_equal_ones() -> None:
    scores = [[[0.4, 0.7, 0.7], [-0.0, 0.0, -1.0], [0.2, 0.1, 0.3]]]
    found = run([[[0, 0, 9, 9], [20, 0, 29, 9], [40, 0, 49, 9]]], scores, nms="agnostic", score_threshold=-0.5)
    assert found["labels"][0, :3].tolist() == [1, 2, 0]
