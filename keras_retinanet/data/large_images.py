"""Pictures of hundreds of megapixels, read in regions: of JPEG, PNG and TIFF files a few rows are decoded at a time.

The pixels are those of `decode_file`. What cannot be read in rows (other formats, interlaced PNG, TIFF in one
compressed strip, JPEG above the 179 megapixels that TensorFlow decodes) is decoded whole, at one to four bytes per
pixel.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from keras_retinanet.data.decode_file import decode_file
from keras_retinanet.data.errors import DataError
from keras_retinanet.data.exif import UPRIGHT, turn
from keras_retinanet.data.image_files import file_size, read_bytes, read_sizes
from keras_retinanet.data.pillow_files import as_stored, opened, to_rgb
from keras_retinanet.data.png_rows import PngRows
from keras_retinanet.data.sixteen_bits import ALL_BITS
from keras_retinanet.data.tiff_rows import find_tiff_rows
from keras_retinanet.data.usual_formats import END_MARK

MIN_PIXELS = 100_000_000
"""Pictures of fewer pixels are decoded whole."""

MAX_BYTES = 2**29
"""TensorFlow decodes no image that takes more, which is 179 megapixels in RGB."""

ReadRows = Callable[[int, int], Any]


class LargeImage:
    """A picture that is decoded region by region. Slices `image[y1:y2, x1:x2]` are arrays.

    It keeps the rows of the last slice, so reading it from top to bottom decodes each row once.

    Args:
        size: Height and width.
        read_rows: Decodes rows `top` to `bottom`: `(bottom - top, W, 3)` uint8.

    Attributes:
        shape: `(H, W, 3)`.
    """

    def __init__(self, size: tuple[int, int], read_rows: ReadRows) -> None:
        self.shape = (*size, 3)
        self._read_rows = read_rows
        self._top, self._rows = 0, np.zeros((0, size[1], 3), np.uint8)

    def __getitem__(self, index: tuple[slice, slice]) -> Any:
        (top, bottom, _), (left, right, _) = index[0].indices(self.shape[0]), index[1].indices(self.shape[1])
        end = self._top + len(self._rows)
        if not self._top <= top <= end:
            self._rows, end = self._rows[:0], top
        kept = self._rows[max(top - self._top, 0) :] if len(self._rows) else self._rows
        if bottom > end:
            kept = np.concatenate([kept, self._read_rows(end, bottom)]) if len(kept) else self._read_rows(top, bottom)
        self._top, self._rows = top, kept
        return np.ascontiguousarray(kept[: bottom - top, left:right])

    def factor_for(self, max_pixels: int) -> int:
        """Smallest whole number by which both sides must be divided to leave at most so many pixels."""
        height, width = self.shape[:2]
        return min(int(np.ceil(np.sqrt(height * width / max_pixels))), height, width)

    def shrunk(self, factor: int) -> Any:
        """The picture reduced, each pixel the mean of a square.

        Args:
            factor: Side of the squares.

        Returns:
            `(H // factor, W // factor, 3)` uint8.
        """
        height, width = self.shape[:2]
        rows, columns = height // factor, width // factor
        result = np.empty((rows, columns, 3), np.uint8)
        step = max(1, 512 // factor)
        for row in range(0, rows, step):
            count = min(step, rows - row)
            part = self[row * factor : (row + count) * factor, : columns * factor]
            means = part.reshape(count, factor, columns, factor, 3).mean(axis=(1, 3), dtype=np.float32)
            result[row : row + count] = np.rint(means)
        return result


def open_image(image: str, bit_depth: int = ALL_BITS, orientation: int = UPRIGHT) -> Any:
    """An image file as an array, or as a `LargeImage` if it has at least `MIN_PIXELS`.

    Args:
        image: Path, or reference into a record file.
        bit_depth: Bits of the values in 16-bit files. Defaults to 16.
        orientation: EXIF orientation to apply. Defaults to 1, none. Large images that are turned are decoded whole.

    Returns:
        `(H, W, 3)` uint8, or a `LargeImage`.

    Raises:
        DataError: It cannot be read.
    """
    content = _bytes_of(image)
    ((height, width),) = read_sizes([image])
    if height * width < MIN_PIXELS or orientation > UPRIGHT:
        decoded = decode_file(content, bit_depth)
        if decoded.reason:
            raise DataError(image, decoded.reason, "an image that can be decoded", "replace or remove the file")
        return turn(decoded.pixels, orientation)
    read_rows = _rows_reader(image, content, (height, width), bit_depth)

    def read(top: int, bottom: int) -> Any:
        try:
            return read_rows(top, bottom)
        except Exception as error:  # TensorFlow's, Pillow's and zlib's on damaged files
            found = f"rows {top} to {bottom} cannot be decoded ({type(error).__name__})"
            raise DataError(image, found, "an image that can be decoded", "replace or remove the file") from None

    return LargeImage((height, width), read)


def _bytes_of(image: str) -> bytes:
    try:
        return read_bytes(image)
    except OSError as error:
        raise DataError(image, f"cannot be read ({error})", "an image file", "check the path") from None


def _rows_reader(image: str, content: bytes, size: tuple[int, int], bit_depth: int) -> ReadRows:
    height, width = size
    if content[:2] == b"\xff\xd8" and height * width * 3 < MAX_BYTES:
        return _jpeg_rows(content + END_MARK, width)
    if (png := PngRows.open(content, bit_depth)) is not None:
        return png.read
    if (tiff := find_tiff_rows(content, bit_depth)) is not None:
        return tiff
    return _whole_rows(image, content, height * width, bit_depth)


def _jpeg_rows(content: bytes, width: int) -> ReadRows:
    import tensorflow as tf  # Pillow decodes whole files only

    def read(top: int, bottom: int) -> Any:
        window = [top, 0, bottom - top, width]
        return tf.io.decode_and_crop_jpeg(content, window, channels=3, dct_method="INTEGER_ACCURATE").numpy()

    return read


def _whole_rows(image: str, content: bytes, num_pixels: int, bit_depth: int) -> ReadRows:
    """Decodes the picture in its own mode; slices become RGB one by one."""
    closed = content + END_MARK if content[:2] == b"\xff\xd8" else content
    try:
        with opened(io.BytesIO(closed)) as picture:
            whole: Image.Image = as_stored(picture).copy()
    except MemoryError:
        found = f"cannot be decoded in parts, and takes up to {4 * num_pixels / 1e9:.1f} GB"
        raise DataError(image, found, "what memory holds", "save it as a tiled TIFF, or cut it") from None
    except Exception as error:  # Pillow's plug-ins raise a dozen kinds on damaged files
        raise DataError(image, f"cannot be decoded ({error})", "an image file", "replace the file") from None
    return lambda top, bottom: to_rgb(whole.crop((0, top, whole.width, bottom)), bit_depth)


def is_large(image: str) -> bool:
    """Whether an image file may have `MIN_PIXELS`; small files are not opened.

    Args:
        image: Path, or reference into a record file.

    Returns:
        False for files that cannot be read, too.
    """
    try:
        if file_size(image) < MIN_PIXELS // 1000:  # no format takes less than a bit per 125 pixels
            return False
        ((height, width),) = read_sizes([image])
    except (OSError, ValueError):
        return False
    return height * width >= MIN_PIXELS
