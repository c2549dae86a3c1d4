"""Images with which artefacts are compared, or from which int8 quantisation learns ranges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tensorflow as tf

from keras_retinanet.data.image import decode
from keras_retinanet.data.image_files import SUFFIXES
from keras_retinanet.demo.scenes import draw_scene

SCENES = ((800, 23), (800, 20))
"""Seeds of the built-in images: a wide and a tall one."""
MAX_SAMPLES = 16
"""Images of a folder that are compared, the first by name."""
MAX_CALIBRATION_IMAGES = 100
"""Images of a folder from which ranges are learnt, the first by name."""


def built_in_samples() -> list[Any]:
    """Two synthetic scenes, the same ones everywhere.

    Returns:
        Images `(h, w, 3)` uint8.
    """
    return [draw_scene(seed).image for seed in SCENES]


def folder_images(folder: str | Path, most: int) -> list[Any]:
    """The images of a folder, by name.

    Args:
        folder: Where they stand; its own files only.
        most: How many are read.

    Returns:
        Images `(h, w, 3)` uint8.

    Raises:
        ValueError: There is no such folder, it has no images, or one cannot be decoded.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"There is no folder {str(folder)!r} of images.")
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not files:
        raise ValueError(f"{str(folder)!r} has no images; their names end in {', '.join(SUFFIXES)}.")
    images = []
    for file in files[:most]:
        try:
            images.append(decode(tf.constant(file.read_bytes())).numpy())
        except tf.errors.InvalidArgumentError as error:
            raise ValueError(f"{str(file)!r} cannot be decoded: {error.message}") from error
    return images
