"""Backbones built on `keras.applications`: one table says which layer of which network is C2 … C5.

Taps are the last activation before each halving of the map, so that all layers of the application with weights, and
all of its ImageNet weights, are used. DenseNet's C2–C4 are, as in fizyr and timm, the concatenations at the end of
a block, and its C5 is after the last batch normalisation and ReLU, which is what its classifier was trained on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
from keras import applications, layers

from keras_retinanet.backbones.application_weights import ApplicationWeights, copy_by_name
from keras_retinanet.backbones.depthwise import DepthwiseConv2D
from keras_retinanet.backbones.normalization import BatchNormalization
from keras_retinanet.backbones.normalize import (
    CAFFE,
    EFFICIENTNET,
    EFFICIENTNET_V2,
    TF,
    TORCH,
    Normalize,
    PixelStatistics,
    normalized_input,
)
from keras_retinanet.backbones.weights import start_from

Taps = Mapping[str, str]
"""Level → `"<layer>"`, `"input of <layer>"` where the layer has no stable name itself, or `"output"`."""


Padding = Literal["same", "corner", "symmetric"]
_PADS = {"corner": ((0, 1), (0, 1)), "symmetric": ((1, 1), (1, 1))}


@dataclass(frozen=True)
class Application:
    """A backbone of the table: calling it builds the model.

    Args:
        application: Function of `keras.applications`.
        taps: Where the levels are taken.
        normalization: Pixel normalisation that the weights expect.
        options: Further arguments of the function, such as to leave its own normalisation out.
        has_fixed_preprocessing: The function cannot leave its own normalisation out (EfficientNet B0–B7).
    """

    application: Callable[..., keras.Model]
    taps: Taps
    normalization: PixelStatistics
    options: Mapping[str, Any] = field(default_factory=dict)
    has_fixed_preprocessing: bool = False

    @property
    def name(self) -> str:
        """Key of this entry in the table."""
        return next(name for name, entry in APPLICATIONS.items() if entry is self)

    @property
    def published(self) -> ApplicationWeights:
        """Where its ImageNet weights come from."""
        carry_over = _copy_checked if self.has_fixed_preprocessing else copy_by_name
        return ApplicationWeights(self.application, carry_over)

    def __call__(
        self,
        weights: str | Path | None = None,
        *,
        normalization: PixelStatistics | None = None,
        taps: Taps | None = None,
        stem_padding: Padding = "same",
        block_padding: Padding = "corner",
        norm_epsilon: float | None = None,
        activation: str | None = None,
        alpha: float | None = None,
        widths: Mapping[str, int] | None = None,
    ) -> keras.Model:
        """Builds the backbone.

        Args:
            weights: `None`, `"imagenet"` or the path of a file.
            normalization: In place of the one that the ImageNet weights expect, for weights trained otherwise.
            taps: Levels that are taken elsewhere than the table says.
            stem_padding: Of MobileNet's first convolution: TensorFlow's "same"; `"corner"`, one pixel on the right and
                below whatever the size, as Keras 2.2 and 2.3 had it; or `"symmetric"`, one on each side, as in 2018.
            block_padding: Of the other convolutions of stride 2 of MobileNet and MobileNetV2: `"corner"`; or
                `"symmetric"` or `"same"`, as in Keras of 2018 and TensorFlow's Object Detection API.
            norm_epsilon: Added to the variance by every batch normalisation, in place of the application's value.
            activation: Name of the activation in place of MobileNet's and MobileNetV2's ReLU6.
            alpha: Width multiplier of MobileNetV2, which decides the blocks with a shortcut.
            widths: Channels of convolutions by name, where they are not the application's. A block whose last one is
                among them has no shortcut (TensorFlow's Object Detection API).

        Returns:
            Model from RGB images (B, H, W, 3) in 0–255 to `{"C2", "C3", "C4", "C5"}`.
        """
        statistics = normalization or self.normalization
        images, normalized = normalized_input(statistics)
        if stem_padding != "same":
            normalized = layers.ZeroPadding2D(_PADS[stem_padding], name="conv1_pad")(normalized)
        if self.has_fixed_preprocessing:
            network = self.application(include_top=False, weights=None, input_tensor=images)
        else:
            options = {**self.options, **({} if alpha is None else {"alpha": alpha})}
            network = self.application(include_top=False, weights=None, input_tensor=normalized, **options)
        network = _with_own_layers(network, statistics, stem_padding, block_padding, norm_epsilon, activation)
        network = _with_widths(network, widths or {})
        outputs = {level: _tap(network, place) for level, place in {**self.taps, **(taps or {})}.items()}
        backbone = keras.Model(network.inputs[0], outputs, name=self.name)
        return start_from(backbone, weights, self.published)


def _tap(network: keras.Model, place: str) -> keras.KerasTensor:
    if place == "output":
        return network.outputs[0]
    if place.startswith("input of "):
        return network.get_layer(place.removeprefix("input of ")).input
    return network.get_layer(place).output


def _with_own_layers(
    network: keras.Model,
    statistics: PixelStatistics,
    stem_padding: Padding,
    block_padding: Padding,
    norm_epsilon: float | None,
    activation: str | None,
) -> keras.Model:
    """A network with our batch normalisation, and `Normalize` where EfficientNet rescales and normalises itself.

    The paddings are those of the MobileNets' convolutions of stride 2; a layer before them makes all but "same".
    """
    scales_itself = any(isinstance(layer, layers.Normalization) for layer in network.layers)

    def replace(layer: Any) -> Any:
        if isinstance(layer, layers.Rescaling) and scales_itself:
            return Normalize(*statistics, name="normalize")
        if isinstance(layer, layers.Normalization):
            return layers.Identity(name="normalized")
        is_batch_norm = isinstance(layer, layers.BatchNormalization)
        kind = BatchNormalization if is_batch_norm else layer.__class__
        if kind is layers.DepthwiseConv2D:
            kind = DepthwiseConv2D
        config = layer.get_config()
        if is_batch_norm and norm_epsilon is not None:
            config["epsilon"] = norm_epsilon
        if isinstance(layer, layers.ReLU) and activation is not None:
            return layers.Activation(activation, name=layer.name)
        if layer.name == "conv1" and stem_padding != "same":
            config["padding"] = "valid"
        if re.fullmatch(r"conv_pad_\d+|block_\d+_pad", layer.name):
            if block_padding == "same":
                return layers.Identity(name=layer.name)
            config["padding"] = _PADS[block_padding]
        is_depthwise = re.fullmatch(r"conv_dw_\d+|block_\d+_depthwise", layer.name)
        if is_depthwise and block_padding == "same":
            config["padding"] = "same"
        return kind.from_config(config)

    return keras.models.clone_model(network, clone_function=replace)


def _with_widths(network: keras.Model, widths: Mapping[str, int]) -> keras.Model:
    """A network with other channels in some of its convolutions, and without the shortcuts that they end."""
    own = {layer.name: layer.filters for layer in network.layers if type(layer) is layers.Conv2D}
    changed = {name: width for name, width in widths.items() if own.get(name, width) != width}
    if not changed:
        return network

    def replace(layer: Any) -> Any:
        config = layer.get_config()
        return layer.__class__.from_config(config | ({"filters": changed[layer.name]} if layer.name in changed else {}))

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(layer, layers.Add) and f"{layer.name.removesuffix('add')}project" in changed:
            return layers.Identity(name=layer.name)(args[0][1])
        return layer(*args, **kwargs)

    return keras.models.clone_model(network, clone_function=replace, call_function=call)


def _copy_checked(source: keras.Model, backbone: keras.Model) -> None:
    """Carries EfficientNet over, once sure that its stored normalisation is the one that `Normalize` makes."""
    own = next(layer for layer in source.layers if isinstance(layer, layers.Normalization))
    mean, variance, _ = own.get_weights()
    expected = np.asarray(TORCH.mean) / 255, (np.asarray(TORCH.std) / 255) ** 2
    if not (np.allclose(mean, expected[0], atol=1e-4) and np.allclose(variance, expected[1], atol=1e-4)):
        raise ValueError(
            f"The weights of {source.name!r} normalise with mean {mean} and variance {variance}; "
            f"{backbone.name!r} expects ImageNet's {expected[0]} and {expected[1]}."
        )
    rest = keras.Model(own.output, source.outputs)
    copy_by_name(rest, backbone)


_VGG = {"C2": "block2_pool", "C3": "block3_pool", "C4": "block4_pool", "C5": "block5_pool"}
_MOBILENET = {"C2": "conv_pw_3_relu", "C3": "conv_pw_5_relu", "C4": "conv_pw_11_relu", "C5": "conv_pw_13_relu"}
_MOBILENET_V2 = {
    "C2": "block_3_expand_relu",
    "C3": "block_6_expand_relu",
    "C4": "block_13_expand_relu",
    "C5": "out_relu",
}
_EFFICIENTNET = {
    "C2": "block3a_expand_activation",
    "C3": "block4a_expand_activation",
    "C4": "block6a_expand_activation",
    "C5": "top_activation",
}
_EFFICIENTNET_V2 = {**_EFFICIENTNET, "C2": "input of block3a_expand_conv"}  # there the 3x3 itself expands and halves
_NO_PREPROCESSING = {"include_preprocessing": False}


def _mobilenet_v3(c2: int, c3: int, c4: int) -> Taps:
    """The numbers of the blocks that halve; Keras does not name the activation in front of their convolution."""
    blocks = {"C2": c2, "C3": c3, "C4": c4}
    taps = {level: f"input of expanded_conv_{block}_depthwise_pad" for level, block in blocks.items()}
    return {**taps, "C5": "output"}


def _densenet(blocks: int) -> Taps:
    """`blocks` of the third dense block, the one in which the depths differ."""
    return {
        "C2": "conv2_block6_concat",
        "C3": "conv3_block12_concat",
        "C4": f"conv4_block{blocks}_concat",
        "C5": "relu",
    }


def _convnext(name: str) -> Taps:
    taps = {f"C{index + 2}": f"input of {name}_downsampling_block_{index}" for index in range(3)}
    return {**taps, "C5": "output"}


def _efficientnet(application: Callable[..., keras.Model]) -> Application:
    return Application(application, _EFFICIENTNET, EFFICIENTNET, has_fixed_preprocessing=True)


def _efficientnet_v2(application: Callable[..., keras.Model], normalization: PixelStatistics) -> Application:
    return Application(application, _EFFICIENTNET_V2, normalization, _NO_PREPROCESSING)


def _convnext_of(application: Callable[..., keras.Model], name: str) -> Application:
    return Application(application, _convnext(name), TORCH, _NO_PREPROCESSING)


APPLICATIONS: dict[str, Application] = {
    "vgg16": Application(applications.VGG16, _VGG, CAFFE),
    "vgg19": Application(applications.VGG19, _VGG, CAFFE),
    "mobilenet": Application(applications.MobileNet, _MOBILENET, TF),
    "mobilenet_025": Application(partial(applications.MobileNet, alpha=0.25), _MOBILENET, TF),
    "mobilenet_050": Application(partial(applications.MobileNet, alpha=0.5), _MOBILENET, TF),
    "mobilenet_075": Application(partial(applications.MobileNet, alpha=0.75), _MOBILENET, TF),
    "mobilenet_v2": Application(applications.MobileNetV2, _MOBILENET_V2, TF),
    "mobilenet_v3_small": Application(applications.MobileNetV3Small, _mobilenet_v3(1, 3, 8), TF, _NO_PREPROCESSING),
    "mobilenet_v3_large": Application(applications.MobileNetV3Large, _mobilenet_v3(3, 6, 12), TF, _NO_PREPROCESSING),
    "densenet121": Application(applications.DenseNet121, _densenet(24), TORCH),
    "densenet169": Application(applications.DenseNet169, _densenet(32), TORCH),
    "densenet201": Application(applications.DenseNet201, _densenet(48), TORCH),
    "efficientnet_b0": _efficientnet(applications.EfficientNetB0),
    "efficientnet_b1": _efficientnet(applications.EfficientNetB1),
    "efficientnet_b2": _efficientnet(applications.EfficientNetB2),
    "efficientnet_b3": _efficientnet(applications.EfficientNetB3),
    "efficientnet_b4": _efficientnet(applications.EfficientNetB4),
    "efficientnet_b5": _efficientnet(applications.EfficientNetB5),
    "efficientnet_b6": _efficientnet(applications.EfficientNetB6),
    "efficientnet_b7": _efficientnet(applications.EfficientNetB7),
    "efficientnet_v2_b0": _efficientnet_v2(applications.EfficientNetV2B0, TORCH),
    "efficientnet_v2_b1": _efficientnet_v2(applications.EfficientNetV2B1, TORCH),
    "efficientnet_v2_b2": _efficientnet_v2(applications.EfficientNetV2B2, TORCH),
    "efficientnet_v2_b3": _efficientnet_v2(applications.EfficientNetV2B3, TORCH),
    "efficientnet_v2_s": _efficientnet_v2(applications.EfficientNetV2S, EFFICIENTNET_V2),
    "efficientnet_v2_m": _efficientnet_v2(applications.EfficientNetV2M, EFFICIENTNET_V2),
    "efficientnet_v2_l": _efficientnet_v2(applications.EfficientNetV2L, EFFICIENTNET_V2),
    "convnext_tiny": _convnext_of(applications.ConvNeXtTiny, "convnext_tiny"),
    "convnext_small": _convnext_of(applications.ConvNeXtSmall, "convnext_small"),
    "convnext_base": _convnext_of(applications.ConvNeXtBase, "convnext_base"),
    "convnext_large": _convnext_of(applications.ConvNeXtLarge, "convnext_large"),
    "convnext_xlarge": _convnext_of(applications.ConvNeXtXLarge, "convnext_xlarge"),
}
"""Every backbone built on `keras.applications`, by name."""
