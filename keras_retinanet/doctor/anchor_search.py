"""A seeded search for anchor sizes, ratios and scales with higher coverage.

The search maximises the share of boxes with a positive anchor on the real grids: a small anchor on a large stride
misses most boxes of exactly its shape, which clustering of box shapes (concentric IoU) cannot see. The number of
anchors does not change, and with it neither does the cost of the network.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from keras_retinanet.anchor_coverage import NetworkBoxes, best_overlap
from keras_retinanet.config import AnchorConfig

MAX_BOXES = 1500
"""Largest sample of boxes that the search uses."""

ROUNDS = 240
"""Candidates tried from each starting point."""

_FIRST_SPREAD, _DECAY = 1 / 8, 0.7  # of the mutations, in the logarithm; the decay is applied eight times
_LOG_LIMIT = np.log(8.0)


class _Point(NamedTuple):
    """Logarithms of sizes, ratios and scales."""

    sizes: Any  # (L,)
    ratios: Any  # (R,)
    scales: Any  # (S,)


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
        if progress is not None:
            progress(1)
        return _score(best_overlap(sample, candidate), positive_iou)

    best, best_score = anchors, score(anchors)
    for start in _starts(sample, anchors):
        point, point_score = start, score(_config(start, anchors))
        for step in range(ROUNDS):
            spread = _FIRST_SPREAD * _DECAY ** (8 * step / ROUNDS)
            other = _mutated(point, spread, rng)
            if (other_score := score(_config(other, anchors))) >= point_score:
                point, point_score = other, other_score
        if point_score > best_score + 1e-9:
            best, best_score = _config(point, anchors), point_score
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
    given = _Point(np.log(anchors.sizes), np.log(anchors.ratios), np.log(np.asarray(anchors.scales, float)))
    sides = np.maximum(found.boxes[:, 2:] - found.boxes[:, :2], 1e-3)
    roots, shapes = np.log(np.prod(sides, axis=1)) / 2, np.log(sides[:, 1] / sides[:, 0])
    ratios = np.quantile(shapes, (np.arange(len(given.ratios)) + 0.5) / len(given.ratios))
    low, high = np.quantile(roots, [0.03, 0.97])
    smallest = np.maximum(low, np.log(anchors.strides[0]))
    doubled = smallest + np.log(2.0) * np.arange(len(given.sizes))
    spread = np.linspace(smallest, max(high, smallest + np.log(1.5)), len(given.sizes))
    return [given, _Point(doubled, ratios, given.scales), _Point(spread, ratios, given.scales)]


def _mutated(point: _Point, spread: float, rng: np.random.Generator) -> _Point:
    """A neighbour: some of the numbers changed, sometimes all sizes by one factor."""
    parts = []
    for values in point:
        is_changed = rng.random(len(values)) < 0.4
        parts.append(values + is_changed * rng.normal(0, spread, len(values)))
    if rng.random() < 0.3:
        parts[0] = parts[0] + rng.normal(0, 2 * spread)
    return _Point(parts[0], np.clip(parts[1], -_LOG_LIMIT, _LOG_LIMIT), np.clip(parts[2], -_LOG_LIMIT, _LOG_LIMIT))


def _config(point: _Point, anchors: AnchorConfig) -> AnchorConfig:
    """Anchors rounded to the digits of a flag; the smallest scale is 1, so a size is its level's smallest anchor."""
    scales = np.sort(np.exp(point.scales))
    sizes = np.sort(np.exp(point.sizes)) * scales[0]
    return dataclasses.replace(
        anchors,
        sizes=tuple(round(float(size), 1) for size in np.maximum(sizes, 1.0)),
        ratios=tuple(round(float(ratio), 2) for ratio in np.sort(np.exp(point.ratios))),
        scales=tuple(round(float(scale), 2) for scale in scales / scales[0]),
    )


def anchor_flags(anchors: AnchorConfig) -> str:
    """The flags of `retinanet-train` for these anchors."""
    named = {"--anchor-sizes": anchors.sizes, "--anchor-ratios": anchors.ratios, "--anchor-scales": anchors.scales}
    return " ".join(f"{flag} {','.join(f'{value:g}' for value in values)}" for flag, values in named.items())
