"""Changes the dtype of a network to float32, float16 or bfloat16; boxes and scores stay float32 as in training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import keras
from keras import layers

from keras_retinanet.backbones import with_policy
from keras_retinanet.backbones.depthwise import DepthwiseConv2D
from keras_retinanet.framework_internals import nested_layers
from keras_retinanet.model.retinanet import RetinaNet

FloatDtype = Literal["float32", "float16", "bfloat16"]
SMALL = (layers.Conv2D, layers.DepthwiseConv2D, DepthwiseConv2D)
"""Layers whose weights are stored in half precision, in which they compute anyway."""
NORMS = (layers.BatchNormalization, layers.GroupNormalization)


def with_dtype(network: RetinaNet, dtype: FloatDtype) -> RetinaNet:
    """Copies a network with another dtype policy.

    In half precision, kernels of convolutions are stored in that dtype, statistics and scales of normalisations in
    float32. Layers that are float32 under mixed precision stay float32: normalisation of pixels, the last convolution
    of the box head, box coding. The last convolution of the class head, the largest of all, computes in half precision,
    too, so a logit may be off by 1/250 of its value.

    Args:
        network: The network, which is not changed.
        dtype: Dtype of the computation.

    Returns:
        A network with the same weights, rounded; the same one if it has this dtype already.
    """
    if dtype == "float32" and all(layer.compute_dtype == "float32" for layer in _layers(network)):
        return network

    backbone = with_policy(network.backbone, lambda layer: _policy(dtype, is_small=type(layer) in SMALL))
    neck = _rebuilt(network.neck, _policy(dtype, is_small=not has_norm(network.neck)), backbone.output)
    pyramid = neck.compute_output_spec(backbone.output)
    class_head, box_head = (
        _rebuilt(head, _policy(dtype, is_small=not has_norm(head)), pyramid, final_dtype=final_dtype)
        for head, final_dtype in ((network.class_head, dtype), (network.box_head, "float32"))
    )
    return network.replaced(backbone=backbone, neck=neck, class_head=class_head, box_head=box_head)


def has_norm(part: Any) -> bool:
    """Whether a part of a network has a normalisation, whose statistics and scales stay float32."""
    return any(isinstance(layer, NORMS) for layer in nested_layers(part))


def _layers(network: RetinaNet) -> Iterator[Any]:
    for part in (network.backbone, network.neck, network.class_head, network.box_head):
        yield from nested_layers(part)


def _policy(dtype: FloatDtype, is_small: bool) -> str:
    return dtype if is_small or dtype == "float32" else f"mixed_{dtype}"


def _rebuilt(layer: Any, policy: str, inputs: Mapping[str, keras.KerasTensor], **changes: str) -> Any:
    copy = layer.__class__.from_config(layer.get_config() | {"dtype": policy, **changes})
    copy.build({level: tuple(tensor.shape) for level, tensor in inputs.items()})
    copy.set_weights(layer.get_weights())
    return copy
