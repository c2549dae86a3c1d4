"""The checks that `retinanet-doctor` runs, in the order in which findings of equal severity are listed.

To add a check, write a function with the arguments of its table and add it there. See docs/extending.md.
"""

from __future__ import annotations

from collections.abc import Callable

from keras_retinanet.config import TrainConfig
from keras_retinanet.doctor.box_checks import check_box_positions, check_box_sizes, check_duplicate_boxes
from keras_retinanet.doctor.class_checks import (
    check_class_list,
    check_empty_images,
    check_first_id,
    check_ignore_regions,
    check_rare_classes,
    check_untrained_classes,
    check_unused_classes,
)
from keras_retinanet.doctor.findings import Finding
from keras_retinanet.doctor.image_checks import (
    check_duplicate_images,
    check_files,
    check_image_sizes,
    check_leakage,
    check_orientations,
    check_pixel_formats,
)
from keras_retinanet.doctor.split_scan import ScannedSplit

SPLIT_CHECKS: dict[str, Callable[[ScannedSplit, TrainConfig], list[Finding]]] = {
    "files": check_files,
    "image_sizes": check_image_sizes,
    "orientations": check_orientations,
    "pixel_formats": check_pixel_formats,
    "duplicate_images": check_duplicate_images,
    "box_positions": check_box_positions,
    "duplicate_boxes": check_duplicate_boxes,
    "box_sizes": check_box_sizes,
    "class_list": check_class_list,
    "first_id": check_first_id,
    "unused_classes": check_unused_classes,
    "rare_classes": check_rare_classes,
    "empty_images": check_empty_images,
    "ignore_regions": check_ignore_regions,
}
"""Checks of one split: the split and the settings of the run → findings."""

PAIR_CHECKS: dict[str, Callable[[ScannedSplit, ScannedSplit, TrainConfig], list[Finding]]] = {
    "leakage": check_leakage,
    "untrained_classes": check_untrained_classes,
}
"""Checks of both splits: the training split, the validation split and the settings → findings."""
