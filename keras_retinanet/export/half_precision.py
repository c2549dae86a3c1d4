"""The same network computing in float16 or bfloat16, boxes and scores in float32 as in training."""

from __future__ import annotations

from typing import Any, Literal

import keras
from keras import layers

from keras_retinanet.backbones import Normalize
from keras_retinanet.export.folding import with_backbone
from keras_retinanet.retinanet import RetinaNet

Half = Literal["float16", "bfloat16"]
SMALL = (layers.Conv2D, layers.DepthwiseConv2D)
"""Layers whose weights are stored small: they compute with small ones anyway."""


def in_half_precision(network: RetinaNet, precision: Half) -> RetinaNet:
    """A network with another dtype policy.

    Kernels of convolutions are stored in half precision, statistics and scales of normalisations in float32. What is
    float32 under mixed precision stays so: normalisation of pixels, the last convolution of the heads, box coding.

    Args:
        network: RetinaNet. Left as it is.
        precision: `"float16"` or `"bfloat16"`.

    Returns:
        A network with the same weights, rounded.
    """

    def replace(layer: Any) -> Any:
        config = layer.get_config()
        if not isinstance(layer, Normalize):
            config["dtype"] = _policy(layer, precision)
        return layer.__class__.from_config(config)

    backbone = keras.models.clone_model(network.backbone, clone_function=replace)
    backbone.set_weights(network.backbone.get_weights())
    pyramid_shapes = {level: tuple(tensor.shape) for level, tensor in network.neck.output.items()}
    neck = _rebuilt(network.neck, precision, {level: tuple(t.shape) for level, t in network.neck.input.items()})
    heads = tuple(
        _rebuilt(head, precision if head.norm == "none" else f"mixed_{precision}", pyramid_shapes)
        for head in (network.class_head, network.box_head)
    )
    return with_backbone(network, backbone, neck, heads)


def _policy(layer: Any, precision: Half) -> str:
    return precision if type(layer) in SMALL else f"mixed_{precision}"


def _rebuilt(layer: Any, policy: str, shapes: Any) -> Any:
    copy = layer.__class__.from_config(layer.get_config() | {"dtype": policy})
    copy.build(shapes)
    copy.set_weights(layer.get_weights())
    return copy
