"""VGG-16 as SSD has it: two maps of full width, and the fully connected layers as convolutions, the first dilated."""

from __future__ import annotations

from pathlib import Path

import keras
from keras import applications, layers

from keras_retinanet.backbones.application_weights import ApplicationWeights, weighted_layers
from keras_retinanet.backbones.dilated_conv import DilatedConv2D
from keras_retinanet.backbones.normalize import CAFFE, TORCH, PixelStatistics, normalized_input
from keras_retinanet.backbones.weights import start_from

SSD_VGG = PixelStatistics((255 * 0.48235, 255 * 0.45882, 255 * 0.40784), (1.0, 1.0, 1.0))
"""Mean subtracted, red first: torchvision's SSD300."""
BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
"""Channels and convolutions of the five blocks."""


def _copy_convolutions(source: keras.Model, backbone: keras.Model) -> None:
    """Carries the 13 convolutions over; fc6 and fc7, which ImageNet's weights without classifier lack, stay random."""
    for name, layer in weighted_layers(source).items():
        backbone.get_layer(name).set_weights(layer.get_weights())


PUBLISHED = ApplicationWeights(applications.VGG16, _copy_convolutions)
"""Where its ImageNet weights come from."""


def ssd_vgg16(weights: str | Path | None = None, *, normalization: PixelStatistics | None = None) -> keras.Model:
    """VGG-16 up to the dilated fc7, without its last halving.

    Args:
        weights: `None`, `"imagenet"` or the path of a file.
        normalization: Pixel normalisation that the weights expect. Defaults to that of Keras' ImageNet weights; with
            random ones to unit variance, without which their first logits are in the hundreds.

    Returns:
        Model from RGB images (B, H, W, 3) in 0–255 to `{"C4": …, "C5": …}`: conv4_3 of stride 8 and fc7 of stride 16.

    Reference:
        Liu et al., SSD: Single Shot MultiBox Detector, 2016, §3; torchvision `SSDFeatureExtractorVGG`.
    """
    images, x = normalized_input(normalization or (CAFFE if weights else TORCH))
    outputs = {}
    for number, (width, count) in enumerate(BLOCKS, 1):
        for index in range(1, count + 1):
            x = _convolution(width, 3, f"block{number}_conv{index}", "he_normal")(x)
        if number == 4:
            outputs["C4"] = x
        if number < 5:  # the third pool rounds up: 75 rows become 38
            padding = "same" if number == 3 else "valid"
            x = layers.MaxPooling2D(2, 2, padding, name=f"block{number}_pool")(x)
    x = layers.MaxPooling2D(3, 1, "same", name="block5_pool")(x)
    x = _convolution(1024, 3, "fc6", "glorot_uniform", dilation_rate=6)(x)
    outputs["C5"] = _convolution(1024, 1, "fc7", "glorot_uniform")(x)
    return start_from(keras.Model(images, outputs, name="ssd_vgg16"), weights, PUBLISHED)


def _convolution(width: int, size: int, name: str, initializer: str, dilation_rate: int = 1) -> keras.layers.Layer:
    kind = layers.Conv2D if dilation_rate == 1 else DilatedConv2D
    return kind(
        width,
        size,
        padding="same",
        dilation_rate=dilation_rate,
        activation="relu",
        kernel_initializer=initializer,
        name=name,
    )
