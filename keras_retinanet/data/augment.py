"""Augmentations by name, and the presets of `--augment`.

An augmentation is a function `(sample, seed) -> sample`; `augmentations.placement` describes samples. A mixture also
loads other images of the data set: see `augmentations.mixtures`. A seed is a `(2,)` int64 tensor; the same seed always
gives the same result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import tensorflow as tf

from keras_retinanet.data.augmentations.affine import affine
from keras_retinanet.data.augmentations.colour import colour, visual_effects
from keras_retinanet.data.augmentations.copy_paste import copy_paste
from keras_retinanet.data.augmentations.degradation import blur, jpeg
from keras_retinanet.data.augmentations.mixtures import MIXUP_OTHERS, MOSAIC_OTHERS, LoadOther, mixup, mosaic
from keras_retinanet.data.augmentations.placement import GraphSample, resized
from keras_retinanet.data.augmentations.spatial import (
    crop,
    horizontal_flip,
    large_scale_jitter,
    multi_scale,
    rotate90,
    scale_jitter,
    vertical_flip,
)
from keras_retinanet.data.augmentations.user_functions import apply_user_function, is_user_function, load_function
from keras_retinanet.schema import Tensor

Augmentation = Callable[[GraphSample, Tensor], GraphSample]


@dataclass(frozen=True)
class Mixture:
    """An augmentation that needs other images.

    Attributes:
        apply: Function `(sample, seed, load_other) -> sample`.
        others: Maximum number of other images, which determines the padding of the boxes.
    """

    apply: Callable[[GraphSample, Tensor, LoadOther], GraphSample]
    others: int


AUGMENTATIONS: dict[str, Augmentation] = {
    "horizontal_flip": horizontal_flip,
    "vertical_flip": vertical_flip,
    "rotate90": rotate90,
    "affine": affine,
    "scale_jitter": scale_jitter,
    "large_scale_jitter": large_scale_jitter,
    "multi_scale": multi_scale,
    "crop": crop,
    "colour": colour,
    "visual_effects": visual_effects,
    "blur": blur,
    "jpeg": jpeg,
}
"""Augmentations of one image by name."""

MIXTURES: dict[str, Mixture] = {
    "mosaic": Mixture(mosaic, MOSAIC_OTHERS),
    "mixup": Mixture(mixup, MIXUP_OTHERS),
    "copy_paste": Mixture(copy_paste, MIXUP_OTHERS),
}
"""Augmentations that combine several images, by name."""

_FLIPS = "horizontal_flip", "vertical_flip"
_RESIZING = "scale_jitter", "large_scale_jitter", "multi_scale", "mosaic"

PRESETS: dict[str, tuple[str, ...]] = {
    "none": (),
    "flip": ("horizontal_flip",),
    "flips": ("horizontal_flip", "vertical_flip"),
    "fizyr": ("visual_effects", "affine", "horizontal_flip", "vertical_flip"),
    "multi_scale": ("horizontal_flip", "multi_scale"),
    "strong": ("horizontal_flip", "scale_jitter", "colour"),
    "large_jitter": ("horizontal_flip", "large_scale_jitter", "colour"),
    "aerial": ("rotate90", "horizontal_flip", "scale_jitter", "colour"),
    "mosaic": ("mosaic", "horizontal_flip", "scale_jitter", "colour"),
    "copy_paste": ("copy_paste", "horizontal_flip", "scale_jitter", "colour"),
    "heavy": ("mosaic", "mixup", "horizontal_flip", "scale_jitter", "crop", "colour", "blur", "jpeg"),
}
"""Augmentations of each preset, in order."""


def augmentation_names(text: str) -> tuple[str, ...]:
    """The augmentations that `--augment` names.

    Args:
        text: Presets and users' functions, separated by commas: `"strong"`, `"flip,my_module:my_function"`.

    Returns:
        Names of augmentations, in order.

    Raises:
        ValueError: The preset or function does not exist.
    """
    names: list[str] = []
    for part in text.split(","):
        if part not in PRESETS and not is_user_function(part):
            allowed = ", ".join(PRESETS)
            raise ValueError(f"--augment {part!r} is not a preset; allowed are {allowed}, and MODULE:FUNCTION.")
        names += PRESETS.get(part, (part,))
    check_names(names)
    return tuple(names)


def without_mixtures(names: Iterable[str]) -> tuple[str, ...]:
    """The augmentations that need no other image, for the last epochs of a run."""
    return tuple(name for name in names if name not in MIXTURES)


def resizes_first(names: Iterable[str]) -> bool:
    """Whether the first augmentation, flips apart, resizes images, so that it takes those not resized yet."""
    return next((name for name in names if name not in _FLIPS), "") in _RESIZING


def check_names(names: Iterable[str]) -> None:
    """Check the names of augmentations.

    Raises:
        ValueError: A name is neither in `AUGMENTATIONS` nor in `MIXTURES`, and not that of a user's function.
    """
    for name in filter(is_user_function, names):
        load_function(name)
    known = {*AUGMENTATIONS, *MIXTURES}
    if unknown := [name for name in names if name not in known and not is_user_function(name)]:
        raise ValueError(f"Unknown augmentations {unknown}. Allowed: {', '.join([*AUGMENTATIONS, *MIXTURES])}.")


def max_images_per_sample(names: Iterable[str]) -> int:
    """Maximum number of images that one augmented image shows."""
    return 1 + sum(MIXTURES[name].others for name in names if name in MIXTURES)


def apply_augmentations(sample: GraphSample, names: Sequence[str], seed: Tensor, load_other: LoadOther) -> GraphSample:
    """Apply augmentations one after the other, each with its own seed.

    Args:
        sample: The sample; one that is not resized yet (`resized_size`) is resized where an augmentation needs it.
        names: From `AUGMENTATIONS` and `MIXTURES`, or users' functions.
        seed: `(2,)` int64.
        load_other: Function from a seed to another sample of the data set; only mixtures call it.

    Returns:
        The augmented sample.
    """
    for place, name in enumerate(names):
        own = tf.random.fold_in(seed, place)
        if name not in (*_FLIPS, *_RESIZING):
            sample = resized(sample)
        if is_user_function(name):
            sample = apply_user_function(sample, own, name)
        elif name in MIXTURES:
            load = load_other if name in _RESIZING else lambda seed: resized(load_other(seed))
            sample = MIXTURES[name].apply(sample, own, load)
        else:
            sample = AUGMENTATIONS[name](sample, own)
    return resized(sample)
