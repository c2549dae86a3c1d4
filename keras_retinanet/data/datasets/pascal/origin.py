"""Whether the boxes of a Pascal VOC data set are counted from 0 or from 1.

VOC counts pixels from 1 and includes the last one. Of the packages that write its XML, most write edges counted from 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_retinanet.data.datasets.pascal.xml import VocText

_OUTVOTED = 10  # times as many sides of 1: a few zeros or fractions are slips, as the fractions in VOC 2012
_MIN_BEFORE_BORDER = 3  # boxes ending one pixel before the border; fewer may be chance


@dataclass
class OriginEvidence:
    """Counts of what the coordinates of a data set show; files that state their origin are not counted.

    Attributes:
        num_boxes: Boxes that have area.
        num_zeros: Those with `xmin` or `ymin` of 0.
        num_fractions: Those with a fraction.
        num_ones: Those with `xmin` or `ymin` of 1.
        num_at_border: Those with `xmax` of the annotated width, or `ymax` of the height, or more.
        num_before_border: Those with `xmax` or `ymax` one less than that.
    """

    num_boxes: int = 0
    num_zeros: int = 0
    num_fractions: int = 0
    num_ones: int = 0
    num_at_border: int = 0
    num_before_border: int = 0

    def add(self, texts: Iterable[VocText]) -> None:
        """Count the boxes of files."""
        counted = [text for text in texts if text.origin is None and text.objects]
        boxes = np.array([item.box for text in counted for item in text.objects], np.float64).reshape(-1, 4)
        sizes = np.array([text.size or (0, 0) for text in counted], np.int64).reshape(-1, 2)
        limits = np.repeat(sizes[:, ::-1], np.array([len(text.objects) for text in counted], np.int64), axis=0)
        has_area = ((boxes[:, :2] < boxes[:, 2:]) & (boxes[:, 2:] < np.inf)).all(axis=1)
        boxes, limits = boxes[has_area], limits[has_area]  # without clicks, and placeholders such as 0 0 0 0
        starts, ends, is_sized = boxes[:, :2], boxes[:, 2:], limits > 0
        self.num_boxes += len(boxes)
        self.num_zeros += _count_rows(starts == 0)
        self.num_ones += _count_rows(starts == 1)
        self.num_fractions += _count_rows((boxes != np.floor(boxes)) | np.isinf(boxes))
        self.num_at_border += _count_rows((ends >= limits) & is_sized)
        self.num_before_border += _count_rows((ends == limits - 1) & is_sized)

    def decide(self) -> tuple[int, str]:
        """Decide where the data set begins to count.

        A zero or a fraction means 0, unless at least ten times as many boxes begin at 1. Otherwise a box that begins at
        1 means 1; without one, three boxes that end one pixel before the border, and none at it, mean 0. What remains
        is VOC's own convention, 1.

        Returns:
            0 or 1, and the reason.
        """
        num_from_zero = self.num_zeros + self.num_fractions
        begins = f"{self.num_zeros} of {self.num_boxes} boxes begin at 0, {self.num_ones} at 1"
        seen = f"{begins}, {self.num_fractions} have fractions"
        if num_from_zero:
            return int(self.num_ones >= _OUTVOTED * num_from_zero), seen
        if self.num_ones:
            return 1, begins
        if self.num_before_border >= _MIN_BEFORE_BORDER and not self.num_at_border:
            return 0, f"{self.num_before_border} boxes end one pixel before the border, none at it"
        return 1, "VOC's convention; no coordinate shows another"


def _count_rows(is_met: Any) -> int:
    return int(is_met.any(axis=1).sum())


def describe_origin(origin: int, reason: str) -> str:
    """The sentence that reports the decision."""
    effect = "1 is subtracted from xmin and ymin" if origin else "coordinates are used as written"
    return f"VOC pixels are counted from {origin} ({reason}): {effect}; --voc-origin {1 - origin} if that is wrong"
