"""Loads images from files, folders, patterns, bytes, arrays or Pillow images as uint8 RGB arrays."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from keras_retinanet.config import ResizeConfig
from keras_retinanet.data.decode_file import decode_by_rule
from keras_retinanet.data.errors import DataError
from keras_retinanet.data.exif import UPRIGHT, orientation_of_exif, turn
from keras_retinanet.data.image_files import SUFFIXES, find_images
from keras_retinanet.data.large_images import is_large, open_image
from keras_retinanet.data.pillow_files import is_pillows, orientation_of_file, to_rgb

DEFAULT_RULE = ResizeConfig()
"""The rule without a model: images are turned upright, and the values of 16-bit images have 16 bits."""

_ALLOWED = f"an image file ({', '.join(SUFFIXES)})"
_HEADER_BYTES = 2**20  # EXIF data are before the pixels
_BYTES = (bytes, bytearray, memoryview)
_ARRAYS = "uint8 (H, W, 3) RGB, (H, W, 4) RGBA, (H, W) or (H, W, 1) grey"


@dataclass(frozen=True)
class GivenImage:
    """One image before it is decoded.

    Attributes:
        name: Path as given; `"image 3"` for the fourth image if it has no file.
        content: Path, bytes, array or Pillow image.
    """

    name: str
    content: Any


@dataclass(frozen=True)
class LoadedImage:
    """One decoded image.

    Attributes:
        pixels: `(H, W, 3)` uint8 RGB, or a `LargeImage`.
        is_cut_off: Whether it is a JPEG without its last bytes, decoded as far as it goes.
    """

    pixels: Any
    is_cut_off: bool = False


def expand(images: Any, *, is_recursive: bool = False) -> Iterable[GivenImage]:
    """List every image of the input, in the order given; files of a folder or pattern are sorted by name.

    Args:
        images: str, Path, bytes, array or Pillow image; a folder; a pattern such as `"day*/*.jpg"`; or an iterable of
            these and of `GivenImage`, which is consumed lazily.
        is_recursive: Search subfolders, too. Defaults to `False`.

    Returns:
        The images. Files need not exist: `load` raises for them.

    Raises:
        ValueError: A folder or pattern has no images.
    """
    if isinstance(images, (str, os.PathLike)):
        return [GivenImage(str(path), path) for path in find_images(images, is_recursive=is_recursive)]
    if isinstance(images, (*_BYTES, Image.Image)) or hasattr(images, "__array__") or not isinstance(images, Iterable):
        return [_without_path(0, images)]
    return _expand_each(images, is_recursive)


def _expand_each(images: Iterable[Any], is_recursive: bool) -> Iterator[GivenImage]:
    for position, image in enumerate(images):
        if isinstance(image, GivenImage):
            yield image
        elif isinstance(image, (str, os.PathLike)):
            yield from expand(image, is_recursive=is_recursive)
        else:
            yield _without_path(position, image)


def _without_path(position: int, image: Any) -> GivenImage:
    return GivenImage(str(getattr(image, "filename", "") or f"image {position}"), image)


def load(image: GivenImage, rule: ResizeConfig = DEFAULT_RULE, *, in_regions: bool = False) -> LoadedImage:
    """Decode an image.

    Alpha is dropped, not blended; of 16-bit values the upper eight of `rule.bit_depth` bits are kept.

    Args:
        image: The image. Arrays are taken as they are.
        rule: Whether an EXIF orientation is applied, and the range of 16-bit images. Defaults to applied, 16 bits.
        in_regions: Return a `LargeImage` for a file of very many pixels, which is not decoded yet. Defaults to `False`.

    Returns:
        Its pixels.

    Raises:
        DataError: It cannot be read, or has an unsupported type.
    """
    content = image.content
    if isinstance(content, (str, os.PathLike)):
        if in_regions and is_large(str(content)):
            return LoadedImage(_open_large(str(content), rule))
        try:
            content = Path(content).read_bytes()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise DataError(image.name, f"cannot be read ({reason})", _ALLOWED, "check the path") from None
    if isinstance(content, _BYTES):
        return _from_bytes(bytes(content), image.name, rule)
    if isinstance(content, Image.Image):
        return LoadedImage(_from_pillow(content, image.name, rule))
    if hasattr(content, "__array__"):
        return LoadedImage(_from_array(np.asarray(content), image.name))
    allowed = "a path, bytes, a NumPy array or a Pillow image"
    raise DataError(image.name, f"is a {type(content).__name__}", allowed, "give one of these")


def _open_large(path: str, rule: ResizeConfig) -> Any:
    orientation = UPRIGHT
    if rule.exif == "apply":
        with open(path, "rb") as file:
            head = file.read(_HEADER_BYTES)
            orientation = orientation_of_file(head + file.read() if is_pillows(head) else head)
    return open_image(path, rule.bit_depth, orientation)


def _from_bytes(content: bytes, name: str, rule: ResizeConfig) -> LoadedImage:
    decoded = decode_by_rule(content, rule)
    if decoded.reason:
        raise DataError(name, decoded.reason, _ALLOWED, "replace or re-export the file")
    return LoadedImage(decoded.pixels, decoded.is_cut_off)


def _from_pillow(image: Image.Image, name: str, rule: ResizeConfig) -> Any:
    if 0 in image.size:
        raise DataError(name, f"is a Pillow image of size {image.size}", "at least one pixel", "leave it out")
    try:
        pixels = to_rgb(image, rule.bit_depth)
    except (OSError, ValueError, SyntaxError) as error:
        raise DataError(name, f"cannot be converted to RGB ({error})", _ALLOWED, "replace or convert it") from None
    if pixels is None:
        found = f"is a Pillow image of mode {image.mode!r}, whose range is not known"
        raise DataError(name, found, "any mode of 8 or 16 bits", "scale it to 0–255 and convert it to 'L'")
    return turn(pixels, orientation_of_exif(image.info.get("exif"))) if rule.exif == "apply" else pixels


def _from_array(image: Any, name: str) -> Any:
    if image.dtype != np.uint8:
        fix = {
            "f": "scale it to 0–255 and convert it: (255 * image).round().astype('uint8') for values of 0–1",
            "u": "keep the upper eight bits: (image >> 8).astype('uint8') for 16 bits",
            "b": "convert it: 255 * image.astype('uint8')",
        }.get(image.dtype.kind, "convert it to 0–255: image.astype('uint8')")
        raise DataError(name, f"is an array of {image.dtype}", _ARRAYS, fix)
    channels = image.shape[2] if image.ndim == 3 else 1
    if image.ndim not in (2, 3) or channels not in (1, 3, 4) or 0 in image.shape:
        fix = "give a list of images" if image.ndim == 4 else "transpose it to channels last"
        raise DataError(name, f"is an array of shape {image.shape}", _ARRAYS, fix)
    if channels == 1:
        return np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=-1)
    return np.ascontiguousarray(image[..., :3])


def load_ahead(
    images: Iterable[GivenImage],
    workers: int,
    depth: int,
    rule: ResizeConfig = DEFAULT_RULE,
    *,
    in_regions: bool = False,
) -> Iterator[tuple[GivenImage, LoadedImage | None, DataError | None]]:
    """Load images in threads while earlier ones are processed.

    Args:
        images: The images.
        workers: Threads.
        depth: Maximum number of images loaded ahead.
        rule: As for `load`.
        in_regions: As for `load`. Defaults to `False`.

    Yields:
        In the order given: the image, and what was loaded or its error.
    """
    waiting: deque[tuple[GivenImage, Any]] = deque()
    pool = ThreadPoolExecutor(workers)
    try:
        for image in images:
            waiting.append((image, pool.submit(_attempt, image, rule, in_regions)))
            if len(waiting) > depth:
                first, future = waiting.popleft()
                yield (first, *future.result())
        for first, future in waiting:
            yield (first, *future.result())
    finally:
        pool.shutdown(cancel_futures=True)


def _attempt(image: GivenImage, rule: ResizeConfig, in_regions: bool) -> tuple[LoadedImage | None, DataError | None]:
    try:
        return load(image, rule, in_regions=in_regions), None
    except DataError as error:
        return None, error
