"""Folds batch normalisation into the convolutions before it: the same outputs with fewer passes over the maps.

In inference `γ · (conv(x) − mean) / √(variance + ε) + β` is a convolution with another kernel and a bias. A
normalisation that does not directly follow a convolution is kept, such as those at the start of DenseNet's layers, and
so is one before which another layer reads the map. Levels that share a convolution but not its normalisation get a
kernel each where these are small, as separable ones are: five full kernels would make a detector on a ResNet-50 half as
large again, for a hundredth of its time.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers

from keras_retinanet.backbones.depthwise import DepthwiseConv2D
from keras_retinanet.backbones.grouped_conv import GroupedConv2D
from keras_retinanet.framework_internals import call_inputs
from keras_retinanet.model.fpn import FeaturePyramid
from keras_retinanet.model.heads import Head
from keras_retinanet.model.retinanet import RetinaNet
from keras_retinanet.model.tower import SharedTower, convolutions_of

MAX_COPIES = 0.25
"""Largest share of the weights of a network by which kernels for each level may add to it."""
_FOLDABLE = (layers.Conv2D, layers.DepthwiseConv2D, DepthwiseConv2D, GroupedConv2D)


def fold_batch_norm(network: RetinaNet) -> RetinaNet:
    """Folds the batch normalisation of a network.

    Args:
        network: The network, which is not changed. Parts without foldable normalisation are shared.

    Returns:
        A network for inference with the same settings.
    """
    room = MAX_COPIES * network.count_params()
    parts = {"backbone": fold_backbone(network.backbone), "neck": fold_neck(network.neck, room)}
    heads = {name: getattr(network, name) for name in ("class_head", "box_head")}
    if sum(_count_copied(head.towers, head.level_norms) for head in heads.values()) <= room:
        parts |= {name: fold_head(head) for name, head in heads.items()}
    return network.replaced(**parts)


def _count_copied(towers: Sequence[Any], level_norms: Sequence[Any]) -> int:
    """Numbers by which a tower for each level would add to the weights."""
    return max(0, len(level_norms) - len(towers)) * sum(tower.count_params() for tower in towers) // len(towers)


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


def fold_neck(neck: Any, room: float = math.inf) -> Any:
    """Folds the batch normalisation of a pyramid, and of the tower behind it.

    Args:
        neck: The pyramid or `SharedTower`, which is not changed.
        room: Numbers by which a tower for each level may add to the weights; else the tower keeps its normalisation.

    Returns:
        A layer with the same outputs; the same one if there is nothing to fold.
    """
    if type(neck) is FeaturePyramid:
        return _fold_pyramid(neck) if neck.norms else neck
    if type(neck) is not SharedTower or not (neck.pyramid.norms or any(neck.level_norms)):
        return neck
    pyramid = _fold_pyramid(neck.pyramid)
    is_folded = any(neck.level_norms) and _count_copied(neck.towers, neck.level_norms) <= room
    settings = dataclasses.replace(neck.settings, norm="none") if is_folded else neck.settings
    folded = SharedTower(
        pyramid.arguments(), vars(settings), has_level_towers=is_folded or neck.has_level_towers, name=neck.name,
        dtype=neck.dtype_policy,
    )  # fmt: skip
    folded.build(_input_shapes(pyramid))
    folded.pyramid.set_weights(pyramid.get_weights())
    if is_folded:
        _fold_towers(neck.towers, neck.level_norms, folded.towers)
        return folded
    kept = [*neck.towers, *(norm for norms in neck.level_norms for norm in norms)]
    own = [*folded.towers, *(norm for norms in folded.level_norms for norm in norms)]
    for layer, new in zip(kept, own, strict=True):
        new.set_weights(layer.get_weights())
    return folded


def _fold_pyramid(pyramid: FeaturePyramid) -> FeaturePyramid:
    """Folds the normalisation of each level whose map is not read before it."""
    read = {f"P{int(name[1:]) - 1}" for name in pyramid.extras} if pyramid.extra_input == "raw" else set()
    read -= {"P5"} if pyramid.p6_source == "C5" else set()
    staying = [name for name in pyramid.norms if name in read]
    arguments = pyramid.arguments() | {"has_bias": True, "norm_levels": staying}
    folded = FeaturePyramid(**arguments, name=pyramid.name, dtype=pyramid.dtype_policy)
    folded.build(_input_shapes(pyramid))
    pairs = [(pyramid.laterals, folded.laterals), (pyramid.outputs, folded.outputs), (pyramid.extras, folded.extras)]
    for name, conv, own in ((name, group[name], ours[name]) for group, ours in pairs for name in group):
        norm = None if name in staying else pyramid.norms.get(name)
        own.set_weights(_weights_with_bias(conv) if norm is None else folded_weights(conv, norm))
    for name in staying:
        folded.norms[name].set_weights(pyramid.norms[name].get_weights())
    return folded


def _input_shapes(pyramid: FeaturePyramid) -> dict[str, tuple[Any, ...]]:
    return {name: (None, None, None, conv.kernel.shape[2]) for name, conv in pyramid.laterals.items()}


def fold_head(head: Head) -> Head:
    """Folds the batch normalisation of a head's towers.

    Args:
        head: The head, which is not changed.

    Returns:
        A head with the same outputs; the same one if there is nothing to fold.
    """
    if type(head) is not Head or not any(head.level_norms):
        return head
    folded = Head.from_config(head.get_config() | {"norm": "none", "has_level_towers": True})
    channels = [convolutions_of(tower)[0].weights[0].shape[2] for tower in head.towers]
    levels = range(len(head.level_norms))
    folded.build({f"{level}": (None, None, None, channels[min(level, len(channels) - 1)]) for level in levels})
    _fold_towers(head.towers, head.level_norms, folded.towers)
    for final, own in zip((*head.finals, *head.quality_finals), (*folded.finals, *folded.quality_finals), strict=True):
        own.set_weights(final.get_weights())
    return folded


def _fold_towers(towers: Sequence[Any], level_norms: Sequence[Sequence[Any]], folded: Sequence[Any]) -> None:
    """Fills the tower of each level from that of all levels, or its own, and the level's normalisations."""
    for level, (norms, own) in enumerate(zip(level_norms, folded, strict=True)):
        tower = towers[level if len(towers) > 1 else 0]
        for conv, norm, new in zip(convolutions_of(tower), norms, convolutions_of(own), strict=True):
            new.set_weights(folded_weights(conv, norm))


def _weights_with_bias(conv: Any) -> list[Any]:
    """Kernels and bias, which is 0 where the convolution has none."""
    return conv.get_weights() + ([] if conv.use_bias else [np.zeros(conv.filters, np.float32)])


def folded_weights(conv: Any, norm: Any) -> list[Any]:
    """Computes the kernels and the bias that replace a convolution and its normalisation.

    Args:
        conv: A `Conv2D`, `DepthwiseConv2D` or `SeparableConv2D`.
        norm: The `BatchNormalization` of its output.

    Returns:
        Kernels and bias, float32.
    """
    values = [np.asarray(value, np.float64) for value in conv.get_weights()]
    bias = values.pop() if conv.use_bias else 0.0
    *depthwise, kernel = values
    scale = 1 / np.sqrt(np.asarray(norm.moving_variance, np.float64) + norm.epsilon)
    if norm.scale:
        scale = scale * np.asarray(norm.gamma, np.float64)
    bias = (bias - np.asarray(norm.moving_mean, np.float64)) * scale
    if norm.center:
        bias = bias + np.asarray(norm.beta, np.float64)
    by_channel = scale.reshape(kernel.shape[2:]) if isinstance(conv, layers.DepthwiseConv2D) else scale
    return [value.astype(np.float32) for value in (*depthwise, kernel * by_channel, bias)]
