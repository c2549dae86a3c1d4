"""Tiles of large images: the grid, and the boxes that each tile shows.

Detection in tiles and training on tiles share the grid, so that a model sees objects cut as it saw them in training.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_retinanet.schema import Sample


def cut_tiles(height: int, width: int, size: int, overlap: float) -> Any:
    """Squares that cover an image, spread evenly; neighbours have at least `overlap` of a side in common.

    Args:
        height: Of the image, in pixels.
        width: Of the image, in pixels.
        size: Side of a tile in pixels; tiles are no larger than the image.
        overlap: Share of `size`, below 1.

    Returns:
        `(T, 4)` int64 x1, y1, x2, y2, row by row.
    """
    tops, lefts = _starts(height, size, overlap), _starts(width, size, overlap)
    return np.array([(x, y, min(x + size, width), min(y + size, height)) for y in tops for x in lefts], np.int64)


def _starts(side: int, size: int, overlap: float) -> list[int]:
    step = max(1, int(size * (1 - overlap)))
    more = -(-max(side - size, 0) // step)
    return [k * (side - size) // more for k in range(more + 1)] if more else [0]


@dataclass(frozen=True)
class TileBoxes:
    """What one tile shows of the boxes of its image.

    Attributes:
        tile: x1, y1, x2, y2 of the tile in pixels of the image.
        rows: `(N,)` int64: which boxes of the image.
        boxes: `(N, 4)` float32, clipped to the tile, in pixels of the tile.
        visible: `(N,)` float64: share of the area of each box that the tile shows.
        ignore: `(N,)` bool: ignore regions of the image, and fragments.
    """

    tile: tuple[int, int, int, int]
    rows: Any
    boxes: Any
    visible: Any
    ignore: Any

    @property
    def is_empty(self) -> bool:
        """Whether the tile shows nothing to learn: no box, or ignore regions only."""
        return not (~self.ignore).any()


def cut_boxes(sample: Sample, tiles: Any, min_visibility: float) -> list[TileBoxes]:
    """The boxes of an image in each of its tiles.

    Args:
        sample: The image.
        tiles: `(T, 4)`, from `cut_tiles`.
        min_visibility: A box of which a tile shows a smaller share of the area becomes an ignore region there.

    Returns:
        One entry per tile. Boxes that a tile does not show are not in it.
    """
    boxes = np.asarray(sample["boxes"], np.float64).reshape(-1, 4)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    is_ignored = np.asarray(sample["ignore"], bool)
    cut = []
    for tile in np.asarray(tiles).tolist():
        low, high = np.array(tile[:2]), np.array(tile[2:])
        clipped = np.concatenate([np.maximum(boxes[:, :2], low), np.minimum(boxes[:, 2:], high)], axis=1)
        sides = clipped[:, 2:] - clipped[:, :2]
        rows = np.flatnonzero((sides > 0).all(axis=1))
        visible = np.prod(sides[rows], axis=1) / areas[rows]
        own = (clipped[rows] - np.tile(low, 2)).astype(np.float32)
        ignore = is_ignored[rows] | (visible < min_visibility)
        cut.append(TileBoxes((tile[0], tile[1], tile[2], tile[3]), rows, own, visible, ignore))
    return cut
