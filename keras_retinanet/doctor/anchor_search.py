"""A seeded search for anchors, or default boxes of SSD, with higher coverage.

The search maximises the share of boxes with a positive anchor on the real grids: a small anchor on a large stride
misses most boxes of exactly its shape, which clustering of box shapes (concentric IoU) cannot see. The number of
anchors does not change, and with it neither does the cost of the network. Of default boxes only the sizes are searched.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from keras_retinanet.anchor_coverage import NetworkBoxes, best_overlap
from keras_retinanet.config import AnchorConfig, DefaultBoxConfig
from keras_retinanet.geometry.default_boxes import DefaultBoxes

ConfigT = TypeVar("ConfigT", AnchorConfig, DefaultBoxConfig)

MAX_BOXES = 1500
"""Largest sample of boxes that the search uses."""

ROUNDS = 240
"""Candidates tried from each starting point."""

_FIRST_SPREAD, _DECAY = 1 / 8, 0.7  # of the mutations, in the logarithm; the decay is applied eight times
_LOG_LIMIT = np.log(8.0)


_Point = tuple[Any, ...]
"""Logarithms of the sizes `(L,)`, and of anchors those of the ratios `(R,)` and scales `(S,)`."""


def search_anchors(
    found: NetworkBoxes,
    anchors: AnchorConfig,
    positive_iou: float,
    seed: int = 0,
    progress: Callable[[int], object] | None = None,
) -> AnchorConfig:
    """Searches for anchors with higher coverage.

    Args:
        found: The boxes in network pixels.
        anchors: Where to start; the numbers of sizes, ratios and scales, and all other settings, are kept.
        positive_iou: IoU at or above which an anchor is positive.
        seed: The same seed finds the same anchors. Defaults to 0.
        progress: Called with 1 after each candidate. Defaults to nothing.

    Returns:
        The best anchors found; the given ones if none are better, or if their scales are given per level.
    """
    if not len(found.boxes) or (anchors.scales and isinstance(anchors.scales[0], tuple)):
        return anchors
    rng = np.random.default_rng(seed)
    sample = _draw_boxes(found, rng)

    def score(candidate: AnchorConfig) -> float:
        return _score(best_overlap(sample, candidate), positive_iou)

    starts = _starts(sample, anchors)
    return _climb(anchors, starts, lambda point: _config(point, anchors), score, rng, progress)


def search_default_boxes(
    found: NetworkBoxes,
    boxes: DefaultBoxConfig,
    max_side: float,
    positive_iou: float,
    seed: int = 0,
    progress: Callable[[int], object] | None = None,
) -> DefaultBoxConfig:
    """Searches for sizes of default boxes with higher coverage.

    Args:
        found: The boxes in network pixels.
        boxes: Where to start; ratios and strides are kept.
        max_side: Side of the image in pixels, to which sides are cut.
        positive_iou: IoU at or above which a default box is positive.
        seed: The same seed finds the same sizes. Defaults to 0.
        progress: Called with 1 after each candidate. Defaults to nothing.

    Returns:
        The best default boxes found; the given ones if none are better.
    """
    if not len(found.boxes):
        return boxes
    rng = np.random.default_rng(seed)
    sample = _draw_boxes(found, rng)

    def score(candidate: DefaultBoxConfig) -> float:
        layer = DefaultBoxes(candidate.sizes, candidate.ratios, candidate.strides, max_side)
        return _score(best_overlap(sample, layer), positive_iou)

    def config(point: _Point) -> DefaultBoxConfig:
        sizes = np.maximum(np.sort(np.exp(point[0])), 1.0)
        return dataclasses.replace(boxes, sizes=tuple(round(float(size), 1) for size in sizes))

    roots = np.log(np.prod(np.maximum(sample.boxes[:, 2:] - sample.boxes[:, :2], 1e-3), axis=1)) / 2
    low, high = np.quantile(roots, [0.03, 0.97])
    spread = np.linspace(low, high, len(boxes.sizes))
    return _climb(boxes, [(np.log(boxes.sizes),), (spread,)], config, score, rng, progress)


def _climb(
    given: ConfigT,
    starts: Sequence[_Point],
    config: Callable[[_Point], ConfigT],
    score: Callable[[ConfigT], float],
    rng: np.random.Generator,
    progress: Callable[[int], object] | None,
) -> ConfigT:
    """The best settings that random steps uphill reach from some points; the given ones if none are better."""

    def scored(candidate: ConfigT) -> float:
        if progress is not None:
            progress(1)
        return score(candidate)

    best, best_score = given, scored(given)
    for point in starts:
        point_score = scored(config(point))
        for step in range(ROUNDS):
            other = _mutated(point, _FIRST_SPREAD * _DECAY ** (8 * step / ROUNDS), rng)
            if (other_score := scored(config(other))) >= point_score:
                point, point_score = other, other_score
        if point_score > best_score + 1e-9:
            best, best_score = config(point), point_score
    return best


def _score(best: Any, positive_iou: float) -> float:
    """Share of boxes with a positive anchor, plus a small term for IoUs just below: it breaks ties and has a slope."""
    return float(np.mean(best >= positive_iou) + 0.1 * np.mean(np.minimum(best, positive_iou + 0.2)))


def _draw_boxes(found: NetworkBoxes, rng: np.random.Generator) -> NetworkBoxes:
    if len(found.boxes) <= MAX_BOXES:
        return found
    rows = np.sort(rng.choice(len(found.boxes), MAX_BOXES, replace=False))
    return found._replace(boxes=found.boxes[rows], labels=found.labels[rows], image=found.image[rows])


def _starts(found: NetworkBoxes, anchors: AnchorConfig) -> list[_Point]:
    """Starting points: the given anchors, and two with sizes and ratios spread over the quantiles of the boxes."""
    sizes, ratios, scales = (np.log(np.asarray(of, float)) for of in (anchors.sizes, anchors.ratios, anchors.scales))
    sides = np.maximum(found.boxes[:, 2:] - found.boxes[:, :2], 1e-3)
    roots, shapes = np.log(np.prod(sides, axis=1)) / 2, np.log(sides[:, 1] / sides[:, 0])
    spread_ratios = np.quantile(shapes, (np.arange(len(ratios)) + 0.5) / len(ratios))
    low, high = np.quantile(roots, [0.03, 0.97])
    smallest = np.maximum(low, np.log(anchors.strides[0]))
    doubled = smallest + np.log(2.0) * np.arange(len(sizes))
    spread = np.linspace(smallest, max(high, smallest + np.log(1.5)), len(sizes))
    return [(sizes, ratios, scales), (doubled, spread_ratios, scales), (spread, spread_ratios, scales)]


def _mutated(point: _Point, spread: float, rng: np.random.Generator) -> _Point:
    """A neighbour: some of the numbers changed, sometimes all sizes by one factor."""
    parts = []
    for values in point:
        is_changed = rng.random(len(values)) < 0.4
        parts.append(values + is_changed * rng.normal(0, spread, len(values)))
    if rng.random() < 0.3:
        parts[0] = parts[0] + rng.normal(0, 2 * spread)
    return (parts[0], *(np.clip(part, -_LOG_LIMIT, _LOG_LIMIT) for part in parts[1:]))


def _config(point: _Point, anchors: AnchorConfig) -> AnchorConfig:
    """Anchors rounded to the digits of a flag; the smallest scale is 1, so a size is its level's smallest anchor."""
    sizes, ratios, scales = (np.sort(np.exp(part)) for part in point)
    sizes = sizes * scales[0]
    return dataclasses.replace(
        anchors,
        sizes=tuple(round(float(size), 1) for size in np.maximum(sizes, 1.0)),
        ratios=tuple(round(float(ratio), 2) for ratio in ratios),
        scales=tuple(round(float(scale), 2) for scale in scales / scales[0]),
    )


def anchor_flags(anchors: AnchorConfig | DefaultBoxConfig) -> str:
    """The flags of `retinanet-train` for these anchors or sizes of default boxes."""
    named: dict[str, Any]
    if isinstance(anchors, DefaultBoxConfig):
        named = {"--default-box-sizes": anchors.sizes}
    else:
        named = {"--anchor-sizes": anchors.sizes, "--anchor-ratios": anchors.ratios, "--anchor-scales": anchors.scales}
    return " ".join(f"{flag} {','.join(f'{value:g}' for value in values)}" for flag, values in named.items())
