"""Whether the boxes of a data set refer to images as stored, or turned upright by their EXIF orientation.

Labelling tools in a browser, OpenCV and Detectron2 show photos upright; Pillow and most scripts see the stored pixels.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from keras_retinanet.config import ExifFrame, ExifRule
from keras_retinanet.data.box_columns import BoxColumns
from keras_retinanet.data.exif import UPRIGHT, turned_size
from keras_retinanet.data.image_headers import ImageHeader
from keras_retinanet.schema import Size

_SLACK, _SLACK_SHARE = 1.0, 0.02  # pixels, and share of the side, by which a box may exceed its own image
_MAX_NAMED = 5
_FRAMES: dict[ExifFrame, str] = {"apply": "turned upright", "ignore": "as stored"}
_OTHER: dict[ExifFrame, ExifFrame] = {"apply": "ignore", "ignore": "apply"}


@dataclass(frozen=True)
class FrameRule:
    """What the user chose about the pixels that boxes refer to.

    Attributes:
        exif: `"auto"`, or the frame of all images.
        fallback: The frame of images with an EXIF orientation if neither sizes nor boxes show which it is.
        bit_depth: Bits of the values in 16-bit images. Defaults to `None`: measured.
    """

    exif: ExifRule = "auto"
    fallback: ExifFrame = "apply"
    bit_depth: int | None = None


@dataclass(frozen=True)
class ExifEvidence:
    """What annotations show about T images with an EXIF orientation: 1 turned upright, -1 as stored, 0 nothing.

    Attributes:
        by_boxes: `(T,)` int. Boxes that exceed one of the two pictures, and not the other.
        by_sizes: `(T,)` int. The annotated size is that of one of the two; not used where boxes contradict it.
    """

    by_boxes: Any
    by_sizes: Any

    @property
    def votes(self) -> Any:
        """`(T,)` int."""
        return np.where(self.by_boxes != 0, self.by_boxes, self.by_sizes)


@dataclass(frozen=True)
class Frames:
    """The decision about each image.

    Attributes:
        orientations: `(I,)` uint8. What to apply; 1 where an orientation is ignored, 0 where there is none.
        notes: The decision in one sentence; none if no image has an orientation.
    """

    orientations: Any
    notes: list[str] = field(default_factory=list)


def weigh_evidence(
    headers: Sequence[ImageHeader], annotated: Sequence[Size | None], boxes: Any, owner: Any
) -> ExifEvidence:
    """Compare annotations with both pictures of each image: the stored one, and the one turned upright.

    Args:
        headers: Headers of T images with an orientation.
        annotated: Their sizes as annotated.
        boxes: `(M, 4)` boxes in pixels.
        owner: `(M,)` int. Which of the T images each box belongs to.

    Returns:
        The evidence.
    """
    stored = np.array([header.size for header in headers], np.int64).reshape(-1, 2)
    turned = np.array([turned_size(header.size, header.orientation) for header in headers], np.int64).reshape(-1, 2)
    limits = [sizes[owner][:, ::-1] for sizes in (stored, turned)]  # (M, 2) width, height
    limits = [limit + np.maximum(_SLACK, _SLACK_SHARE * limit) for limit in limits]
    fits_stored, fits_turned = ((boxes[:, 2:] <= limit).all(axis=1) for limit in limits)
    by_box = fits_turned.astype(np.int64) - fits_stored
    by_boxes = np.sign(np.bincount(owner, by_box, minlength=len(headers))).astype(np.int64)
    given = np.array([size or (0, 0) for size in annotated], np.int64).reshape(-1, 2)
    by_sizes = (given == turned).all(axis=1).astype(np.int64) - (given == stored).all(axis=1)
    if (by_boxes * by_sizes).sum() < 0:  # written by a program that saw the other picture than the annotator
        by_sizes = np.zeros_like(by_sizes)
    return ExifEvidence(by_boxes, by_sizes)


def choose_frames(
    images: Sequence[str],
    headers: Sequence[ImageHeader | None],
    annotated: Sequence[Size | None],
    columns: BoxColumns,
    rule: FrameRule,
) -> Frames:
    """Decide for each image with an EXIF orientation whether it is applied.

    With `"auto"` each image follows its own evidence, and the majority where it has none.

    Args:
        images: Paths of I images.
        headers: Their headers, `None` for unreadable files.
        annotated: Their sizes as annotated.
        columns: All boxes.
        rule: What the user chose.

    Returns:
        The decision.
    """
    found = np.array([UPRIGHT if header is None else header.orientation for header in headers], np.uint8)
    rows = np.flatnonzero(found > UPRIGHT)
    orientations = np.zeros(len(images), np.uint8)
    if not len(rows):
        return Frames(orientations)
    evidence = _evidence_of(rows, headers, annotated, columns)
    votes, balance = evidence.votes, int(evidence.votes.sum())
    chosen: ExifFrame = rule.fallback if not balance else "apply" if balance > 0 else "ignore"
    if rule.exif != "auto":
        chosen = rule.exif
    sign = 1 if chosen == "apply" else -1
    signs = np.where(votes == 0, sign, votes) if rule.exif == "auto" else np.full(len(rows), sign)
    orientations[rows] = np.where(signs > 0, found[rows], UPRIGHT)
    others = [os.path.basename(images[row]) for row in rows[votes == -sign]]
    return Frames(orientations, [_describe(len(images), evidence, rule.exif, chosen, others)])


def _evidence_of(
    rows: Any, headers: Sequence[ImageHeader | None], annotated: Sequence[Size | None], columns: BoxColumns
) -> ExifEvidence:
    own = [header for row in rows if (header := headers[row]) is not None]
    image = np.asarray(columns.image)
    is_own = np.isin(image, rows) & (not columns.is_relative)
    boxes = np.asarray(columns.boxes, np.float64).reshape(-1, 4)[is_own]
    return weigh_evidence(own, [annotated[row] for row in rows], boxes, np.searchsorted(rows, image[is_own]))


def _describe(total: int, evidence: ExifEvidence, rule: ExifRule, chosen: ExifFrame, others: list[str]) -> str:
    """The sentence that reports the decision; `others` show the opposite."""
    votes = evidence.votes
    head = f"{len(votes)} of {total} images have an EXIF orientation; boxes refer to them {_FRAMES[chosen]}"
    wrong = f"--exif {_OTHER[chosen]} if that is wrong"
    listed = ", ".join(others[:_MAX_NAMED]) + (
        f" and {len(others) - _MAX_NAMED} more" if len(others) > _MAX_NAMED else ""
    )
    if rule != "auto":
        doubt = f", although sizes or boxes of {len(others)} show the opposite: {listed}" if others else ""
        return f"{head} (--exif {rule}){doubt}"
    if not votes.any():
        habit = "as labelling tools show them" if chosen == "apply" else "as the model sees them"
        return f"{head}, {habit}; neither sizes nor boxes show otherwise, {wrong}"
    sign = 1 if chosen == "apply" else -1
    num_boxes, num_sizes = (
        int((evidence.by_boxes == sign).sum()),
        int(((evidence.by_boxes == 0) & (votes == sign)).sum()),
    )
    reasons = [f"boxes of {num_boxes} exceed the other picture"] if num_boxes else []
    reasons += [f"sizes of {num_sizes} agree"] if num_sizes else []
    mixed = f", but to {len(others)} images {_FRAMES[_OTHER[chosen]]}: {listed}" if others else ""
    return f"{head} ({', '.join(reasons) or 'an even number each way'}){mixed}; {wrong}"


def size_in_frame(header: ImageHeader, given: Size | None, orientation: int) -> Size:
    """Height and width of an image in the frame of its boxes.

    Args:
        header: Its header.
        given: The size that the reader states, if any. It is kept if it is neither of the two, so that it is reported.
        orientation: What is applied.

    Returns:
        The size.
    """
    if given is not None and sorted(given) != sorted(header.size):
        return given
    return turned_size(header.size, orientation)
