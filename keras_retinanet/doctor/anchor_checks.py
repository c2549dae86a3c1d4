"""Anchor coverage of a split, and the finding if it is poor."""

from __future__ import annotations

from functools import partial

from keras_retinanet.anchor_coverage import AnchorCoverage, NetworkBoxes, measure_coverage, network_boxes
from keras_retinanet.config import TrainConfig
from keras_retinanet.doctor.findings import MAX_EXAMPLES, Example, Finding
from keras_retinanet.doctor.split_scan import ScannedSplit
from keras_retinanet.geometry.configured_anchors import anchor_layer, map_shapes


def usable_boxes(split: ScannedSplit, config: TrainConfig) -> NetworkBoxes:
    """The boxes of usable images in network pixels, on the feature maps of the usual backbones.

    Args:
        split: The split.
        config: Settings of the run; the resize rule and the strides are used.

    Returns:
        The boxes.
    """
    return network_boxes(split.usable, config.resize, partial(map_shapes, config))


def split_coverage(split: ScannedSplit, config: TrainConfig) -> AnchorCoverage:
    """Measures the anchor coverage of a split.

    Args:
        split: The split.
        config: Settings of the run.

    Returns:
        The coverage.
    """
    return measure_coverage(usable_boxes(split, config), split.class_names, anchor_layer(config), config.assigner)


def check_coverage(coverage: AnchorCoverage, split: str) -> list[Finding]:
    """Finds a split in which many boxes have no positive anchor.

    Args:
        coverage: The coverage of the split.
        split: Its name.

    Returns:
        One finding, or none.
    """
    if not coverage.is_poor:
        return []
    rows = [row for row in (*coverage.by_size, *coverage.by_class) if row.covered < row.boxes]
    worst = sorted(rows, key=lambda row: (row.share, -row.boxes))[:MAX_EXAMPLES]
    cases = tuple(Example(row.name, f"{row.covered} of {row.boxes} boxes have a positive anchor") for row in worst)
    title, fix = coverage.describe_missed(), coverage.advise()
    return [Finding("coverage", "warning", split, title, coverage.missed, cases, fix, are_cases=False)]
