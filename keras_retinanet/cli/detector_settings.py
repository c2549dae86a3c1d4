"""The flags of `retinanet-detect` as arguments of `Detector`."""

from __future__ import annotations

import argparse
from typing import Any

from keras_retinanet.config import FilterConfig, TileConfig, ViewConfig

USUAL_THRESHOLD = 0.3


def detector_settings(flags: argparse.Namespace, filter: FilterConfig) -> dict[str, Any]:
    """Reads the settings of a detector.

    Args:
        flags: The parsed flags.
        filter: Thresholds of the model, those of `--thresholds` included.

    Returns:
        Keyword arguments of `Detector`, without `thresholds`.
    """
    threshold = flags.score_threshold
    if threshold is None and not filter.class_thresholds:
        threshold = max(USUAL_THRESHOLD, filter.score_threshold)
    tiles = None
    if flags.tile is not None:
        overlap = TileConfig.overlap if flags.overlap is None else flags.overlap
        tiles = TileConfig(flags.tile, overlap, not flags.no_whole_pass)
    return {
        "score_threshold": threshold,
        "nms_threshold": flags.nms_threshold,
        "max_detections": flags.max_detections,
        "classes": None if flags.classes is None else tuple(flags.classes),
        "batch_size": flags.batch_size,
        "tiles": tiles,
        "views": None if flags.tta is None else ViewConfig(flags.tta),
        "exif": flags.exif,
        "workers": flags.workers,
        "winograd": flags.winograd,
    }
