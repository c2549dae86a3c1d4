"""ResNet-10/18/34/50/101/152 (He et al. 2015), in each of the variants in which detectors were published.

Layers are named `stem_…` and `stage{2…5}_block{1…}_{conv,bn,relu}{1…3}`, the projection on the skip
connection `…_shortcut_conv` and `…_shortcut_bn`. `C{n}` is the output of stage n, of stride 2ⁿ.

| published by | `stride_on` | `stem_padding` | `pool_padding` | `epsilon` | `normalization` |
|---|---|---|---|---|---|
| keras.applications (default of 50, 101, 152) | 1x1 | symmetric | symmetric | 1.001e-5 | CAFFE |
| fizyr, keras-resnet 0.1 | 1x1 | symmetric | same | 1e-5 | CAFFE |
| fizyr, keras-resnet 0.2 | 1x1 | same | same | 1e-5 | CAFFE |
| torchvision v2 (18 and 34: default) | 3x3 | symmetric | symmetric | 1e-5 | TORCH |
| torchvision v1 | 3x3 | symmetric | symmetric | 0 | TORCH |
| Detectron2 | 1x1 | symmetric | symmetric | 1e-5 | BGR mean only |
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack

import keras
import numpy as np
from keras import layers

from keras_retinanet.backbones.application_weights import ApplicationWeights
from keras_retinanet.backbones.grouped_conv import GroupedConv2D
from keras_retinanet.backbones.normalization import BatchNormalization
from keras_retinanet.backbones.normalize import CAFFE, TORCH, PixelStatistics, normalized_input
from keras_retinanet.backbones.resnet_names import torch_resnet_names
from keras_retinanet.backbones.torch_weights import is_torch_weights, load_torch_weights, read_groups
from keras_retinanet.backbones.weights import PublishedWeights, start_from

Padding = Literal["symmetric", "same"]


class ResNetOptions(TypedDict, total=False):
    """Options that every ResNet takes; defaults in `ResNetVariant`."""

    stride_on: Literal["1x1", "3x3"]
    """Which convolution of a bottleneck halves the map. The basic blocks of 18 and 34 have one choice only."""
    stem_padding: Padding
    """First convolution: 3 pixels on each side, or TensorFlow's "same", which pads even sides on one side more."""
    pool_padding: Padding
    """Max pooling: 1 pixel on each side, or TensorFlow's "same"."""
    block_padding: Padding
    """3x3 convolutions of stride 2: 1 pixel on each side, or TensorFlow's "same"."""
    epsilon: float
    """Added to the variance by every batch normalisation."""
    momentum: float
    """Share of the old running statistics in each update."""
    normalization: PixelStatistics
    """Pixel normalisation before the first convolution."""
    activation: Literal["relu", "relu6", "swish"]
    """After every batch normalisation and every sum."""
    has_first_projection: bool
    """Basic blocks: whether the first stage begins with a projection, as in Model Garden, though its width stays."""
    groups: int
    """Bottlenecks: groups of the 3x3 convolutions; above 1 it is a ResNeXt."""
    group_width: int
    """Bottlenecks: channels of each group in stage 2; each further stage has twice as many. A wide ResNet has one group
    of more than 64."""


@dataclass(frozen=True)
class ResNetVariant:
    """All of `ResNetOptions`, with defaults."""

    stride_on: Literal["1x1", "3x3"] = "1x1"
    stem_padding: Padding = "symmetric"
    pool_padding: Padding = "symmetric"
    block_padding: Padding = "symmetric"
    epsilon: float = 1.001e-5
    momentum: float = 0.9
    normalization: PixelStatistics = CAFFE
    activation: Literal["relu", "relu6", "swish"] = "relu"
    has_first_projection: bool = False
    groups: int = 1
    group_width: int = 64

    def __post_init__(self) -> None:
        if self.stride_on not in ("1x1", "3x3"):
            raise ValueError(f"`stride_on` is '1x1' or '3x3'; received {self.stride_on!r}.")
        for name in ("stem_padding", "pool_padding", "block_padding"):
            if getattr(self, name) not in ("symmetric", "same"):
                raise ValueError(f"`{name}` is 'symmetric' or 'same'; received {getattr(self, name)!r}.")
        if self.activation not in ("relu", "relu6", "swish"):
            raise ValueError(f"`activation` is 'relu', 'relu6' or 'swish'; received {self.activation!r}.")
        if self.activation == "swish" and self.pool_padding == "symmetric":
            raise ValueError(
                "Swish has negative values, which zeros around the map would hide: use 'same' pool_padding."
            )

    def activate(self, x: Any, name: str) -> Any:
        """The activation as a layer."""
        is_plain = self.activation == "relu"
        return (layers.ReLU(name=name) if is_plain else layers.Activation(self.activation, name=name))(x)

    def conv(
        self, x: Any, filters: int, size: int, name: str, *, stride: int = 1, padding: Padding = "same", groups: int = 1
    ) -> Any:
        """Convolution and batch normalisation; `name` has a `{}` for the kind of layer."""
        if padding == "symmetric" and size > 1:
            x = layers.ZeroPadding2D(size // 2, name=name.format("pad"))(x)
        x = (layers.Conv2D if groups == 1 else GroupedConv2D)(
            filters,
            size,
            strides=stride,
            padding="valid" if padding == "symmetric" else "same",
            use_bias=False,
            groups=groups,
            kernel_initializer="he_normal",
            name=name.format("conv"),
        )(x)
        return BatchNormalization(epsilon=self.epsilon, momentum=self.momentum, name=name.format("bn"))(x)

    def stem(self, x: Any, filters: int) -> Any:
        """From the normalised image to stride 4."""
        x = self.conv(x, filters, 7, "stem_{}", stride=2, padding=self.stem_padding)
        x = self.activate(x, "stem_relu")
        if self.pool_padding == "symmetric":
            x = layers.ZeroPadding2D(1, name="stem_pool_pad")(x)  # zeros after a ReLU are as good as -inf
        padding = "valid" if self.pool_padding == "symmetric" else "same"
        return layers.MaxPooling2D(3, strides=2, padding=padding, name="stem_pool")(x)

    def block(self, x: Any, kernels: Sequence[tuple[int, int]], name: str, *, stride: int, has_projection: bool) -> Any:
        """Residual block of the convolutions `kernels` = (filters, size), one of which has the stride."""
        shortcut = x
        if has_projection:
            shortcut = self.conv(x, kernels[-1][0], 1, f"{name}_shortcut_{{}}", stride=stride)
        strided = 2 if len(kernels) == 3 and self.stride_on == "3x3" else 1
        for index, (filters, size) in enumerate(kernels, start=1):
            if index > 1:
                x = self.activate(x, f"{name}_relu{index - 1}")
            own_stride = stride if index == strided else 1
            padding = self.block_padding if own_stride > 1 else "same"  # the same thing at stride 1
            groups = self.groups if size > 1 else 1
            x = self.conv(x, filters, size, f"{name}_{{}}{index}", stride=own_stride, padding=padding, groups=groups)
        x = layers.Add(name=f"{name}_add")([shortcut, x])
        return self.activate(x, f"{name}_relu{len(kernels)}")


def build_resnet(
    name: str, blocks: Sequence[int], variant: ResNetVariant, *, has_bottlenecks: bool, width: int = 64
) -> keras.Model:
    """A ResNet with random weights.

    Args:
        name: Name of the model.
        blocks: Residual blocks of the four stages.
        variant: Strides, paddings, normalisations.
        has_bottlenecks: Blocks of 1x1, 3x3 and 1x1 convolutions rather than two 3x3.
        width: Channels of the stem, and of stage 2 before its last 1x1; each further stage has twice as many.

    Returns:
        Model from RGB images (B, H, W, 3) in 0–255 to `{"C2", "C3", "C4", "C5"}`.
    """
    images, x = normalized_input(variant.normalization)
    x = variant.stem(x, width)
    outputs = {}
    for stage, count in enumerate(blocks, start=2):
        own = width * 2 ** (stage - 2)
        inner = variant.groups * variant.group_width * 2 ** (stage - 2)
        kernels = [(inner, 1), (inner, 3), (4 * own, 1)] if has_bottlenecks else [(own, 3), (own, 3)]
        for block in range(1, count + 1):
            is_first = block == 1
            x = variant.block(
                x,
                kernels,
                f"stage{stage}_block{block}",
                stride=2 if is_first and stage > 2 else 1,
                has_projection=is_first and (stage > 2 or has_bottlenecks or variant.has_first_projection),
            )
        outputs[f"C{stage}"] = x
    return keras.Model(images, outputs, name=name)


def copy_with_folded_biases(application: keras.Model, backbone: keras.Model) -> None:
    """Carries a ResNet v1 of `keras.applications` over; its convolutions' biases go into the running means.

    Args:
        application: ResNet50, ResNet101 or ResNet152 without classifier.
        backbone: The ResNet of the same depth.

    Raises:
        ValueError: The depths differ.
    """
    convolutions = [layer for layer in backbone.layers if isinstance(layer, layers.Conv2D)]
    biased = {layer.name: layer for layer in application.layers if isinstance(layer, layers.Conv2D)}
    names = [_application_name(layer.name) for layer in convolutions]
    if set(names) != set(biased):
        raise ValueError(f"{application.name!r} and {backbone.name!r} differ in {sorted(set(names) ^ set(biased))}.")
    for layer, name in zip(convolutions, names, strict=True):
        kernel, bias = biased[name].get_weights()
        gamma, beta, mean, variance = application.get_layer(name.replace("_conv", "_bn")).get_weights()
        layer.set_weights([kernel])
        norm = backbone.get_layer(layer.name.replace("conv", "bn"))
        norm.set_weights([gamma, beta, np.subtract(mean, bias), variance])


def _application_name(name: str) -> str:
    """`stage3_block1_conv2` → `conv3_block1_2_conv`."""
    if name == "stem_conv":
        return "conv1_conv"
    stage, block, part = name.split("_", 2)
    index = "0" if part.startswith("shortcut") else part.removeprefix("conv")
    return f"conv{stage.removeprefix('stage')}_{block}_{index}_conv"


@dataclass(frozen=True)
class ResNetWeights:
    """`PublishedWeights` of a ResNet: those of `keras.applications` where there are any, and files of PyTorch.

    Args:
        application: Where the ImageNet weights come from; `None` where Keras has none of this depth.
    """

    application: ApplicationWeights | None = None

    def load_imagenet(self, backbone: keras.Model) -> None:
        """Those of `keras.applications`."""
        if self.application is None:
            raise ValueError(f"There are no ImageNet weights for {backbone.name!r}: {_NO_APPLICATION}")
        self.application.load_imagenet(backbone)

    def load_file(self, backbone: keras.Model, path: Path) -> None:
        """A file that Keras would load, or a `.pth` or `.safetensors` in the layout of torchvision and timm."""
        if is_torch_weights(path):
            load_torch_weights(backbone, path, torch_names(backbone), "fc.")
        elif self.application is None:
            raise ValueError(f"{str(path)!r} holds no weights that {backbone.name!r} saved: {_NO_APPLICATION}")
        else:
            self.application.load_file(backbone, path)


_NO_APPLICATION = (
    "keras.applications has none of this depth. Use 'none', a file written by `save_weights` of this backbone, or "
    "torchvision's .pth."
)


def torch_names(backbone: keras.Model) -> dict[str, str]:
    """PyTorch module → layer, for every layer with weights."""
    spell = torch_resnet_names("")
    return {spell(layer.name): layer.name for layer in backbone.layers if layer.weights}


def _variant(weights: str | Path | None, options: ResNetOptions) -> ResNetVariant:
    """The variant in which a file of PyTorch was trained, or the default one; `options` go first."""
    own: ResNetOptions = {}
    if weights not in (None, "imagenet") and is_torch_weights(str(weights)):
        groups, width = read_groups(str(weights))
        own = {"stride_on": "3x3", "epsilon": 1e-5, "normalization": TORCH, "groups": groups, "group_width": width}
    return ResNetVariant(**(own | options))


def _published(application: Callable[..., keras.Model]) -> PublishedWeights:
    return ResNetWeights(ApplicationWeights(application, copy_with_folded_biases))


PUBLISHED: dict[str, PublishedWeights] = {
    "resnet10_050": ResNetWeights(),
    "resnet18": ResNetWeights(),
    "resnet34": ResNetWeights(),
    "resnet50": _published(keras.applications.ResNet50),
    "resnet101": _published(keras.applications.ResNet101),
    "resnet152": _published(keras.applications.ResNet152),
}
_BASIC: ResNetOptions = {"epsilon": 1e-5, "normalization": TORCH}


def resnet10_050(weights: str | Path | None = None, **options: Unpack[ResNetOptions]) -> keras.Model:
    """ResNet-10 of half the width: one basic block a stage, for training from scratch on a CPU. Else as `resnet18`."""
    variant = ResNetVariant(**(_BASIC | options))
    model = build_resnet("resnet10_050", (1, 1, 1, 1), variant, has_bottlenecks=False, width=32)
    return start_from(model, weights, PUBLISHED["resnet10_050"])


def resnet18(weights: str | Path | None = None, **options: Unpack[ResNetOptions]) -> keras.Model:
    """ResNet-18: basic blocks 2, 2, 2, 2; torchvision's variant by default.

    Args:
        weights: `None` or the path of a file.
        **options: See `ResNetOptions`.

    Returns:
        Model from RGB images (B, H, W, 3) in 0–255 to `{"C2", "C3", "C4", "C5"}`.
    """
    model = build_resnet("resnet18", (2, 2, 2, 2), ResNetVariant(**(_BASIC | options)), has_bottlenecks=False)
    return start_from(model, weights, PUBLISHED["resnet18"])


def resnet34(weights: str | Path | None = None, **options: Unpack[ResNetOptions]) -> keras.Model:
    """ResNet-34: basic blocks 3, 4, 6, 3. Arguments and answer as `resnet18`."""
    model = build_resnet("resnet34", (3, 4, 6, 3), ResNetVariant(**(_BASIC | options)), has_bottlenecks=False)
    return start_from(model, weights, PUBLISHED["resnet34"])


def resnet50(weights: str | Path | None = None, **options: Unpack[ResNetOptions]) -> keras.Model:
    """ResNet-50: bottlenecks 3, 4, 6, 3; the variant of `keras.applications` by default.

    Args:
        weights: `None`, `"imagenet"` or the path of a file. One of PyTorch (torchvision, timm) makes the variant
            that it was trained in.
        **options: See `ResNetOptions`.

    Returns:
        Model from RGB images (B, H, W, 3) in 0–255 to `{"C2", "C3", "C4", "C5"}`.
    """
    model = build_resnet("resnet50", (3, 4, 6, 3), _variant(weights, options), has_bottlenecks=True)
    return start_from(model, weights, PUBLISHED["resnet50"])


def resnet101(weights: str | Path | None = None, **options: Unpack[ResNetOptions]) -> keras.Model:
    """ResNet-101: bottlenecks 3, 4, 23, 3. Arguments and answer as `resnet50`."""
    model = build_resnet("resnet101", (3, 4, 23, 3), _variant(weights, options), has_bottlenecks=True)
    return start_from(model, weights, PUBLISHED["resnet101"])


def resnet152(weights: str | Path | None = None, **options: Unpack[ResNetOptions]) -> keras.Model:
    """ResNet-152: bottlenecks 3, 8, 36, 3. Arguments and answer as `resnet50`."""
    model = build_resnet("resnet152", (3, 8, 36, 3), _variant(weights, options), has_bottlenecks=True)
    return start_from(model, weights, PUBLISHED["resnet152"])
