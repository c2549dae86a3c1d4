"""Anchor coverage of a data set: which boxes train an anchor, by class and by size, and what would help."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_retinanet.config import AnchorConfig, AssignerConfig, ResizeConfig
from keras_retinanet.doctor.anchor_fit import Fit, NetworkBoxes, fit_anchors
from keras_retinanet.doctor.findings import Example, Finding

SIZES = (8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0)
"""Sides (root of the area) in network pixels between which coverage is counted."""

WORRYING_SHARE = 0.05
"""Share of boxes without an anchor from which it is a warning."""


@dataclass(frozen=True)
class Row:
    """Coverage of some of the boxes.

    Attributes:
        name: Which boxes.
        boxes: How many.
        covered: Of these, how many train an anchor.
        positives: Anchors that learn them, a box.
    """

    name: str
    boxes: int
    covered: int
    positives: float

    @property
    def share(self) -> float:
        """Share of the boxes that train an anchor; 1 where there are none."""
        return self.covered / self.boxes if self.boxes else 1.0


@dataclass(frozen=True)
class AnchorCoverage:
    """Coverage of a split.

    Attributes:
        all: Every box.
        by_class: Those of each class that has any.
        by_size: Those of each range of sides in network pixels.
        forced: Boxes that train an anchor only if matching is forced.
        hopeless: Boxes that no anchor overlaps at all.
        is_forced: Whether matching is forced.
    """

    all: Row
    by_class: tuple[Row, ...]
    by_size: tuple[Row, ...]
    forced: int
    hopeless: int
    is_forced: bool


def measure(
    found: NetworkBoxes,
    class_names: tuple[str, ...],
    anchors: AnchorConfig,
    assigner: AssignerConfig,
    resize: ResizeConfig,
) -> AnchorCoverage:
    """Measures coverage.

    Args:
        found: The boxes, as the network gets them.
        class_names: Names of their labels.
        anchors: The anchors.
        assigner: Which anchors learn what.
        resize: Tells how images are padded.

    Returns:
        The coverage, without what force-matching adds.
    """
    fit = fit_anchors(found, anchors, resize, assigner.positive_iou)
    sides = np.sqrt(np.prod(found.boxes[:, 2:] - found.boxes[:, :2], axis=1))
    bins = np.digitize(sides, SIZES)
    edges = [0.0, *SIZES]
    names = [f"{low:g} to {high:g} px" for low, high in itertools.pairwise(edges)] + [f"over {SIZES[-1]:g} px"]
    by_size = [_row(names[k], fit, bins == k) for k in range(len(names))]
    by_class = [_row(name, fit, found.labels == k) for k, name in enumerate(class_names)]
    is_missed = fit.positives == 0
    return AnchorCoverage(
        all=_row("all", fit, np.ones(len(sides), bool)),
        by_class=tuple(row for row in by_class if row.boxes),
        by_size=tuple(row for row in by_size if row.boxes),
        forced=int((is_missed & (fit.best > 0)).sum()),
        hopeless=int((is_missed & (fit.best <= 0)).sum()),
        is_forced=assigner.use_force_match,
    )


def _row(name: str, fit: Fit, mask: Any) -> Row:
    count = int(mask.sum())
    positives = fit.positives[mask]
    return Row(name, count, int((positives > 0).sum()), round(float(positives.sum()) / max(count, 1), 2))


def check_coverage(coverage: AnchorCoverage, split: str) -> list[Finding]:
    """A finding where many boxes train no anchor.

    Args:
        coverage: The coverage.
        split: Which images.

    Returns:
        The finding, or none.
    """
    missed = coverage.all.boxes - coverage.all.covered
    if missed <= WORRYING_SHARE * coverage.all.boxes or coverage.is_forced:
        return []
    rows = [row for row in (*coverage.by_size, *coverage.by_class) if row.covered < row.boxes]
    worst = sorted(rows, key=lambda row: (row.share, -row.boxes))
    cases = tuple(Example(row.name, f"{row.covered} of {row.boxes} boxes train an anchor") for row in worst[:5])
    title = f"{missed:,} of {coverage.all.boxes:,} boxes train no anchor ({1 - coverage.all.share:.1%})"
    fix = "try --optimise-anchors, a larger --image-min-side and --image-max-side, or --force-match"
    return [Finding("coverage", "warning", split, title, missed, cases, fix, are_cases=False)]
