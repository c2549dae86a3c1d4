"""The pictures of the galleries: whole images made small, or the surroundings of a small box."""

from __future__ import annotations

import base64
import io
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from keras_retinanet.data.errors import DataError
from keras_retinanet.data.exif import UPRIGHT
from keras_retinanet.data.image_files import read_sizes
from keras_retinanet.data.large_images import LargeImage, open_image
from keras_retinanet.data.sixteen_bits import ALL_BITS
from keras_retinanet.schema import Sample

SIDE = 480
"""Longest side of a picture in pixels."""
SURROUNDINGS = 6
"""Sides of the part of an image that is shown, in multiples of the longer side of the box in its middle."""
MIN_WINDOW = 160
"""Least side of that part in pixels."""
MAX_BYTES = 5_500_000
"""Most bytes of all pictures of a report, as text."""
_QUALITY = 72


class Window(NamedTuple):
    """The part of an image that a picture shows, in pixels of the image."""

    x1: int
    y1: int
    x2: int
    y2: int


class Picture(NamedTuple):
    """A picture of a report.

    Attributes:
        position: Its position among the pictures.
        window: What it shows.
        width: In pixels of the picture.
        height: In pixels of the picture.
    """

    position: int
    window: Window
    width: int
    height: int

    def place(self, boxes: Any) -> Any:
        """Converts boxes to pixels of the picture.

        Args:
            boxes: `(N, 4)` in pixels of the image.

        Returns:
            `(N, 4)` float64.
        """
        scale = self.width / (self.window.x2 - self.window.x1), self.height / (self.window.y2 - self.window.y1)
        offset = np.array([self.window.x1, self.window.y1] * 2, np.float64)
        placed: Any = (np.asarray(boxes, np.float64).reshape(-1, 4) - offset) * np.array(scale * 2)
        return placed


class Pictures:
    """Collects pictures, each part of an image once, up to `max_bytes`.

    Args:
        max_bytes: Most bytes of all of them as text. Defaults to `MAX_BYTES`.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.urls: list[str] = []
        self._known: dict[tuple[str, Window], Picture] = {}
        self._left = max_bytes

    def add(self, sample: Sample, focus: Any = None) -> Picture | None:
        """Adds a picture of an image.

        Args:
            sample: The image.
            focus: `(4,)` box to show with its surroundings. Defaults to the whole image.

        Returns:
            The picture; `None` if the image cannot be read or there is no room left.
        """
        height, width = sample.get("size") or _size_of(sample)
        window = choose_window(focus, width, height)
        key = sample["image"], window
        if key not in self._known and self._left > 0:
            pixels = _read_window(sample, window)
            if pixels is not None:
                url = _encode(pixels)
                self._left -= len(url)
                self._known[key] = Picture(len(self.urls), window, pixels.shape[1], pixels.shape[0])
                self.urls.append(url)
        return self._known.get(key)


def choose_window(focus: Any, width: int, height: int) -> Window:
    """The part of an image to show.

    Args:
        focus: `(4,)` box, or `None`.
        width: Of the image in pixels.
        height: Of the image in pixels.

    Returns:
        The surroundings of the box in the shape 4:3; the whole image without a box, or where little would be cut off.
    """
    whole = Window(0, 0, width, height)
    if focus is None or not np.isfinite(focus).all():
        return whole
    box = np.clip(np.asarray(focus, np.float64), 0, [width, height] * 2)
    side = max(SURROUNDINGS * float((box[2:] - box[:2]).max()), MIN_WINDOW)
    sides = np.minimum([side * 4 / 3, side], [width, height])
    if (sides >= np.array([width, height]) * 0.75).all():
        return whole
    low = np.clip((box[:2] + box[2:] - sides) / 2, 0, np.array([width, height]) - sides)
    return Window(*np.floor(low).astype(int).tolist(), *np.ceil(low + sides).astype(int).tolist())


def _size_of(sample: Sample) -> tuple[int, int]:
    try:
        ((height, width),) = read_sizes([sample["image"]])
    except (DataError, OSError):
        return 1, 1
    return (width, height) if sample.get("orientation", UPRIGHT) >= 5 else (height, width)


def _read_window(sample: Sample, window: Window) -> Any:
    """`(H, W, 3)` uint8 pixels, at most `SIDE` high and wide; `None` if the image cannot be read."""
    try:
        image = open_image(sample["image"], sample.get("bit_depth", ALL_BITS), sample.get("orientation", UPRIGHT))
        if isinstance(image, LargeImage) and window.x2 - window.x1 == image.shape[1]:
            part = image.shrunk(max(1, max(image.shape[:2]) // (2 * SIDE)))
        else:
            part = image[window.y1 : window.y2, window.x1 : window.x2]
    except (DataError, OSError, MemoryError):  # the image may be the fault
        return None
    if not part.size:
        return None
    small = Image.fromarray(part)
    small.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS, reducing_gap=2)
    return np.asarray(small)


def _encode(pixels: Any) -> str:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "WEBP", quality=_QUALITY, method=3)
    return f"data:image/webp;base64,{base64.b64encode(stream.getvalue()).decode()}"
