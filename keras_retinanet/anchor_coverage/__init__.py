"""Anchor coverage: the share of annotated boxes that get a positive anchor, counted exactly in NumPy."""

from __future__ import annotations

from keras_retinanet.anchor_coverage.coverage import AnchorCoverage, CoverageRow, measure_coverage
from keras_retinanet.anchor_coverage.fit import Fit, best_overlap, fit_anchors
from keras_retinanet.anchor_coverage.network_boxes import NetworkBoxes, network_boxes

__all__ = [
    "AnchorCoverage",
    "CoverageRow",
    "Fit",
    "NetworkBoxes",
    "best_overlap",
    "fit_anchors",
    "measure_coverage",
    "network_boxes",
]
