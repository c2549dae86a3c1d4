"""MobileNetV3-Large as SSDLite has it: the expansion of its last halving block, and its last map."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import keras
from keras import applications, layers

from keras_retinanet.backbones.application_weights import ApplicationWeights, copy_by_name
from keras_retinanet.backbones.normalization import BatchNormalization
from keras_retinanet.backbones.normalize import TF, PixelStatistics, normalized_input
from keras_retinanet.backbones.weights import start_from

PUBLISHED = ApplicationWeights(applications.MobileNetV3Large, copy_by_name)
"""Where its ImageNet weights come from."""

MOMENTUM = 0.97
"""Share of the old running statistics of batch normalisation in each update, as in torchvision's SSDLite."""

_REDUCED_TAIL = {
    "expanded_conv_12_project": 80, "expanded_conv_13_expand": 480, "expanded_conv_13_squeeze_excite_conv": 120,
    "expanded_conv_13_squeeze_excite_conv_1": 480, "expanded_conv_13_project": 80, "expanded_conv_14_expand": 480,
    "expanded_conv_14_squeeze_excite_conv": 120, "expanded_conv_14_squeeze_excite_conv_1": 480,
    "expanded_conv_14_project": 80, "conv_1": 480,
}  # fmt: skip
"""Channels of the layers behind the last halving: half of those of the classification network."""


def ssdlite_mobilenet_v3_large(
    weights: str | Path | None = None,
    *,
    normalization: PixelStatistics = TF,
    padding: Literal["symmetric", "corner"] | None = None,
    has_reduced_tail: bool | None = None,
) -> keras.Model:
    """MobileNetV3-Large.

    Args:
        weights: `None`, `"imagenet"` or the path of a file.
        normalization: Pixel normalisation that the weights expect. Defaults to -1 … 1.
        padding: Of the convolutions of stride 2: as many pixels on each side (PyTorch), or one more on the right and
            below (TensorFlow). Defaults to what the weights expect: those of Keras the latter, random ones the former.
        has_reduced_tail: Half the channels behind the last halving (MobileNetV3, table 6). Defaults to `True` for
            random weights; those of ImageNet have all.

    Returns:
        Model from RGB images (B, H, W, 3) in 0–255 to `{"C4": …, "C5": …}`: the expansion of stride 16 and the last map
        of stride 32.

    Reference:
        Howard et al., Searching for MobileNetV3, 2019, §6.3; torchvision `SSDLiteFeatureExtractorMobileNet`.
    """
    padding = padding or ("corner" if weights else "symmetric")
    is_symmetric = padding == "symmetric"
    channels = _REDUCED_TAIL if (not weights if has_reduced_tail is None else has_reduced_tail) else {}
    _, normalized = normalized_input(normalization)
    if is_symmetric:
        normalized = layers.ZeroPadding2D(1, name="conv_pad")(normalized)
    network = applications.MobileNetV3Large(
        include_top=False, weights=None, input_tensor=normalized, include_preprocessing=False
    )

    def replace(layer: Any) -> Any:
        config = layer.get_config()
        if isinstance(layer, layers.BatchNormalization):
            return BatchNormalization.from_config(config | {"momentum": MOMENTUM})
        if layer.name == "conv" and is_symmetric:
            config["padding"] = "valid"
        if layer.name.endswith("_depthwise_pad") and is_symmetric:
            config["padding"] = (config["padding"][0][1],) * 2
        if layer.name in channels:
            config["filters"] = channels[layer.name]
        return layer.__class__.from_config(config)

    network = keras.models.clone_model(network, clone_function=replace)
    outputs = {"C4": network.get_layer("expanded_conv_12_depthwise_pad").input, "C5": network.outputs[0]}
    backbone = keras.Model(network.inputs[0], outputs, name="ssdlite_mobilenet_v3_large")
    return start_from(backbone, weights, PUBLISHED)
