"""Transfers class logits between detectors: classes with equal names keep them, others are reinitialised."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import keras
import numpy as np

from keras_retinanet.model.heads import Head
from keras_retinanet.model.retinanet import RetinaNet

MAX_LISTED = 10
"""At most so many classes are listed in a message; the rest are counted."""


def default_class_names(count: int) -> tuple[str, ...]:
    """Names for the classes of a checkpoint that has none.

    Args:
        count: Number of classes.

    Returns:
        `class_0`, `class_1` …
    """
    return tuple(f"class_{index}" for index in range(count))


def copy_logits(source: RetinaNet, target: RetinaNet) -> Iterator[str]:
    """Copies the logits of classes with equal names; the target keeps its initial ones for the others.

    Args:
        source: Trained detector.
        target: Detector of the same or other classes; changed in place.

    Yields:
        Messages: which classes were copied, which were reinitialised, and why.
    """
    names = source.class_names
    if names == default_class_names(len(names)) and len(names) == len(target.class_names):
        yield f"the starting weights do not name their {len(names)} classes: taken for those of the data, in order"
        names = target.class_names
    pairs = [(names.index(name), label) for label, name in enumerate(target.class_names) if name in names]
    if not _have_same_layout(source.class_head, target.class_head):
        yield "new logits for all classes: the starting weights have another number of anchors, levels or channels"
        return
    columns = pairs
    if target.class_head.has_background:
        if not source.class_head.has_background:
            yield "new logits for all classes: those of the starting weights know no background"
            return
        columns = [*pairs, (len(names), target.num_classes)]
    elif source.class_head.has_background:
        yield "new logits for all classes: those of the starting weights are relative to a background"
        return
    for source_layer, target_layer in zip(source.class_head.predictors, target.class_head.predictors, strict=True):
        for given, taken in zip(source_layer.weights, target_layer.weights, strict=True):
            if taken.name == "depthwise_kernel":  # it knows no classes
                taken.assign(given.value)
                continue
            outputs = source.class_head.outputs_per_anchor, target.class_head.outputs_per_anchor
            taken.assign(_merge_columns(np.asarray(given.value), np.asarray(taken.value), outputs, columns))
    kept = [target.class_names[label] for _, label in pairs]
    fresh = [name for name in target.class_names if name not in kept]
    yield f"logits kept for {_format_class_list(kept)}" + (f"; new for {_format_class_list(fresh)}" if fresh else "")


def _have_same_layout(source: Head, target: Head) -> bool:
    if len(source.predictors) != len(target.predictors) or source.num_anchors != target.num_anchors:
        return False
    pairs = zip(source.predictors, target.predictors, strict=True)
    return all(_input_shapes(one) == _input_shapes(other) for one, other in pairs)


def _input_shapes(layer: keras.layers.Layer) -> list[tuple[int, ...]]:
    """Shapes of a convolution's kernels without their outputs, of which there is one per class."""
    return [tuple(weight.shape[:-1]) for weight in layer.weights if len(weight.shape) == 4]


def _merge_columns(
    given: np.ndarray, taken: np.ndarray, outputs: tuple[int, int], pairs: Sequence[tuple[int, int]]
) -> np.ndarray:
    """`taken (…, anchors · outputs)` with the columns of `pairs`, (old label, new label), copied from `given`."""
    old = given.reshape(*given.shape[:-1], -1, outputs[0])
    new = taken.reshape(*taken.shape[:-1], -1, outputs[1]).copy()
    for before, label in pairs:
        new[..., label] = old[..., before]
    return new.reshape(taken.shape)


def _format_class_list(names: Sequence[str]) -> str:
    if not names:
        return "no class"
    shown = ", ".join(names[:MAX_LISTED]) + (f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else "")
    return f"{len(names)} {'class' if len(names) == 1 else 'classes'} ({shown})"
