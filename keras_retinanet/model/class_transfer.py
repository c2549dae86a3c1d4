"""The logits of one detector in another: those of classes with equal names stay, the others begin anew."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from keras_retinanet.model.heads import Head
from keras_retinanet.model.retinanet import RetinaNet

SHOWN = 10
"""Classes that a line names; the others are counted."""


def default_class_names(count: int) -> tuple[str, ...]:
    """The names of classes whose checkpoint does not tell any.

    Args:
        count: Classes.

    Returns:
        `class_0`, `class_1` …
    """
    return tuple(f"class_{index}" for index in range(count))


def copy_logits(source: RetinaNet, target: RetinaNet) -> Iterator[str]:
    """Carries the logits of classes with equal names over; the target keeps its new ones for the others.

    Args:
        source: Detector that was trained.
        target: Detector of the same or other classes; changed in place.

    Yields:
        Lines for people: what was kept, what begins anew, and why.
    """
    names = source.class_names
    if names == default_class_names(len(names)) and len(names) == len(target.class_names):
        yield f"the starting weights do not name their {len(names)} classes: taken for those of the data, in order"
        names = target.class_names
    pairs = [(names.index(name), label) for label, name in enumerate(target.class_names) if name in names]
    if not _fits(source.class_head, target.class_head):
        yield "new logits for all classes: the starting weights have another number of anchors, levels or channels"
        return
    for giver, taker in zip(source.class_head.predictors, target.class_head.predictors, strict=True):
        for given, taken in zip(giver.weights, taker.weights, strict=True):
            taken.assign(
                _joined(np.asarray(given.value), np.asarray(taken.value), len(names), pairs, target.num_classes)
            )
    kept = [target.class_names[label] for _, label in pairs]
    fresh = [name for name in target.class_names if name not in kept]
    yield f"logits kept for {_told(kept)}" + (f"; new for {_told(fresh)}" if fresh else "")


def _fits(source: Head, target: Head) -> bool:
    if len(source.predictors) != len(target.predictors) or source.num_anchors != target.num_anchors:
        return False
    pairs = zip(source.predictors, target.predictors, strict=True)
    return all(giver.kernel.shape[:3] == taker.kernel.shape[:3] for giver, taker in pairs)


def _joined(
    given: np.ndarray, taken: np.ndarray, old_classes: int, pairs: Sequence[tuple[int, int]], new_classes: int
) -> np.ndarray:
    """`(…, anchors · classes)` with the columns of `pairs`, old and new label, carried over."""
    old = given.reshape(*given.shape[:-1], -1, old_classes)
    new = taken.reshape(*taken.shape[:-1], -1, new_classes).copy()
    for before, label in pairs:
        new[..., label] = old[..., before]
    return new.reshape(taken.shape)


def _told(names: Sequence[str]) -> str:
    if not names:
        return "no class"
    shown = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
    return f"{len(names)} {'class' if len(names) == 1 else 'classes'} ({shown})"
