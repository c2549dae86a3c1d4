"""Draws boxes, annotations and detections on images, and many images on one sheet. NumPy and Pillow only."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFont

from keras_retinanet.drawing.captions import caption_size, place_captions
from keras_retinanet.drawing.captions import line_width as thinner_line

Array = NDArray[Any]
Colour = tuple[int, int, int]

IGNORED_COLOUR: Colour = (150, 150, 150)
_BLACK: Colour = (0, 0, 0)
_WHITE: Colour = (255, 255, 255)
_USUAL_FONT_SIZE = 10  # at least, in small images
_MIN_FONT_SIZE = 6  # where a caption is wider than the image
_FIRST_COLOUR = (255, 64, 64)
_CONE_RESPONSE = (
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)
_OPPONENT = (
    (0.2104542553, 0.7936177850, -0.0040720468),
    (1.9779984951, -2.4285922050, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.8086757660),
)


@functools.lru_cache(maxsize=8)
def class_colours(num_classes: int) -> Array:
    """Chooses distinct colours: each is the one farthest from all before it.

    The first colours do not depend on the number of colours. Dark, pale and greyish colours are excluded.

    Args:
        num_classes: Number of colours. Beyond a few thousand they repeat.

    Returns:
        `(num_classes, 3)` uint8 RGB, read-only.

    Reference:
        Distances are those of OKLab (Björn Ottosson, "A perceptual color space for image processing", 2020).
    """
    levels = np.linspace(0, 255, 24).round()
    candidates = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, 3)
    lab = _to_oklab(candidates)
    is_vivid = (lab[:, 0] > 0.5) & (lab[:, 0] < 0.92) & (np.hypot(lab[:, 1], lab[:, 2]) > 0.09)
    candidates, lab = candidates[is_vivid], lab[is_vivid]
    nearest = np.full(len(lab), np.inf)
    chosen = [int(np.square(candidates - _FIRST_COLOUR).sum(axis=1).argmin())]
    while len(chosen) < min(num_classes, len(lab)):
        nearest = np.minimum(nearest, np.square(lab - lab[chosen[-1]]).sum(axis=1))
        chosen.append(int(nearest.argmax()))
    colours = np.resize(candidates[chosen].astype(np.uint8), (num_classes, 3))
    colours.flags.writeable = False
    return colours


def _to_oklab(colours: Array) -> Array:
    """`(N, 3)` OKLab coordinates of sRGB colours of 0–255."""
    shares = colours / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    return np.cbrt(linear @ np.transpose(_CONE_RESPONSE)) @ np.transpose(_OPPONENT)


def draw_boxes(
    image: Array,
    boxes: ArrayLike,
    colours: ArrayLike = _FIRST_COLOUR,
    *,
    captions: Sequence[str] | None = None,
    line_width: int | None = None,
) -> Array:
    """Draws boxes, later ones over earlier ones, and captions over all boxes, placed where they hide least.

    If there are many captions, those that would hide others or other objects are left out, the earliest boxes' first.

    Args:
        image: `(H, W, 3)` uint8 RGB; not changed.
        boxes: `(N, 4)` x1, y1, x2, y2 in pixels. Boxes without area or with values that are not finite are skipped.
        colours: `(3,)` for all boxes or `(N, 3)`, RGB of 0–255.
        captions: One text per box, empty for none. Defaults to no captions.
        line_width: Defaults to a width that suits the image, thinner for small boxes.

    Returns:
        A new `(H, W, 3)` uint8 image.

    Raises:
        ValueError: The image is not uint8 RGB, the boxes are not `(N, 4)`, or the number of captions differs.
    """
    canvas = Image.fromarray(_require_image(image).copy())
    boxes = np.asarray(boxes, np.float64) if np.size(boxes) else np.zeros((0, 4))
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"boxes have shape {boxes.shape}; expected (N, 4) with x1, y1, x2, y2")
    if captions is not None and len(captions) != len(boxes):
        raise ValueError(f"{len(captions)} captions for {len(boxes)} boxes; expected one for each, empty for none")
    shades = [_as_colour(colour) for colour in np.broadcast_to(np.asarray(colours), (len(boxes), 3))]
    shown = np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    usual = max(1, round(math.hypot(*canvas.size) / 350))
    pen = ImageDraw.Draw(canvas)
    drawn = np.flatnonzero(shown).tolist()
    for index in drawn:
        width = line_width or thinner_line(boxes[index], usual)
        pen.rectangle(_pixel_corners(boxes[index], canvas.size), outline=shades[index], width=width)
    if captions is not None:
        _write_captions(pen, [(captions[k], boxes[k], shades[k]) for k in drawn if captions[k]], canvas.size)
    return np.array(canvas)


def draw_detections(
    image: Array,
    boxes: ArrayLike,
    labels: ArrayLike,
    scores: ArrayLike,
    class_names: Sequence[str],
    *,
    score_threshold: float = 0.0,
    line_width: int | None = None,
) -> Array:
    """Draws detections with class and score, the highest scores on top.

    Args:
        image: `(H, W, 3)` uint8 RGB; not changed.
        boxes: `(D, 4)` x1, y1, x2, y2 in pixels of this image.
        labels: `(D,)` int, index into `class_names`; rows of padding, -1, are skipped.
        scores: `(D,)` float of 0–1.
        class_names: Names of the `K` classes; each has a colour of its own.
        score_threshold: Detections that score less are not drawn. Defaults to 0.
        line_width: Defaults to a width that suits the image, thinner for small boxes.

    Returns:
        A new `(H, W, 3)` uint8 image.
    """
    labels, scores = np.asarray(labels, np.int64).reshape(-1), np.asarray(scores, np.float64).reshape(-1)
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    order = np.argsort(scores, kind="stable")
    order = order[(labels[order] >= 0) & (scores[order] >= score_threshold)]
    return draw_boxes(
        image,
        boxes[order],
        _label_colours(labels[order], len(class_names)),
        captions=[f"{class_names[labels[k]]} {scores[k]:.2f}" for k in order],
        line_width=line_width,
    )


def draw_annotations(
    image: Array,
    boxes: ArrayLike,
    labels: ArrayLike,
    class_names: Sequence[str],
    *,
    ignore: ArrayLike | None = None,
    line_width: int | None = None,
) -> Array:
    """Draws annotations with their class; ignore regions (crowds, difficult objects) in grey.

    Args:
        image: `(H, W, 3)` uint8 RGB; not changed.
        boxes: `(N, 4)` x1, y1, x2, y2 in pixels of this image.
        labels: `(N,)` int, index into `class_names`; rows of padding, -1, are skipped.
        class_names: Names of the `K` classes; each has a colour of its own.
        ignore: `(N,)` bool, True for ignore regions. Defaults to none.
        line_width: Defaults to a width that suits the image, thinner for small boxes.

    Returns:
        A new `(H, W, 3)` uint8 image.
    """
    labels = np.asarray(labels, np.int64).reshape(-1)
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    ignored = np.zeros(len(labels), bool) if ignore is None else np.asarray(ignore, bool).reshape(-1)
    kept = np.flatnonzero(labels >= 0)
    colours = np.where(ignored[kept, None], IGNORED_COLOUR, _label_colours(labels[kept], len(class_names)))
    captions = [class_names[labels[k]] + (" (ignored)" if ignored[k] else "") for k in kept]
    return draw_boxes(image, boxes[kept], colours, captions=captions, line_width=line_width)


def contact_sheet(images: Sequence[Array], columns: int, *, gap: int = 4, background: Colour = (32, 32, 32)) -> Array:
    """Arranges images of any sizes in rows and columns, without resizing.

    Args:
        images: At least one `(H, W, 3)` uint8 RGB.
        columns: Images per row.
        gap: Pixels between and around them. Defaults to 4.
        background: RGB of the gaps. Defaults to dark grey.

    Returns:
        `(H', W', 3)` uint8: columns as wide as their widest image, rows as tall as their tallest.

    Raises:
        ValueError: There are no images, `columns` is below 1, or an image is not uint8 RGB.
    """
    if not images or columns < 1:
        raise ValueError(f"{len(images)} images in {columns} columns; expected at least one of each")
    columns = min(columns, len(images))
    rows = [images[start : start + columns] for start in range(0, len(images), columns)]
    widths = [max(_require_image(image).shape[1] for image in images[k::columns]) for k in range(columns)]
    heights = [max(image.shape[0] for image in row) for row in rows]
    sheet = np.full((sum(heights) + gap * (len(rows) + 1), sum(widths) + gap * (columns + 1), 3), background, np.uint8)
    top = gap
    for row, height in zip(rows, heights, strict=True):
        left = gap
        for image, width in zip(row, widths, strict=False):  # the last row may be shorter
            sheet[top : top + image.shape[0], left : left + image.shape[1]] = image
            left += width + gap
        top += height + gap
    return sheet


def _require_image(image: Array) -> Array:
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        found = f"{getattr(image, 'dtype', type(image).__name__)} {getattr(image, 'shape', '')}"
        raise ValueError(f"the image is {found}; expected a uint8 array (H, W, 3), RGB")
    return image


def _as_colour(values: Array) -> Colour:
    red, green, blue = (int(value) for value in values)
    return red, green, blue


def _label_colours(labels: Array, num_classes: int) -> Array:
    return class_colours(num_classes)[labels]


def _pixel_corners(box: Array, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """First and last pixel of a box, clipped not far outside the image (Pillow's time grows with the line)."""
    x1, y1 = (max(-100, math.floor(value)) for value in box[:2])
    x2, y2 = (min(side + 100, math.ceil(value) - 1) for value, side in zip(box[2:], size, strict=True))
    return x1, y1, max(x1, x2), max(y1, y2)


@functools.lru_cache(maxsize=64)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _write_captions(
    pen: ImageDraw.ImageDraw, captions: Sequence[tuple[str, Array, Colour]], size: tuple[int, int]
) -> None:
    """Writes captions next to their boxes; the last ones get the best places."""
    usual = max(_USUAL_FONT_SIZE, round(math.hypot(*size) / 45))
    labels = [_fit_text(pen, text, caption_size(box, usual, _USUAL_FONT_SIZE), size[0]) for text, box, _ in captions]
    extents = [label.extent for label in labels]
    places = place_captions([box for _, box, _ in captions], extents, size)
    for label, place, (_, _, colour) in zip(labels, places, captions, strict=True):
        if place is not None:
            (x, y), (width, height) = place, label.extent
            pen.rectangle((x, y, x + width - 1, y + height - 1), fill=colour)
            corner = x + label.offset[0], y + label.offset[1]
            pen.text(corner, label.text, fill=_contrast_colour(colour), font=label.font)


class _Label(NamedTuple):
    """A text that fits the image, written at `offset` inside a filled field of width and height `extent`."""

    text: str
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont
    extent: tuple[int, int]
    offset: tuple[float, float]


def _fit_text(pen: ImageDraw.ImageDraw, text: str, font_size: int, width: int) -> _Label:
    """Reduces the font size, then shortens the text, until it fits the width."""
    pad = max(1, font_size // 6)
    room = width - 2 * pad
    needed = pen.textlength(text, font=_font(font_size))
    font = _font(max(_MIN_FONT_SIZE, int(font_size * min(1.0, room / needed))))
    while len(text) > 1 and pen.textlength(text, font=font) > room:
        text = text[:-1]
    left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
    extent = math.ceil(right - left) + 2 * pad, math.ceil(bottom - top) + 2 * pad
    return _Label(text, font, extent, (pad - left, pad - top))


def _contrast_colour(colour: Colour) -> Colour:
    """Black or white, whichever has the higher WCAG contrast ratio; they are equal at luminance 0.18."""
    linear = (np.array(colour) / 255) ** 2.2
    return _BLACK if float(linear @ [0.2126, 0.7152, 0.0722]) > 0.18 else _WHITE
