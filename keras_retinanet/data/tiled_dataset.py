"""Cuts the images of a data set into tiles, with their boxes, so that a model is trained as it is used in tiles."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from keras_retinanet.config import CutConfig
from keras_retinanet.data.box_columns import BoxReport
from keras_retinanet.data.datasets import Dataset
from keras_retinanet.data.errors import DataError
from keras_retinanet.data.exif import UPRIGHT
from keras_retinanet.data.large_images import open_image
from keras_retinanet.data.sixteen_bits import ALL_BITS
from keras_retinanet.data.tiling import TileBoxes, cut_boxes, cut_tiles
from keras_retinanet.data.writers import image_names
from keras_retinanet.schema import Sample

_JPEG_QUALITY = 95
_MAX_NAMED = 5


@dataclass(frozen=True)
class TiledSplit:
    """A split in tiles; satisfies `datasets.Dataset`.

    Attributes:
        class_names: Names, label 0 first.
        samples: The tiles, whose image files have been written, and the images that fit into one tile, as they are.
        report: What the reader reported, and a note on what was cut.
        originals: Paths of the images that were cut.
        category_ids: The source's own ID of each label, or `None`.
    """

    class_names: tuple[str, ...]
    samples: list[Sample]
    report: BoxReport
    originals: list[str]
    category_ids: tuple[int | None, ...] | None = None

    def __len__(self) -> int:
        return len(self.samples)

    def __iter__(self) -> Iterator[Sample]:
        return iter(self.samples)


@dataclass(frozen=True)
class _Planned:
    """A tile that may be written; `boxes` is `None` for an image that is one tile."""

    image: int
    boxes: TileBoxes | None
    is_empty: bool


def cut_dataset(
    dataset: Dataset,
    folder: Path,
    cut: CutConfig,
    *,
    empty_share: float = 1.0,
    progress: Callable[[int], object] | None = None,
) -> TiledSplit:
    """Cut a split into tiles and write their image files.

    Names tell the origin: `street_x1024_y0.png` begins at column 1024 and row 0 of `street.jpg`.

    Args:
        dataset: The split. Images that are no larger than a tile stay as they are.
        folder: New folder of the tiles.
        cut: How it is cut.
        empty_share: Share of the tiles without objects that is kept, chosen by `cut.seed`. Defaults to all.
        progress: Called with 1 after each image. Defaults to `None`.

    Returns:
        The tiles. Images that cannot be decoded are left out and named in a note.

    Raises:
        OSError: A tile cannot be written.
    """
    samples = list(dataset)
    stems = [Path(name).stem for name in image_names(samples)]
    planned = _plan(samples, cut)
    kept = _without_some_empty(planned, empty_share, cut.seed)
    folder.mkdir(parents=True)
    tiles: list[Sample] = []
    broken: list[str] = []
    with ThreadPoolExecutor() as pool:
        for index, group in itertools.groupby(kept, key=lambda tile: tile.image):
            try:
                tiles += _cut_image(samples[index], stems[index], list(group), folder, cut, pool)
            except DataError as error:
                broken.append(f"{error.where} {error.found}")
            if progress is not None:
                progress(1)
    notes = [*dataset.report.notes, *_notes(planned, kept, cut, broken)]
    report = dataclasses.replace(dataset.report, notes=notes)
    originals = [sample["image"] for sample in samples]
    return TiledSplit(dataset.class_names, tiles, report, originals, getattr(dataset, "category_ids", None))


def _plan(samples: Sequence[Sample], cut: CutConfig) -> list[_Planned]:
    planned = []
    for index, sample in enumerate(samples):
        height, width = sample["size"]
        tiles = cut_tiles(height, width, cut.size, cut.overlap)
        if len(tiles) == 1:
            planned.append(_Planned(index, None, not (~np.asarray(sample["ignore"], bool)).any()))
        else:
            found = cut_boxes(sample, tiles, cut.min_visibility)
            planned += [_Planned(index, boxes, boxes.is_empty) for boxes in found]
    return planned


def _without_some_empty(planned: Sequence[_Planned], share: float, seed: int) -> list[_Planned]:
    empty = np.flatnonzero([tile.is_empty for tile in planned])
    order = np.random.default_rng(seed).permutation(empty)
    left_out = set(order[round(share * len(empty)) :].tolist())
    return [tile for number, tile in enumerate(planned) if number not in left_out]


def _cut_image(
    sample: Sample, stem: str, group: Sequence[_Planned], folder: Path, cut: CutConfig, pool: ThreadPoolExecutor
) -> list[Sample]:
    """Write the tiles of one image, row by row: of a large image few rows are in memory."""
    if group[0].boxes is None:
        return [sample]
    image = open_image(sample["image"], sample.get("bit_depth", ALL_BITS), sample.get("orientation", UPRIGHT))
    if tuple(image.shape[:2]) != tuple(sample["size"]):
        found = f"is {image.shape[:2]} pixels high and wide, but {sample['size']} in the annotations"
        raise DataError(sample["image"], found, "the annotated size", "correct it")
    written = []
    for _, row in itertools.groupby(group, key=lambda tile: tile.boxes.tile[1] if tile.boxes else 0):
        parts = [tile.boxes for tile in row if tile.boxes is not None]
        pixels = [image[part.tile[1] : part.tile[3], part.tile[0] : part.tile[2]] for part in parts]
        paths = [folder / f"{stem}_x{part.tile[0]}_y{part.tile[1]}.{cut.format}" for part in parts]
        list(pool.map(_save, pixels, paths))
        written += [_tile_sample(sample, part, path) for part, path in zip(parts, paths, strict=True)]
    return written


def _save(pixels: Any, path: Path) -> None:
    if path.suffix == ".jpg":
        Image.fromarray(pixels).save(path, quality=_JPEG_QUALITY, subsampling=0)
    else:
        Image.fromarray(pixels).save(path)


def _tile_sample(sample: Sample, part: TileBoxes, path: Path) -> Sample:
    x1, y1, x2, y2 = part.tile
    tile = Sample(
        image=str(path),
        image_id=path.stem,
        boxes=part.boxes,
        labels=np.asarray(sample["labels"])[part.rows],
        ignore=part.ignore,
        size=(y2 - y1, x2 - x1),
    )
    if "areas" in sample:
        tile["areas"] = np.asarray(sample["areas"])[part.rows] * part.visible
    return tile


def _notes(planned: Sequence[_Planned], kept: Sequence[_Planned], cut: CutConfig, broken: list[str]) -> Iterator[str]:
    tiles = [tile.boxes for tile in kept if tile.boxes is not None]
    images = len({tile.image for tile in planned if tile.boxes is not None})
    fragments = sum(int((tile.ignore & (tile.visible < cut.min_visibility)).sum()) for tile in tiles)
    yield (
        f"{images} images are cut into {len(tiles)} tiles of {cut.size} pixels with an overlap of at least "
        f"{cut.overlap:g}; {fragments} fragments of boxes, of which a tile shows less than {cut.min_visibility:g}, "
        "are ignore regions there"
    )
    empty = sum(tile.is_empty for tile in planned)
    if len(kept) < len(planned):
        yield f"{len(planned) - len(kept)} of {empty} tiles without objects are left out"
    if broken:
        more = f" and {len(broken) - _MAX_NAMED} more" if len(broken) > _MAX_NAMED else ""
        yield f"{len(broken)} images that cannot be decoded are left out: {'; '.join(broken[:_MAX_NAMED])}{more}"
