"""The maps of SSDLite: two of the backbone, and extra layers of depthwise and 1x1 convolutions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from keras_retinanet.backbones.normalization import BatchNormalization
from keras_retinanet.schema import Tensor

EPSILON, MOMENTUM = 1e-3, 0.97
"""Of the batch normalisation, as in torchvision's SSDLite."""


@keras.saving.register_keras_serializable(package="keras_retinanet")
class SsdLiteNeck(keras.layers.Layer):
    """Two maps of the backbone as they are, and one from each extra block.

    A block is a 1x1 convolution, a depthwise 3x3 one of stride 2 and another 1x1 one, each with batch normalisation and
    ReLU6.

    Args:
        blocks: Of each extra block the channels of its first and last convolution.

    Reference:
        Sandler et al., MobileNetV2, 2018, §6.2; torchvision `SSDLiteFeatureExtractorMobileNet`.
    """

    def __init__(self, blocks: Sequence[Sequence[int]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.blocks = tuple(tuple(int(value) for value in block) for block in blocks)
        self.convolutions: dict[str, keras.layers.Layer] = {}
        self.norms: dict[str, keras.layers.Layer] = {}
        for level, (narrow, width) in enumerate(self.blocks, 2):
            for part, layer in enumerate((self._pointwise(narrow), self._depthwise(), self._pointwise(width)), 1):
                name = f"extra{level}_{part}"
                self.convolutions[name] = layer(name)
                self.norms[name] = BatchNormalization(EPSILON, MOMENTUM, name=f"{name}_bn", dtype=self.dtype_policy)

    def _pointwise(self, width: int) -> Any:
        return lambda name: keras.layers.Conv2D(width, 1, use_bias=False, name=name, dtype=self.dtype_policy)

    def _depthwise(self) -> Any:
        return lambda name: keras.layers.DepthwiseConv2D(3, 2, use_bias=False, name=name, dtype=self.dtype_policy)

    @property
    def levels(self) -> tuple[str, ...]:
        """Names of the maps, finest first."""
        return ("C4", "C5", *(f"extra{level}" for level in range(2, 2 + len(self.blocks))))

    @property
    def weighted_layers(self) -> tuple[keras.layers.Layer, ...]:
        """The layers with weights."""
        return (*self.convolutions.values(), *self.norms.values())

    def build(self, input_shapes: Mapping[str, Any]) -> None:
        """Builds the layers for the channels of the last map."""
        channels = input_shapes["C5"][-1]
        for name, layer in self.convolutions.items():
            layer.build((None, None, None, channels))
            channels = getattr(layer, "filters", channels)  # a depthwise convolution keeps them
            self.norms[name].build((None, None, None, channels))
        self.built = True

    def call(self, features: Mapping[str, Tensor], training: bool | None = None) -> dict[str, Tensor]:
        """`{"C4": (B, h, w, C), "C5": …, "extra2": …}` from `{"C4": …, "C5": …}`."""
        maps = {"C4": features["C4"], "C5": features["C5"]}
        x = features["C5"]
        for name, layer in self.convolutions.items():
            if name.endswith("_2"):
                x = ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
            x = ops.relu6(self.norms[name](layer(x), training=training))
            if name.endswith("_3"):
                maps[name.removesuffix("_3")] = x
        return maps

    def compute_output_spec(self, features: Mapping[str, Any], training: bool | None = None) -> dict[str, Any]:
        """Shapes of the maps, known where the inputs' are."""
        del training
        shapes = {name: tuple(features[name].shape) for name in ("C4", "C5")}
        batch, height, width, _ = shapes["C5"]
        for level, (_, channels) in enumerate(self.blocks, 2):
            height, width = (None if side is None else (side + 1) // 2 for side in (height, width))
            shapes[f"extra{level}"] = (batch, height, width, channels)
        return {name: keras.KerasTensor(shape, dtype=self.compute_dtype) for name, shape in shapes.items()}

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return super().get_config() | {"blocks": self.blocks}
