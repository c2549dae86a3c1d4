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
"""Maximum number of images on which ranges are measured, the first of the folder by name."""


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
    images = []
    for file in files[:limit]:
        decoded = decode_by_rule(file.read_bytes(), ResizeConfig())
        if decoded.reason:
            raise ValueError(f"{str(file)!r} {decoded.reason}.")
        images.append(decoded.pixels)
    return images
