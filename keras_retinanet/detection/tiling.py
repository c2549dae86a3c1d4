"""Large images in tiles: cut with overlap, detect in each, merge the boxes.

Neighbouring tiles show some objects twice and cut others in two. A box that touches an inner border of its tile is a
fragment. It is compared with the boxes of other tiles in the region that both tiles cover: clipped to that region,
boxes of one object agree. A fragment is removed where a neighbour shows the whole object; fragments of an object that
no tile shows whole are joined to one box.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_retinanet.box_overlap import iou
from keras_retinanet.config import NmsMode, TileConfig
from keras_retinanet.data.large_images import LargeImage
from keras_retinanet.data.preparation import ImageFit
from keras_retinanet.data.tiling import cut_tiles
from keras_retinanet.runtimes.runtime import Runtime
from keras_retinanet.schema import Detections, RawOutputs

TOUCH = 0.02
"""A box that ends within this share of its tile's side from an inner border counts as cut."""
AGREEMENT = 0.5
"""Fragments show the same object if their IoU in the common region is above this."""

_MAX_WHOLE = 16_000_000  # pixels: more than twice the sides of usual network input


@dataclass(frozen=True)
class TileDetections:
    """Detections of all tiles of an image.

    Attributes:
        boxes: `(N, 4)` float32 in pixels of the image.
        scores: `(N,)` float32.
        labels: `(N,)` int32.
        tiles: `(N, 4)` float32, the tile in which each box was found.
        is_cut: `(N,)` bool: the box touches an inner border of its tile.
    """

    boxes: Any
    scores: Any
    labels: Any
    tiles: Any
    is_cut: Any

    @classmethod
    def of(cls, found: Sequence[Detections], tiles: Any, height: int, width: int) -> TileDetections:
        """Moves the boxes of each tile to their position in the image.

        Args:
            found: Detections of each tile, in pixels of the tile.
            tiles: `(T, 4)` in pixels of the image.
            height: Height of the image in pixels.
            width: Width of the image in pixels.

        Returns:
            All of them.
        """
        counts = [len(entry["scores"]) for entry in found]
        tiles = np.repeat(np.asarray(tiles, np.float32), counts, axis=0)  # (N, 4)
        boxes = np.concatenate([np.asarray(entry["boxes"], np.float32).reshape(-1, 4) for entry in found])
        boxes = boxes + np.tile(tiles[:, :2], 2)
        scores = np.concatenate([np.asarray(entry["scores"], np.float32) for entry in found])
        labels = np.concatenate([np.asarray(entry["labels"], np.int32) for entry in found])
        is_inner = tiles != np.array([0, 0, width, height], np.float32)
        slack = TOUCH * np.max(tiles[:, 2:] - tiles[:, :2], axis=1, initial=0, keepdims=True)
        return cls(boxes, scores, labels, tiles, (is_inner & (np.abs(boxes - tiles) <= slack)).any(axis=1))

    def at(self, index: Any) -> TileDetections:
        """Selects rows by positions or by a mask."""
        return TileDetections(
            self.boxes[index], self.scores[index], self.labels[index], self.tiles[index], self.is_cut[index]
        )


def merge(pieces: TileDetections, nms: NmsMode, nms_threshold: float) -> Detections:
    """Merges the boxes of all tiles.

    NMS is applied to the whole boxes of different tiles as in the model. Fragments are removed if a whole box shows the
    same object; the other fragments of an object are joined to their enclosing box, with the best of their scores.

    Args:
        pieces: The boxes of all tiles.
        nms: Whether boxes compete within their class, with all, or (`"none"`) only with those of other tiles.
        nms_threshold: IoU above which the lower scored of two whole boxes is removed.

    Returns:
        The detections, best first.
    """
    order = np.argsort(-pieces.scores, kind="stable")
    pieces = pieces.at(order)
    whole, cut = pieces.at(~pieces.is_cut), pieces.at(pieces.is_cut)
    whole = whole.at(_select_boxes(whole, nms, nms_threshold))
    cut = cut.at([k for k in range(len(cut.scores)) if not len(_find_agreeing(cut, k, whole, nms))])
    joined = _join_fragments(cut, nms)
    together = TileDetections(*(np.concatenate([getattr(p, name) for p in (whole, joined)]) for name in _FIELDS))
    together = together.at(np.argsort(-together.scores, kind="stable"))
    together = together.at(_select_boxes(together, nms, nms_threshold))
    return {"boxes": together.boxes, "scores": together.scores, "labels": together.labels}


_FIELDS = ("boxes", "scores", "labels", "tiles", "is_cut")


def _select_boxes(pieces: TileDetections, nms: NmsMode, threshold: float) -> Any:
    """Greedy NMS of boxes sorted from best to worst: positions of those that are kept."""
    is_left = np.ones(len(pieces.scores), bool)
    for k in range(len(is_left)):
        if is_left[k]:
            near = _find_overlapping(pieces.boxes[k], pieces.boxes[k + 1 :]) + k + 1
            others = pieces.at(near)
            repeats = _find_rivals(pieces, k, others, nms) & (iou(pieces.boxes[k], others.boxes) > threshold)
            is_left[near[repeats]] = False
    return np.flatnonzero(is_left)


def _find_overlapping(box: Any, boxes: Any) -> Any:
    """Positions of the boxes that overlap a box, which are few of the tens of thousands in a large image."""
    meets_in_x = (boxes[:, 0] < box[2]) & (boxes[:, 2] > box[0])
    return np.flatnonzero(meets_in_x & (boxes[:, 1] < box[3]) & (boxes[:, 3] > box[1]))


def _find_rivals(pieces: TileDetections, k: int, others: TileDetections, nms: NmsMode) -> Any:
    """`(N,)` bool: which of `others` may show the same object as box `k`."""
    if nms == "agnostic":
        return np.ones(len(others.scores), bool)
    same_class = others.labels == pieces.labels[k]
    return same_class if nms == "per_class" else same_class & (others.tiles != pieces.tiles[k]).any(axis=1)


def _find_agreeing(pieces: TileDetections, k: int, others: TileDetections, nms: NmsMode) -> Any:
    """Positions of `others`, from other tiles, that show the same object as box `k`.

    Clipped to the region that the tiles have in common, boxes of one object agree.
    """
    near = _find_overlapping(pieces.boxes[k], others.boxes)
    tile, others = pieces.tiles[k], others.at(near)
    low, high = np.maximum(tile[:2], others.tiles[:, :2]), np.minimum(tile[2:], others.tiles[:, 2:])
    own = _clip_boxes(pieces.boxes[k][None], low, high)
    agreement = iou(own, _clip_boxes(others.boxes, low, high))
    is_elsewhere = (others.tiles != tile).any(axis=1)
    return near[is_elsewhere & _find_rivals(pieces, k, others, nms) & (agreement > AGREEMENT)]


def _join_fragments(cut: TileDetections, nms: NmsMode) -> TileDetections:
    """Joins the fragments of each object to one box; a chain of agreeing fragments belongs to one object."""
    group = np.arange(len(cut.scores))
    for k in range(len(group)):
        for old in np.unique(group[_find_agreeing(cut, k, cut, nms)]):
            group[group == old] = group[k]
    firsts = np.unique(group, return_index=True)[1]  # the best of each: they are sorted
    boxes = [
        np.concatenate([cut.boxes[members, :2].min(axis=0), cut.boxes[members, 2:].max(axis=0)])
        for members in (group == group[first] for first in firsts)
    ]
    best = cut.at(firsts)
    return TileDetections(np.array(boxes, np.float32).reshape(-1, 4), best.scores, best.labels, best.tiles, best.is_cut)


def _clip_boxes(boxes: Any, low: Any, high: Any) -> Any:
    limits = np.concatenate([low, low], axis=1), np.concatenate([high, high], axis=1)
    return np.minimum(np.maximum(boxes, limits[0]), np.maximum(*limits))


class TiledRuntime(Runtime):
    """Detects in tiles of each image, with another runtime.

    Args:
        runtime: What detects in a tile.
        tiles: How images are cut.
        batch_size: Tiles per batch. Defaults to 4.

    Raises:
        ValueError: The side is not positive, or the overlap not in `0 … 0.9`.
    """

    def __init__(self, runtime: Runtime, tiles: TileConfig, batch_size: int = 4) -> None:
        if tiles.size < 1:
            raise ValueError(f"The side of a tile must be at least 1 pixel, not {tiles.size!r}.")
        if not 0 <= tiles.overlap <= 0.9:
            raise ValueError(f"The overlap of tiles is a share from 0 to 0.9, not {tiles.overlap!r}.")
        super().__init__(dataclasses.replace(runtime.description, image_size=None))  # only tiles have to fit
        self._runtime, self._tiles, self._batch_size = runtime, tiles, batch_size

    def raw_outputs(self, images: Any) -> RawOutputs:
        """Deltas and logits of network input, which is not cut; see `Runtime`."""
        return self._runtime.raw_outputs(images)

    def detect(
        self, images: Sequence[Any], fits: Sequence[ImageFit] | None = None, *, batch_size: int | None = None
    ) -> list[Detections]:
        """Detects in the tiles of each image; see `Runtime`. `max_detections` does not limit the whole image."""
        del fits, batch_size
        return [self.merge(self.detect_tiles(image)) for image in images]

    def merge(self, found: TileDetections) -> Detections:
        """Merges the boxes of all tiles of an image, with the model's NMS.

        Args:
            found: From `detect_tiles`.

        Returns:
            The detections, best first.
        """
        return merge(found, self.filter.nms, self.filter.nms_threshold)

    def detect_tiles(self, image: Any) -> TileDetections:
        """Detects in the tiles of an image, and in the whole of it where the settings say so.

        Args:
            image: `(h, w, 3)` uint8 RGB.

        Returns:
            The boxes of all tiles, as they were found.
        """
        height, width = image.shape[:2]
        tiles = cut_tiles(height, width, self._tiles.size, self._tiles.overlap)
        found: list[Detections] = []
        for start in range(0, len(tiles), self._batch_size):
            batch = [image[y1:y2, x1:x2] for x1, y1, x2, y2 in tiles[start : start + self._batch_size]]
            found += self._runtime.detect(batch)
        if len(tiles) > 1 and self._tiles.has_whole_pass:
            found.append(self._keep_large(self._detect_whole(image)))
            tiles = np.concatenate([tiles, [[0, 0, width, height]]])
        return TileDetections.of(found, tiles, height, width)

    def _detect_whole(self, image: Any) -> Detections:
        """Detects in the whole image; in one of hundreds of megapixels, after it was reduced by a whole number."""
        if not isinstance(image, LargeImage):
            return self._runtime.detect([image])[0]
        factor = image.factor_for(_MAX_WHOLE)
        (found,) = self._runtime.detect([image.shrunk(factor)])
        return {"boxes": found["boxes"] * factor, "scores": found["scores"], "labels": found["labels"]}

    def _keep_large(self, found: Detections) -> Detections:
        """Keeps boxes larger than the overlap, which tiles may have cut; smaller ones are whole in one of the tiles."""
        boxes = found["boxes"]
        is_large = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=0) > self._tiles.overlap * self._tiles.size
        return {"boxes": boxes[is_large], "scores": found["scores"][is_large], "labels": found["labels"][is_large]}
