"""Checks what a user hands to a model as images, by shape and dtype alone: nothing is added to a traced step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

ALLOWED = "(B, H, W, 3), RGB in 0–255"
"""What images are."""


def check_images(images: Any) -> None:
    """Check a batch of images.

    Args:
        images: A tensor, symbolic or not, an array, or what describes one, such as a `tf.TensorSpec`. Sides that are
            not known are taken for right. As in Keras, it may stand in a list or under `"images"`.

    Raises:
        ValueError: It has another rank, another number of channels, or no numbers; the message says what to do.
    """
    images = images.get("images") if isinstance(images, Mapping) else images
    images = images[0] if isinstance(images, (list, tuple)) and len(images) == 1 else images
    if not (hasattr(images, "shape") and hasattr(images, "dtype")):
        raise ValueError(_of_another_kind(images))
    shape = _known_shape(images)
    if shape is None:
        return
    dtype = _dtype_name(images.dtype)
    is_right = len(shape) == 4 and shape[-1] in (3, None) and 0 not in shape
    if is_right and dtype.startswith(("int", "uint", "float", "bfloat")):
        return
    fix = _fix_of_shape(shape) if not is_right else _fix_of_dtype(dtype)
    raise ValueError(f"images are an array of shape {shape} and {dtype}; allowed: {ALLOWED}. {fix}")


def check_data(x: Any) -> None:
    """Check the first argument of `predict` or `evaluate`, if it tells its shape before a batch is taken from it.

    Args:
        x: As in Keras. Generators and the like are left to the first call of the model.

    Raises:
        ValueError: As `check_images`.
    """
    spec = getattr(x, "element_spec", None)
    if spec is not None:
        check_images(spec[0] if isinstance(spec, tuple) else spec)
    elif x is None or isinstance(x, (str, list, tuple, Mapping)) or (hasattr(x, "shape") and hasattr(x, "dtype")):
        check_images(x)


def check_detection_inputs(inputs: Any) -> None:
    """Check a batch of images, or images with their sizes before padding.

    Args:
        inputs: As `check_images`, or `{"images": …, "sizes": …}`.

    Raises:
        ValueError: As `check_images`; or `sizes` is missing or has another shape.
    """
    if isinstance(inputs, Mapping) and set(inputs) != {"images", "sizes"}:
        found = ", ".join(map(repr, inputs)) or "an empty dict"
        raise ValueError(f"inputs are {found}; allowed: images, or a dict of 'images' and 'sizes'.")
    check_images(inputs)
    shape = _known_shape(inputs["sizes"]) if isinstance(inputs, Mapping) else None
    if shape is not None and (len(shape) != 2 or shape[1] not in (2, None)):
        raise ValueError(f"inputs['sizes'] has the shape {shape}; allowed: (B, 2), height and width of each image.")


def _known_shape(values: Any) -> tuple[int | None, ...] | None:
    """The sides, `None` where one is not known; `None` if not even their number is."""
    shape = values.shape if hasattr(values, "shape") else np.shape(values)
    if getattr(shape, "rank", 0) is None:
        return None
    return tuple(None if side is None else int(side) for side in shape)


def _dtype_name(dtype: Any) -> str:
    try:
        return keras.backend.standardize_dtype(dtype)
    except ValueError:  # text or objects
        return str(dtype)


def _of_another_kind(images: Any) -> str:
    if isinstance(images, str):
        return f"images are the text {images!r}; allowed: {ALLOWED}. Files are read by `Detector(model).detect(path)`."
    if isinstance(images, Sequence) and len(images) > 1 and hasattr(images[0], "shape"):
        found = f"images are a {type(images).__name__} of {len(images)} arrays"
        fix = "Of one shape: np.stack(images); of several: `Detector(model)`."
        return f"{found}; allowed: one array {ALLOWED}. {fix}"
    what = "missing" if images is None else f"a {type(images).__name__}"
    return f"images are {what}; allowed: an array {ALLOWED}."


def _fix_of_shape(shape: Sequence[int | None]) -> str:
    if 0 in shape:
        return "There are none, or they have no pixels."
    if len(shape) == 3 and shape[-1] == 3:
        return "A single image needs a batch axis: images[None], or of a tf.data.Dataset `.batch(8)`."
    if len(shape) == 5:
        return "There is one axis too many: was a tf.data.Dataset batched twice?"
    if len(shape) == 4 and shape[1] == 3:
        return "Channels come last: np.moveaxis(images, 1, -1)."
    if len(shape) == 4 and shape[-1] == 1:
        return "Grey images: np.repeat(images, 3, axis=-1)."
    if len(shape) == 4 and shape[-1] == 4:
        return "With an alpha channel: images[..., :3]."
    if len(shape) == 3:
        return "Grey images: np.stack([images] * 3, axis=-1)."
    return "Axes are batch, height, width and channels."


def _fix_of_dtype(dtype: str) -> str:
    if dtype == "object":
        return "Images of several sizes do not make an array: pad them, or use `Detector(model)`, which does."
    return "Values are integers or floating-point numbers."
