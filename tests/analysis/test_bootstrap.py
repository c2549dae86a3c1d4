"""Resampled AP: by hand, and equal to COCO's AP of the resampled set."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from keras_retinanet.analysis.bootstrap import draw_counts, interval, mean_ap, resampled_ap
from keras_retinanet.evaluation import coco
from keras_retinanet.evaluation.coco_matches import CocoMatches, match_by_coco_at


def test_ap_by_hand():
    """One box an image, found in the first and not in the second, where a wrong detection scores less."""
    matches = CocoMatches(
        image=np.array([0, 1]),
        label=np.array([0, 0]),
        score=np.array([0.9, 0.8]),
        verdict=np.array([[1, 0], [0, 0]], np.int8),
        num_boxes=np.array([[1, 0], [1, 0]]),
    )
    ap = resampled_ap(matches, np.array([[1, 1], [2, 0], [0, 2], [1, 3]], np.int32))
    assert ap.shape == (4, 2, 2)
    np.testing.assert_allclose(ap[:, 0, 0], [51 / 101, 1, 0, 26 / 101], rtol=1e-12)  # recalls up to 1/2, 1, -, 1/4
    assert not ap[:, 0, 1].any()
    assert np.isnan(ap[:, 1]).all()  # no box of that class
    np.testing.assert_allclose(mean_ap(ap), [51 / 202, 1 / 2, 0, 13 / 101], rtol=1e-12)


def random_images(seed: int, num_boxes: int, num_detections: int) -> list[tuple[Any, Any]]:
    """12 images of 3 classes with crowds; scores are equal across images, not within one."""
    random = np.random.default_rng(seed)
    pairs = []
    for number in range(12):
        n = random.poisson(num_boxes)
        corner = random.uniform(0, 200, (n, 2))
        boxes = np.concatenate([corner, corner + random.uniform(5, 80, (n, 2))], axis=1).astype(np.float32)
        labels = random.integers(0, 3, n)
        source = random.integers(0, n, num_detections if n else 0)
        found = boxes[source] + random.normal(0, 4, (len(source), 4)).astype(np.float32)
        found[:, 2:] = np.maximum(found[:, 2:], found[:, :2] + 1)
        own = np.where(random.random(len(source)) < 0.8, labels[source], random.integers(0, 3, len(source)))
        scores = random.permutation(500)[: len(source)] / 500
        sample = {"image": str(number), "image_id": number, "boxes": boxes, "labels": labels}
        found_here = {"image_id": number, "boxes": found, "scores": scores, "labels": own}
        pairs.append((sample | {"ignore": random.random(n) < 0.1}, found_here))
    return pairs


@pytest.mark.parametrize(("num_boxes", "num_detections"), [(3, 20), (40, 450)])
def test_ap_is_that_of_the_resampled_set(num_boxes, num_detections):
    """With crowds, images without boxes, equal scores, and more than 100 detections of a class in an image."""
    pairs = random_images(num_boxes, num_boxes, num_detections)
    counts = np.concatenate([np.ones((1, 12), np.int32), draw_counts(12, 3, seed=1)])
    ap = resampled_ap(match_by_coco_at(pairs, 3), counts)
    for row, times in enumerate(counts):
        copies = [pair for pair, count in zip(pairs, times, strict=True) for _ in range(count)]
        samples, found = (
            [{**entry, "image_id": k} for k, entry in enumerate(side)] for side in zip(*copies, strict=True)
        )
        result = coco.evaluate(samples, found, ["a", "b", "c"])
        assert result.stats["AP"] > 0.05
        assert mean_ap(ap)[row] == pytest.approx(result.stats["AP"], abs=1e-12)
        assert mean_ap(ap[:, :, :1])[row] == pytest.approx(result.stats["AP50"], abs=1e-12)
        np.testing.assert_allclose(ap[row].mean(axis=1), result.per_class["AP"], rtol=0, atol=1e-12)


def test_each_set_has_as_many_images():
    counts = draw_counts(7, 50, seed=3)
    assert counts.shape == (50, 7)
    assert set(counts.sum(axis=1)) == {7}
    assert (draw_counts(7, 50, seed=3) == counts).all()
    assert len(np.unique(counts, axis=0)) > 40


def test_intervals():
    values = np.arange(1001) / 1000
    assert interval(values) == pytest.approx((0.025, 0.975))
    assert interval(values, 0.5) == pytest.approx((0.025, 0.975))
    assert interval(np.array([np.nan, 2.0, 2.0]), 2.0) == (2, 2)
    low, high = interval(values, 0.3085)  # Φ(-0.5): both ends move by 2 · 0.5 standard deviations: Φ(-2.96), Φ(0.96)
    assert (low, high) == pytest.approx((0.00154, 0.83147), abs=1e-3)
    assert np.isnan(interval(np.full(3, np.nan))).all()
