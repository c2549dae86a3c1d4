"""Folds batch normalisation into the convolutions before it: the same outputs with fewer passes over the maps.

In inference `γ · (conv(x) − mean) / √(variance + ε) + β` is a convolution with another kernel and a bias. A
normalisation that does not directly follow a convolution is kept, such as those at the start of DenseNet's layers.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers

from keras_retinanet.backbones.depthwise import DepthwiseConv2D
from keras_retinanet.backbones.grouped_conv import GroupedConv2D
from keras_retinanet.framework_internals import call_inputs
from keras_retinanet.model.retinanet import RetinaNet

_FOLDABLE = (layers.Conv2D, layers.DepthwiseConv2D, DepthwiseConv2D, GroupedConv2D)


def fold_batch_norm(network: RetinaNet) -> RetinaNet:
    """Folds the batch normalisation of a network's backbone.

    Args:
        network: The network, which is not changed. Pyramid and heads, which have no batch normalisation, are shared.

    Returns:
        A network for inference with the same settings.
    """
    return network.replaced(backbone=fold_backbone(network.backbone))


def fold_backbone(backbone: keras.Model) -> keras.Model:
    """Folds each batch normalisation that directly follows a convolution.

    Args:
        backbone: A functional model, which is not changed.

    Returns:
        A model with the same outputs, without the folded layers.
    """
    pairs = foldable_pairs(backbone)
    norms = {norm.name for norm in pairs.values()}

    def replace(layer: Any) -> Any:
        if layer.name in norms:
            return layers.Identity(name=layer.name)
        config = layer.get_config()
        return layer.__class__.from_config(config | ({"use_bias": True} if layer.name in pairs else {}))

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        return args[0] if layer.name in norms else layer(*args, **kwargs)

    folded = keras.models.clone_model(backbone, clone_function=replace, call_function=call)
    for layer in backbone.layers:
        if layer.name in pairs:
            folded.get_layer(layer.name).set_weights(folded_weights(layer, pairs[layer.name]))
        elif layer.weights and layer.name not in norms:
            folded.get_layer(layer.name).set_weights(layer.get_weights())
    return folded


def foldable_pairs(backbone: keras.Model) -> dict[str, keras.layers.BatchNormalization]:
    """Finds normalisations that are the only consumer of a convolution.

    Args:
        backbone: A functional model.

    Returns:
        Name of the convolution → the normalisation.
    """
    readers: dict[int, list[Any]] = {}
    for layer in backbone.layers:
        for inputs in call_inputs(layer):
            for tensor in inputs:
                readers.setdefault(id(tensor), []).append(layer)
    outputs = {id(tensor) for tensor in backbone.outputs}
    pairs = {}
    for layer in backbone.layers:
        if type(layer) not in _FOLDABLE or len(call_inputs(layer)) != 1:
            continue
        followers = readers.get(id(layer.output), [])
        is_alone = len(followers) == 1 and isinstance(followers[0], layers.BatchNormalization)
        if is_alone and id(layer.output) not in outputs and layer.activation is keras.activations.linear:
            pairs[layer.name] = followers[0]
    return pairs


def folded_weights(conv: Any, norm: Any) -> list[Any]:
    """Computes the kernel and bias that replace a convolution and its normalisation.

    Args:
        conv: A `Conv2D` or `DepthwiseConv2D`.
        norm: The `BatchNormalization` of its output.

    Returns:
        Kernel and bias, float32.
    """
    kernel, *rest = (np.asarray(value, np.float64) for value in conv.get_weights())
    scale = 1 / np.sqrt(np.asarray(norm.moving_variance, np.float64) + norm.epsilon)
    if norm.scale:
        scale = scale * np.asarray(norm.gamma, np.float64)
    bias = (rest[0] if rest else 0.0) - np.asarray(norm.moving_mean, np.float64)
    bias = bias * scale
    if norm.center:
        bias = bias + np.asarray(norm.beta, np.float64)
    by_channel = scale.reshape(kernel.shape[2:]) if isinstance(conv, layers.DepthwiseConv2D) else scale
    return [(kernel * by_channel).astype(np.float32), bias.astype(np.float32)]
