"""Galleries: pictures with what is annotated and what was found, to be drawn by the page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

import numpy as np

from keras_retinanet.evaluation.matching import match_by_coco, overlap_matrix
from keras_retinanet.report.pictures import Picture, Pictures
from keras_retinanet.schema import Detections, Sample

IOU = 0.5
"""IoU from which a detection is drawn as right."""
MAX_ITEMS = 24
"""Pictures of one gallery."""
MAX_BOXES = 150
"""Annotated boxes and detections of one picture."""
MIN_SCORE = 0.05
"""Detections that score less are not drawn, unless a picture is about them."""
_NOTHING: Detections = {"boxes": np.zeros((0, 4)), "scores": np.zeros(0), "labels": np.zeros(0, np.int32)}


@dataclass(frozen=True)
class Pick:
    """What one picture of a gallery is about.

    Attributes:
        image: Position of the image.
        caption: A few words.
        truth: Position of the annotated box in its image; `None` if it is not about one.
        found: Position of the detection among those of the image; `None` if it is not about one.
    """

    image: int
    caption: str
    truth: int | None = None
    found: int | None = None


@dataclass(frozen=True)
class Gallery:
    """Pictures of one kind.

    Attributes:
        title: Its name.
        explanation: What they have in common.
        picks: The pictures, the most interesting first.
    """

    title: str
    explanation: str
    picks: Sequence[Pick] = field(default_factory=tuple)


def draw_galleries(
    galleries: Iterable[Gallery], samples: Sequence[Sample], found: Mapping[int | str, Detections], pictures: Pictures
) -> list[dict[str, Any]]:
    """Converts galleries to what the page draws. Pictures are taken in turns, so that a limit on their size cuts all.

    Args:
        galleries: The galleries; those without a picture are left out.
        samples: The annotated images.
        found: Their detections by image id.
        pictures: Receives the pictures.

    Returns:
        `{"title", "explanation", "items"}` of each.
    """
    kept = [gallery for gallery in galleries if gallery.picks]
    items: list[list[dict[str, Any]]] = [[] for _ in kept]
    for turn in range(MAX_ITEMS):
        for gallery, own in zip(kept, items, strict=True):
            if turn < len(gallery.picks):
                item = _draw_item(gallery.picks[turn], samples, found, pictures)
                own.extend([item] if item else [])
    return [
        {"title": gallery.title, "explanation": gallery.explanation, "items": own}
        for gallery, own in zip(kept, items, strict=True)
        if own
    ]


def _draw_item(
    pick: Pick, samples: Sequence[Sample], found: Mapping[int | str, Detections], pictures: Pictures
) -> dict[str, Any] | None:
    """What the page needs for one picture; `None` without a picture."""
    sample = samples[pick.image]
    entry = found.get(sample["image_id"]) or _NOTHING
    own = [pair for pair in ((sample, pick.truth), (entry, pick.found)) if pair[1] is not None]
    picture = pictures.add(sample, enclose([side["boxes"][row] for side, row in own]) if own else None)
    if picture is None:
        return None
    score_of_box, verdicts = match_image(sample, entry)
    about = [int(side["labels"][row]) for side, row in own] or [*sample["labels"], *entry["labels"]]
    truth = [
        {**box, "score": score_of_box[row], "isIgnored": bool(sample["ignore"][row])}
        for row, box in _boxes_of(sample, picture, pick.truth)
    ]
    scores = np.asarray(entry["scores"], np.float64).round(4).tolist()
    detections = [
        {**box, "score": scores[row], "verdict": verdicts[row]}
        for row, box in _boxes_of(entry, picture, pick.found)
        if scores[row] >= MIN_SCORE or row == pick.found
    ]
    return {
        "picture": picture.position,
        "width": picture.width,
        "height": picture.height,
        "caption": pick.caption,
        "name": PurePath(str(sample["image"]).replace("\\", "/")).name,
        "labels": sorted({int(label) for label in about}),
        "truth": truth,
        "found": detections,
    }


def enclose(boxes: Sequence[Any]) -> Any:
    """The smallest box around some.

    Args:
        boxes: `(N, 4)`, at least one.

    Returns:
        `(4,)` float64.
    """
    table = np.asarray(boxes, np.float64).reshape(-1, 4)
    return np.concatenate([table[:, :2].min(axis=0), table[:, 2:].max(axis=0)])


def _boxes_of(side: Any, picture: Picture, focus: int | None) -> Iterator[tuple[int, dict[str, Any]]]:
    """Position and place of the boxes of a sample or of its detections that are in the picture, the first ones."""
    placed = picture.place(side["boxes"])
    is_inside = (placed[:, 2:] > 0).all(axis=1) & (placed[:, :2] < [picture.width, picture.height]).all(axis=1)
    rows = np.flatnonzero(is_inside)[:MAX_BOXES].tolist()
    for row in rows if focus is None or focus in rows else [*rows, focus]:
        yield row, {"box": placed[row].round(1).tolist(), "label": int(side["labels"][row]), "isFocus": row == focus}


def match_image(sample: Sample, entry: Detections) -> tuple[list[float], list[str]]:
    """Matches the detections of an image by COCO's rule.

    Args:
        sample: The annotated image.
        entry: Its detections.

    Returns:
        The score of the detection that finds each box, 0 for none; for each detection `"right"`, `"wrong"` or
        `"ignored"`.
    """
    truth, ignore = np.asarray(sample["labels"], np.int64), np.asarray(sample["ignore"], bool)
    scores = np.asarray(entry["scores"], np.float64)
    order = np.argsort(-scores, kind="stable")
    overlaps = overlap_matrix(entry["boxes"], sample["boxes"], ignore)[order]
    overlaps[np.asarray(entry["labels"], np.int64)[order, None] != truth] = -1
    matched = match_by_coco(overlaps, ignore, IOU) if len(truth) else np.full(len(scores), -1)
    score_of_box, verdicts = [0.0] * len(truth), ["wrong"] * len(scores)
    for row, box in zip(order.tolist(), matched.tolist(), strict=True):
        if box >= 0:
            verdicts[row] = "ignored" if ignore[box] else "right"
            score_of_box[box] = max(score_of_box[box], round(float(scores[row]), 4))
    return score_of_box, verdicts
