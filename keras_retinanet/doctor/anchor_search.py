"""Anchors that fit a data set: a seeded search over sizes, ratios and scales for the true coverage.

What counts is the share of boxes that train an anchor, on the grids of the real levels: a small anchor on a wide stride
misses most of the boxes of its own shape, which clustering of box shapes (concentric IoU) does not see. The number of
anchors stays as it is, and with it the cost of the network.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from keras_retinanet.config import AnchorConfig, ResizeConfig
from keras_retinanet.doctor.anchor_fit import NetworkBoxes, best_overlap

MOST_BOXES = 1500
"""Boxes of the sample that is searched on."""

ROUNDS = 240
"""Candidates tried from each start."""

_STEPS = 1 / 8, 0.7  # spread of the first mutations in the logarithm, and its share that remains at the end
_LOG_LIMIT = np.log(8.0)


class _Point(NamedTuple):
    """Logarithms of what is searched for."""

    sizes: Any  # (L,)
    ratios: Any  # (R,)
    scales: Any  # (S,)


def search_anchors(
    found: NetworkBoxes,
    anchors: AnchorConfig,
    resize: ResizeConfig,
    positive_iou: float,
    seed: int = 0,
    progress: Callable[[int], object] | None = None,
) -> AnchorConfig:
    """Searches for anchors that more boxes meet.

    Args:
        found: The boxes, as the network gets them.
        anchors: Where to start; the numbers of sizes, ratios and scales, and all other settings, stay.
        resize: Tells how images are padded.
        positive_iou: IoU from which an anchor learns a box.
        seed: int. The same seed finds the same anchors. Defaults to 0.
        progress: Callable. Called with 1 after each candidate. Defaults to nothing.

    Returns:
        The best anchors found; those given where none are better, or where scales are given per level.
    """
    if not len(found.boxes) or (anchors.scales and isinstance(anchors.scales[0], tuple)):
        return anchors
    rng = np.random.default_rng(seed)
    sample = _sample(found, rng)

    def score(candidate: AnchorConfig) -> float:
        if progress is not None:
            progress(1)
        return _score(best_overlap(sample, candidate, resize), positive_iou)

    best, best_score = anchors, score(anchors)
    for start in _starts(sample, anchors):
        point, point_score = start, score(_config(start, anchors))
        for turn in range(ROUNDS):
            spread = _STEPS[0] * _STEPS[1] ** (8 * turn / ROUNDS)
            other = _mutated(point, spread, rng)
            if (other_score := score(_config(other, anchors))) >= point_score:
                point, point_score = other, other_score
        if point_score > best_score + 1e-9:
            best, best_score = _config(point, anchors), point_score
    return best


def _score(best: Any, positive_iou: float) -> float:
    """Share of boxes that train an anchor; how near all come to it decides between equals and shows the way."""
    return float(np.mean(best >= positive_iou) + 0.1 * np.mean(np.minimum(best, positive_iou + 0.2)))


def _sample(found: NetworkBoxes, rng: np.random.Generator) -> NetworkBoxes:
    if len(found.boxes) <= MOST_BOXES:
        return found
    rows = np.sort(rng.choice(len(found.boxes), MOST_BOXES, replace=False))
    return found._replace(boxes=found.boxes[rows], labels=found.labels[rows], image=found.image[rows])


def _starts(found: NetworkBoxes, anchors: AnchorConfig) -> list[_Point]:
    """The anchors given; and levels, ratios and scales spread over the quantiles of the boxes."""
    given = _Point(np.log(anchors.sizes), np.log(anchors.ratios), np.log(np.asarray(anchors.scales, float)))
    sides = np.maximum(found.boxes[:, 2:] - found.boxes[:, :2], 1e-3)
    roots, shapes = np.log(np.prod(sides, axis=1)) / 2, np.log(sides[:, 1] / sides[:, 0])
    ratios = np.quantile(shapes, (np.arange(len(given.ratios)) + 0.5) / len(given.ratios))
    low, high = np.quantile(roots, [0.03, 0.97])
    # On levels up to the largest boxes the sizes double, each filled by the scales; the rest is out of the way.
    smallest = np.maximum(low, np.log(anchors.strides[0]))
    doubled = smallest + np.log(2.0) * np.arange(len(given.sizes))
    spread = np.linspace(smallest, max(high, smallest + np.log(1.5)), len(given.sizes))
    return [given, _Point(doubled, ratios, given.scales), _Point(spread, ratios, given.scales)]


def _mutated(point: _Point, spread: float, rng: np.random.Generator) -> _Point:
    """A neighbour: a few of the numbers changed, sizes now and then all together."""
    parts = []
    for values in point:
        is_changed = rng.random(len(values)) < 0.4
        parts.append(values + is_changed * rng.normal(0, spread, len(values)))
    if rng.random() < 0.3:
        parts[0] = parts[0] + rng.normal(0, 2 * spread)
    return _Point(parts[0], np.clip(parts[1], -_LOG_LIMIT, _LOG_LIMIT), np.clip(parts[2], -_LOG_LIMIT, _LOG_LIMIT))


def _config(point: _Point, anchors: AnchorConfig) -> AnchorConfig:
    """Rounded to what a flag can say; the smallest scale is 1, so that a size is its level's smallest anchor."""
    scales = np.sort(np.exp(point.scales))
    sizes = np.sort(np.exp(point.sizes)) * scales[0]
    return dataclasses.replace(
        anchors,
        sizes=tuple(round(float(size), 1) for size in np.maximum(sizes, 1.0)),
        ratios=tuple(round(float(ratio), 2) for ratio in np.sort(np.exp(point.ratios))),
        scales=tuple(round(float(scale), 2) for scale in scales / scales[0]),
    )


def anchor_flags(anchors: AnchorConfig) -> str:
    """The flags of `retinanet-train` that ask for these anchors."""
    named = {"--anchor-sizes": anchors.sizes, "--anchor-ratios": anchors.ratios, "--anchor-scales": anchors.scales}
    return " ".join(f"{flag} {','.join(f'{value:g}' for value in values)}" for flag, values in named.items())
