"""The part of the resize rule that the training images decide: EXIF orientation and the range of 16-bit images."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from keras_retinanet.config import DataConfig, ExifFrame, ResizeConfig
from keras_retinanet.data.exif import UPRIGHT
from keras_retinanet.schema import Sample


def learn_image_rule(samples: Sequence[Sample], data: DataConfig, resize: ResizeConfig) -> ResizeConfig:
    """Complete a resize rule with what was decided about the images.

    Args:
        samples: The training images.
        data: Which images; its `exif` and `bit_depth` decide if they are given.
        resize: The rule.

    Returns:
        The rule with `exif` of the majority of the images that have an orientation, `"apply"` if none has one, and the
        largest `bit_depth` of 16-bit images, that of `resize` if there are none.
    """
    exif: ExifFrame = exif_frame(samples) if data.exif == "auto" else data.exif
    depths = [sample["bit_depth"] for sample in samples if "bit_depth" in sample]
    return dataclasses.replace(resize, exif=exif, bit_depth=data.bit_depth or max(depths, default=resize.bit_depth))


def exif_frame(samples: Iterable[Sample]) -> ExifFrame:
    """Whether most of the images that have an EXIF orientation are turned; `"apply"` if there are none."""
    is_turned = [sample["orientation"] > UPRIGHT for sample in samples if "orientation" in sample]
    return "apply" if 2 * sum(is_turned) >= len(is_turned) else "ignore"
