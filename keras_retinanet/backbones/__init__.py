"""Backbones: classification networks whose maps of several strides are taken.

Each takes RGB images in 0–255, normalises them in its layer `normalize`, and returns `{"C2", "C3", "C4", "C5"}`,
`C{n}` of stride 2ⁿ. To add one, write a function in a file of its family and name it in `BACKBONES`, in `PUBLISHED`
and in `config.BackboneName`; the tests take it from there.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keras

from keras_retinanet.backbones import efficientnet_lite, resnet, ssd_vgg, ssdlite_mobilenet
from keras_retinanet.backbones.applications import APPLICATIONS
from keras_retinanet.backbones.batch_norm import freeze_batch_norm
from keras_retinanet.backbones.dtype import with_policy
from keras_retinanet.backbones.efficientnet_lite import efficientnet_lite0
from keras_retinanet.backbones.normalize import Normalize, PixelStatistics, pad_value
from keras_retinanet.backbones.resnet import resnet10_050, resnet18, resnet34, resnet50, resnet101, resnet152
from keras_retinanet.backbones.weights import PublishedWeights, WeightsKind, load_file, weights_kind

BACKBONES: dict[str, Callable[..., keras.Model]] = {
    "resnet10_050": resnet10_050,
    "resnet18": resnet18,
    "resnet34": resnet34,
    "resnet50": resnet50,
    "resnet101": resnet101,
    "resnet152": resnet152,
    **APPLICATIONS,
    "efficientnet_lite0": efficientnet_lite0,
}
"""Name → function `(weights: str | None = None, **options) -> keras.Model`."""

PUBLISHED: dict[str, PublishedWeights] = {
    **resnet.PUBLISHED,
    **{name: application.published for name, application in APPLICATIONS.items()},
    "efficientnet_lite0": efficientnet_lite.PUBLISHED,
    "ssd_vgg16": ssd_vgg.PUBLISHED,
    "ssdlite_mobilenet_v3_large": ssdlite_mobilenet.PUBLISHED,
}
"""Name → the weights that others published for it."""


def load_weights(backbone: keras.Model, path: str | Path) -> None:
    """Loads the weights of a file into a backbone and freezes its batch normalisation.

    Args:
        backbone: Model of an entry of `BACKBONES`, under its name; changed in place.
        path: File, recognised by its content: what `backbone.save_weights` or `backbone.save` wrote; weights without
            classifier of the `keras.applications` network, of Keras 3 or as Keras downloads them; for
            EfficientNet-Lite0 a PyTorch state dict.

    Raises:
        ValueError: The file does not fit; names it, the backbone and what differs.
    """
    if backbone.name not in PUBLISHED:
        raise ValueError(f"{backbone.name!r} is not a backbone of this package; known are {', '.join(PUBLISHED)}.")
    load_file(backbone, Path(path), PUBLISHED[backbone.name])


__all__ = [
    "BACKBONES",
    "Normalize",
    "PixelStatistics",
    "PUBLISHED",
    "WeightsKind",
    "freeze_batch_norm",
    "load_weights",
    "pad_value",
    "weights_kind",
    "with_policy",
]
