"""Seeded annotations and detections with errors of every kind."""

import numpy as np
import pytest


def _make_set(seed, num_images=40, num_classes=3, share_of_regions=0.0):
    rng = np.random.default_rng(seed)
    samples, detections = [], []
    for image in range(num_images):
        count = int(rng.integers(0, 7))
        corners, sides = rng.uniform(0, 200, (count, 2)), rng.uniform(20, 80, (count, 2))
        boxes, labels = np.concatenate([corners, corners + sides], axis=1), rng.integers(0, num_classes, count)
        ignore = rng.uniform(size=count) < share_of_regions
        rows = rng.integers(0, max(count, 1), int(rng.integers(0, 3 * count + 1))) if count else np.zeros(0, int)
        found = boxes[rows] + rng.normal(0, 1, (len(rows), 4)) * rng.choice([2, 8, 25], len(rows))[:, None]
        extra = rng.uniform(0, 200, (int(rng.integers(0, 4)), 2))
        extra = np.concatenate([extra, extra + rng.uniform(20, 80, extra.shape)], axis=1)
        found = np.concatenate([found, extra])
        found[:, 2:] = np.maximum(found[:, 2:], found[:, :2] + 5)
        own = np.zeros(0, int)
        if len(rows):
            is_own = rng.uniform(size=len(rows)) < 0.75
            own = np.where(is_own, labels[rows], rng.integers(0, num_classes, len(rows)))
        classes = np.concatenate([own, rng.integers(0, num_classes, len(extra))])
        scores = rng.uniform(size=len(found))
        best = np.argsort(-scores)
        samples.append({
            "image": f"{image}.jpg", "image_id": image, "boxes": boxes, "labels": labels, "ignore": ignore,
            "size": (300, 300),
        })  # fmt: skip
        detections.append({"image_id": image, "boxes": found[best], "scores": scores[best], "labels": classes[best]})
    return samples, detections


@pytest.fixture(scope="session")
def make_set():
    """`(seed, num_images, num_classes, share_of_regions) → (samples, detections)`."""
    return _make_set


def _sample(*boxes, image_id=0, labels=None, ignore=None, size=(300, 300)):
    boxes = np.array(boxes, np.float64).reshape(-1, 4)
    labels = np.zeros(len(boxes), int) if labels is None else np.array(labels)
    ignore = np.zeros(len(boxes), bool) if ignore is None else np.array(ignore, bool)
    return {
        "image": f"{image_id}.jpg", "image_id": image_id, "boxes": boxes, "labels": labels, "ignore": ignore,
        "size": size,
    }  # fmt: skip


def _found(*boxes, scores, image_id=0, labels=None):
    boxes = np.array(boxes, np.float64).reshape(-1, 4)
    labels = np.zeros(len(boxes), int) if labels is None else np.array(labels)
    return {"image_id": image_id, "boxes": boxes, "scores": np.array(scores, np.float64), "labels": labels}


@pytest.fixture(scope="session")
def sample():
    """One annotated image from boxes, labels and ignore flags."""
    return _sample


@pytest.fixture(scope="session")
def found():
    """The detections of one image from boxes, scores and labels."""
    return _found
