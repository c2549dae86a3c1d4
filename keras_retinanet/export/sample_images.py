"""Sample images, on which artefacts are compared with their snapshot, or int8 ranges are measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from keras_retinanet.config import ResizeConfig
from keras_retinanet.data.decode_file import decode_by_rule
from keras_retinanet.data.image_files import SUFFIXES
from keras_retinanet.demo.scenes import draw_scene

SCENES = ((800, 23), (800, 20))
"""Seeds of the built-in images, a wide and a tall one."""
MAX_SAMPLES = 16
"""Maximum number of images that are compared, the first of the folder by name."""
MAX_CALIBRATION_IMAGES = 100
"""Maximum number of images on which ranges are measured: of a folder, the first by name."""
UPRIGHT_RULE = ResizeConfig()


def built_in_samples() -> list[Any]:
    """Draws two synthetic scenes, always the same.

    Returns:
        Images `(h, w, 3)` uint8.
    """
    return [draw_scene(seed).image for seed in SCENES]


def folder_images(folder: str | Path, limit: int) -> list[Any]:
    """Reads images of a folder in the order of their names.

    Args:
        folder: The folder; subfolders are not searched.
        limit: Maximum number of images.

    Returns:
        Images `(h, w, 3)` uint8.

    Raises:
        ValueError: The folder does not exist or has no images, or an image cannot be decoded.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"There is no folder {str(folder)!r} of images.")
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not files:
        raise ValueError(f"{str(folder)!r} has no images; their names end in {', '.join(SUFFIXES)}.")
    return [decode_image(file.read_bytes(), str(file)) for file in files[:limit]]


def decode_image(content: bytes, name: str, rule: ResizeConfig = UPRIGHT_RULE) -> Any:
    """Decodes a sample image.

    Args:
        content: The bytes of the file.
        name: Its name, for the error.
        rule: Its `exif` and `bit_depth` are used. Defaults to upright, 16 bits.

    Returns:
        `(h, w, 3)` uint8.

    Raises:
        ValueError: It cannot be decoded.
    """
    decoded = decode_by_rule(content, rule)
    if decoded.reason:
        raise ValueError(f"{name!r} {decoded.reason}.")
    return decoded.pixels
