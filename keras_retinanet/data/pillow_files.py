"""Opens image files with Pillow, and decodes those that TensorFlow cannot: TIFF, HEIC, AVIF, and very large ones.

A data set is its owner's, so Pillow's limit on the number of pixels does not apply to it. Of what strangers send to a
server, `serving.images` checks the size before it is decoded here.
"""

from __future__ import annotations

import importlib.util
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from PIL import Image

from keras_retinanet.data.exif import (
    FIRST_TRANSPOSED,
    FLIPS,
    ORIENTATION_TAG,
    UPRIGHT,
    orientation_of_exif,
    read_orientation,
)
from keras_retinanet.data.sixteen_bits import ALL_BITS, to_8_bits
from keras_retinanet.extras import install_hint

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "HEIF", "AVIF")
"""Pillow's names of the formats that are read; its JPEG includes MPO, which begins with one."""

HEIF_HEADS = {
    ".heic": b"\0\0\0\x18ftypheic",
    ".heif": b"\0\0\0\x18ftypheic",
    ".avif": b"\0\0\0\x18ftypavif",
}
"""First bytes of the files that need the packages of the extra `heif`, by suffix."""

_FOREIGN = (
    (b"8BPS", "a Photoshop file"),
    (b"%PDF", "a PDF file"),
    (b"%!PS", "a PostScript file"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 file"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 file"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL file"),
    (b"\xff\x0a", "a JPEG XL file"),
    (b"DDS ", "a DirectDraw surface"),
    (b"\x76\x2f\x31\x01", "an OpenEXR file"),
    (b"DICM", "a DICOM file"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"version https://git-lfs", "a pointer of Git LFS: fetch the files with `git lfs pull`"),
)
"""First bytes of files that are taken for images, and what they are."""

_NAMES = {"HEIC": "a HEIC file", "AVIF": "an AVIF file"}
_AVIF_BRANDS = (b"avif", b"avis")
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")


TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip
"""What turns stored pixels upright, by EXIF orientation."""

_BACK = TURNS | {6: TURNS[8], 8: TURNS[6]}


class UnsupportedImageError(ValueError):
    """An image file that may be whole, but is not read; the message says why, as `"is a HEIC file, …"`."""


class _PixelLimit:
    """Pillow's limit, which is one for the whole process, while some threads do without it."""

    def __init__(self) -> None:
        self._lock, self._users, self._limit = threading.Lock(), 0, Image.MAX_IMAGE_PIXELS

    @contextmanager
    def lifted(self) -> Iterator[None]:
        """Lift the limit until the last thread that asked for this is done."""
        with self._lock:
            if not self._users:
                self._limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if not self._users:
                    Image.MAX_IMAGE_PIXELS = self._limit


_PIXEL_LIMIT = _PixelLimit()


@contextmanager
def opened(source: Any) -> Iterator[Image.Image]:
    """Open an image file without a limit on its number of pixels.

    Args:
        source: Path, or file object.

    Yields:
        The image, not yet decoded. Its format is one of `FORMATS`.

    Raises:
        Exception: It is not such an image, or is damaged; which kind depends on Pillow's plug-in.
    """
    with _PIXEL_LIMIT.lifted(), Image.open(source, formats=formats_for(_head(source))) as image:
        yield image


def formats_for(head: bytes) -> tuple[str, ...]:
    """The `FORMATS` that Pillow can try on a file with these first bytes; HEIC is known to it once it is needed."""
    if heif_kind(head) == "HEIC" and importlib.util.find_spec("pillow_heif") is not None:
        import pillow_heif

        pillow_heif.register_heif_opener()
        return ("HEIF",)
    return tuple(name for name in FORMATS if name not in ("HEIF", "AVIF")) if heif_kind(head) is None else ("AVIF",)


def _head(source: Any) -> bytes:
    if not hasattr(source, "read"):
        with open(source, "rb") as file:
            return file.read(32)
    head: bytes = source.read(32)
    source.seek(0)
    return head


def heif_kind(head: bytes) -> str | None:
    """`"HEIC"` or `"AVIF"` if these are the first bytes of such a file, else `None`."""
    if head[4:8] != b"ftyp":
        return None
    brands = [head[8:12], *(head[start : start + 4] for start in range(16, len(head) - 3, 4))]
    if any(brand in _AVIF_BRANDS for brand in brands):
        return "AVIF"
    return "HEIC" if any(brand in _HEIF_BRANDS for brand in brands) else None


def unsupported_reason(content: bytes) -> str | None:
    """Why a file cannot be read although it may be whole.

    Args:
        content: Its bytes, or the first 512 of them.

    Returns:
        Such as `"is a PDF file"`; `None` if the file is an image of `FORMATS`, or unknown.
    """
    if (kind := heif_kind(content[:32])) is not None:
        package = "PIL._avif" if kind == "AVIF" else "pillow_heif"
        has_package = importlib.util.find_spec(package) is not None
        return None if has_package else f"is {_NAMES[kind]}, which needs another package: {install_hint('heif')}"
    head = content[:512].lstrip()
    if head[:1] == b"<":
        return "is an SVG drawing" if b"<svg" in head.lower() else "is text (HTML or XML)"
    return next((f"is {name}" for magic, name in _FOREIGN if head.startswith(magic)), None)


def is_pillows(content: bytes) -> bool:
    """Whether Pillow decodes this file, because TensorFlow cannot: TIFF, HEIC, AVIF."""
    return content[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+") or heif_kind(content[:32]) is not None


def orientation_of(image: Image.Image) -> int:
    """The EXIF orientation of a TIFF or AVIF file that is opened and not decoded yet.

    Pillow's HEIC are upright already.
    """
    if image.format == "TIFF":
        value: Any = getattr(image, "tag_v2", {}).get(ORIENTATION_TAG)
        return int(value) if value in range(UPRIGHT, len(FLIPS)) else UPRIGHT
    return orientation_of_exif(image.info.get("exif"))


def orientation_of_file(content: bytes) -> int:
    """The EXIF orientation of an image file of any format, 1 if it has none or is damaged.

    Args:
        content: The bytes of the file.
    """
    if not is_pillows(content):
        return read_orientation(content)
    try:
        with opened(io.BytesIO(content)) as image:
            return orientation_of(image)
    except Exception:  # Pillow's plug-ins raise a dozen kinds on damaged files
        return UPRIGHT


def stored_size(image: Image.Image) -> tuple[int, int]:
    """Height and width as stored of a file that is opened and not decoded yet: Pillow states those of a turned TIFF."""
    is_swapped = image.format == "TIFF" and orientation_of(image) >= FIRST_TRANSPOSED
    return (image.width, image.height) if is_swapped else (image.height, image.width)


def as_stored(image: Image.Image) -> Image.Image:
    """An opened file with its pixels as stored: Pillow turns TIFF by their orientation when it decodes them."""
    orientation = orientation_of(image) if image.format == "TIFF" else UPRIGHT
    return image if orientation == UPRIGHT else image.transpose(_BACK[orientation])


def decode_with_pillow(content: bytes, bit_depth: int = ALL_BITS) -> Any:
    """Decode an image file of `FORMATS`.

    Args:
        content: The bytes of the file.
        bit_depth: Bits of the values in 16-bit files. Defaults to 16.

    Returns:
        `(H, W, 3)` uint8 RGB as stored. Of several pages the first.

    Raises:
        UnsupportedImageError: The range of its values is not known, or the package that reads it is missing.
        Exception: As `opened`.
    """
    if (reason := unsupported_reason(content[:512])) is not None:
        raise UnsupportedImageError(reason)
    with opened(io.BytesIO(content)) as image:
        pixels = to_rgb(as_stored(image), bit_depth)
        if pixels is None:
            raise UnsupportedImageError(f"has values of 32 bits (mode {image.mode!r}), whose range is not known")
    return pixels


def to_rgb(image: Image.Image, bit_depth: int = ALL_BITS) -> Any | None:
    """`(H, W, 3)` uint8, or `None` if the value of white is unknown."""
    if not has_known_range(image):
        return None
    if image.mode.startswith("I"):
        grey = to_8_bits(np.asarray(image), bit_depth)
        return np.repeat(grey[..., None], 3, axis=-1)
    if image.mode in ("La", "RGBa"):  # colours multiplied by alpha
        image = image.convert({"La": "LA", "RGBa": "RGBA"}[image.mode])
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def has_known_range(image: Image.Image) -> bool:
    """False if the value of white is unknown: numbers of 32 bits."""
    return image.mode != "F" and (image.mode != "I" or _is_16_bit(image))


def _is_16_bit(image: Image.Image) -> bool:
    values = np.asarray(image)
    return bool(values.min() >= 0 and 255 < values.max() <= 65535)  # how older versions of Pillow open a 16-bit PNG
