"""Coverage of a data set by its anchors, by class and by size, in numbers and in words."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_retinanet.anchor_coverage.fit import Fit, fit_anchors
from keras_retinanet.anchor_coverage.network_boxes import NetworkBoxes
from keras_retinanet.config import AnchorConfig, AssignerConfig, AssignerName
from keras_retinanet.geometry.anchors import Anchors
from keras_retinanet.geometry.default_boxes import DefaultBoxes

SIZE_EDGES = (8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0)
"""Limits of the size ranges: square root of the area in network pixels."""

MAX_MISSED_SHARE = 0.05
"""A larger share of boxes without a positive anchor is worth a warning."""


@dataclass(frozen=True)
class CoverageRow:
    """Coverage of some of the boxes.

    Attributes:
        name: Which boxes.
        boxes: Number of boxes.
        covered: Number of these with a positive anchor.
        positives: Mean number of positive anchors per box.
    """

    name: str
    boxes: int
    covered: int
    positives: float

    @property
    def share(self) -> float:
        """Share of the boxes with a positive anchor; 1 if there are no boxes."""
        return self.covered / self.boxes if self.boxes else 1.0


@dataclass(frozen=True)
class AnchorCoverage:
    """Coverage of a data set at a fixed IoU threshold. The counts do not include the anchors that force-matching adds.

    That is what the assigner `iou_threshold` does; others, such as ATSS, choose thresholds that suit each box.

    Attributes:
        all: All boxes.
        by_class: The boxes of each class that has any.
        by_size: The boxes of each size range that has any.
        forced: Boxes that have a positive anchor only with force-matching.
        unreachable: Boxes that overlap no anchor at all.
        missed_side: Median side (square root of the area) in network pixels of the boxes without a positive anchor; 0
            if there are none.
        is_forced: True if force-matching is on.
        positive_iou: The IoU threshold.
        assigner: Name of the assigner that training uses.
    """

    all: CoverageRow
    by_class: tuple[CoverageRow, ...]
    by_size: tuple[CoverageRow, ...]
    forced: int
    unreachable: int
    missed_side: float
    is_forced: bool
    positive_iou: float = 0.5
    assigner: AssignerName = "iou_threshold"

    @property
    def missed(self) -> int:
        """Boxes without a positive anchor, force-matching included."""
        return self.unreachable if self.is_forced else self.forced + self.unreachable

    @property
    def is_poor(self) -> bool:
        """True if more than `MAX_MISSED_SHARE` of the boxes are missed by the assigner `iou_threshold`."""
        return self.assigner == "iou_threshold" and self.missed > MAX_MISSED_SHARE * self.all.boxes

    def describe(self) -> str:
        """One line of numbers."""
        if self.assigner != "iou_threshold":
            return (
                f"{self.all.share:.1%} of {self.all.boxes:,} boxes have an anchor of IoU ≥ {self.positive_iou:g} "
                f"(the assigner {self.assigner} uses thresholds of its own)"
            )
        forced = "are force-matched" if self.is_forced else "could be force-matched"
        return (
            f"{self.all.share:.1%} of {self.all.boxes:,} boxes have a positive anchor, "
            f"{self.all.positives:.1f} anchors per box; {self.forced:,} {forced}, "
            f"{self.unreachable:,} overlap no anchor"
        )

    def describe_missed(self) -> str:
        """The missed boxes in one phrase, without a full stop."""
        share = self.missed / max(self.all.boxes, 1)
        return (
            f"{self.missed:,} of {self.all.boxes:,} boxes have no positive anchor and train nothing ({share:.1%}); "
            f"median side {self.missed_side:.0f} px after resizing"
        )

    def advise(self) -> str:
        """How to raise the coverage, without a full stop."""
        last = "" if self.is_forced else ", or --force-match"
        return (
            "use the anchors that `retinanet-doctor … --optimise-anchors` proposes, a larger --image-min-side and "
            f"--image-max-side{last}"
        )


def measure_coverage(
    found: NetworkBoxes,
    class_names: tuple[str, ...],
    anchors: AnchorConfig | Anchors | DefaultBoxes,
    assigner: AssignerConfig,
) -> AnchorCoverage:
    """Counts the boxes that have a positive anchor.

    Args:
        found: The boxes in network pixels.
        class_names: Names of their labels.
        anchors: The anchors.
        assigner: The rule by which anchors become positive; its IoU threshold and force-matching are used.

    Returns:
        The coverage.
    """
    fit = fit_anchors(found, anchors, assigner.positive_iou)
    sides = np.sqrt(np.prod(found.boxes[:, 2:] - found.boxes[:, :2], axis=1))
    bins = np.digitize(sides, SIZE_EDGES)
    edges = [0.0, *SIZE_EDGES]
    names = [f"{low:g} to {high:g} px" for low, high in itertools.pairwise(edges)] + [f"over {SIZE_EDGES[-1]:g} px"]
    by_size = [_count_row(names[k], fit, bins == k) for k in range(len(names))]
    by_class = [_count_row(name, fit, found.labels == k) for k, name in enumerate(class_names)]
    is_uncovered, is_unreachable = fit.positives == 0, (fit.positives == 0) & (fit.best <= 0)
    is_missed = is_unreachable if assigner.use_force_match else is_uncovered
    return AnchorCoverage(
        all=_count_row("all", fit, np.ones(len(sides), bool)),
        by_class=tuple(row for row in by_class if row.boxes),
        by_size=tuple(row for row in by_size if row.boxes),
        forced=int((is_uncovered & ~is_unreachable).sum()),
        unreachable=int(is_unreachable.sum()),
        missed_side=float(np.median(sides[is_missed])) if is_missed.any() else 0.0,
        is_forced=assigner.use_force_match,
        positive_iou=assigner.positive_iou,
        assigner=assigner.assigner,
    )


def _count_row(name: str, fit: Fit, mask: Any) -> CoverageRow:
    count = int(mask.sum())
    positives = fit.positives[mask]
    return CoverageRow(name, count, int((positives > 0).sum()), round(float(positives.sum()) / max(count, 1), 2))
