"""The maps of SSD: conv4_3 with its vectors rescaled, fc7, and extra layers of ever coarser maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from keras_retinanet.schema import Tensor

NORM_SCALE = 20.0
"""Length to which the vectors of conv4_3 are scaled at first (SSD, §3.1)."""


@keras.saving.register_keras_serializable(package="keras_retinanet")
class L2Normalization(keras.layers.Layer):
    """Scales the vector of each position to length 1, then each channel by a learned factor; in float32.

    Args:
        initial_scale: First value of the factors. Defaults to 20.

    Reference:
        Liu et al., ParseNet, 2015, §3.3; torchvision `F.normalize`.
    """

    def __init__(self, initial_scale: float = NORM_SCALE, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.initial_scale = initial_scale

    def build(self, input_shape: Any) -> None:
        """Creates one factor per channel."""
        start = keras.initializers.Constant(self.initial_scale)
        self.scale = self.add_weight(shape=(input_shape[-1],), initializer=start, dtype="float32", name="scale")
        self.built = True

    def call(self, features: Tensor) -> Tensor:
        """Maps `(B, h, w, C)` of the same shape and dtype."""
        values = ops.cast(features, "float32")
        length = ops.sqrt(ops.sum(ops.square(values), axis=-1, keepdims=True))
        scaled = values * (ops.cast(self.scale, "float32") / ops.maximum(length, 1e-12))
        return ops.cast(scaled, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return super().get_config() | {"initial_scale": self.initial_scale}


@keras.saving.register_keras_serializable(package="keras_retinanet")
class SsdNeck(keras.layers.Layer):
    """conv4_3 normalised, fc7, and one map from each extra block: a 1x1 convolution, then one that shrinks the map.

    Args:
        blocks: Of each extra block the channels of its two convolutions, and kernel size, stride and padding, in pixels
            on each side, of the second.

    Reference:
        Liu et al., SSD: Single Shot MultiBox Detector, 2016, figure 2; torchvision `SSDFeatureExtractorVGG`.
    """

    def __init__(self, blocks: Sequence[Sequence[int]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.blocks = tuple(tuple(int(value) for value in block) for block in blocks)
        self.norm = L2Normalization(name="conv4_3_norm", dtype=self.dtype_policy)
        self.extras = {}
        for number, (narrow, width, size, stride, _) in enumerate(self.blocks, 8):
            self.extras[f"conv{number}_1"] = self._convolution(narrow, 1, 1, f"conv{number}_1")
            self.extras[f"conv{number}_2"] = self._convolution(width, size, stride, f"conv{number}_2")

    def _convolution(self, width: int, size: int, stride: int, name: str) -> keras.layers.Layer:
        return keras.layers.Conv2D(width, size, stride, activation="relu", name=name, dtype=self.dtype_policy)

    @property
    def levels(self) -> tuple[str, ...]:
        """Names of the maps, finest first."""
        return ("conv4_3", "fc7", *(name for name in self.extras if name.endswith("_2")))

    @property
    def weighted_layers(self) -> tuple[keras.layers.Layer, ...]:
        """The layers with weights."""
        return (self.norm, *self.extras.values())

    def build(self, input_shapes: Mapping[str, Any]) -> None:
        """Builds the layers for the channels of conv4_3 and fc7."""
        self.norm.build(input_shapes["C4"])
        channels = input_shapes["C5"][-1]
        for layer in self.extras.values():
            layer.build((None, None, None, channels))
            channels = layer.filters
        self.built = True

    def call(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """`{"conv4_3": (B, h, w, 512), "fc7": …, "conv8_2": …}` from `{"C4": …, "C5": …}`."""
        maps = {"conv4_3": self.norm(features["C4"]), "fc7": features["C5"]}
        x = features["C5"]
        for number, (*_, padding) in enumerate(self.blocks, 8):
            x = self.extras[f"conv{number}_1"](x)
            x = ops.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0))) if padding else x
            x = self.extras[f"conv{number}_2"](x)
            maps[f"conv{number}_2"] = x
        return maps

    def compute_output_spec(self, features: Mapping[str, Any]) -> dict[str, Any]:
        """Shapes of the maps, known where the inputs' are."""
        shapes = {"conv4_3": tuple(features["C4"].shape), "fc7": tuple(features["C5"].shape)}
        batch, height, width, _ = shapes["fc7"]
        for number, (_, channels, size, stride, padding) in enumerate(self.blocks, 8):
            height, width = (
                None if side is None else (side + 2 * padding - size) // stride + 1 for side in (height, width)
            )
            shapes[f"conv{number}_2"] = (batch, height, width, channels)
        return {name: keras.KerasTensor(shape, dtype=self.compute_dtype) for name, shape in shapes.items()}

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return super().get_config() | {"blocks": self.blocks}
