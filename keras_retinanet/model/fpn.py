"""Feature pyramid network: C3–C5 of the backbone become P3–P7 (paper §4, figure 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, Literal

import keras
from keras import ops

from keras_retinanet.backbones.normalization import BatchNormalization
from keras_retinanet.schema import Tensor


def upsample_to(features: Tensor, reference: Tensor) -> Tensor:
    """Nearest-neighbour upsampling to the height and width of another map, also of odd size.

    Output index `i` reads input index `floor(i · in / out)`, the rule of fizyr (TensorFlow 1) and PyTorch;
    `ops.image.resize` samples at half pixels and picks other ones, for example for 7 → 13. Where TensorFlow does not
    know the sides yet, its kernel computes the index in float32: exact up to 2,048 → 4,096, one more or less.

    Args:
        features: `(B, h, w, C)`.
        reference: `(B, H, W, …)`, about twice as high and wide.

    Returns:
        `(B, H, W, C)`.
    """
    sides = [(ops.shape(features)[axis], ops.shape(reference)[axis]) for axis in (1, 2)]
    if keras.backend.backend() == "tensorflow" and not all(isinstance(side, int) for side in chain(*sides)):
        import tensorflow as tf

        return tf.raw_ops.ResizeNearestNeighbor(images=features, size=tf.shape(reference)[1:3])
    for axis, (have, want) in enumerate(sides, start=1):
        if want == 2 * have:
            features = ops.repeat(features, 2, axis=axis)
        else:
            features = ops.take(features, ops.arange(want) * have // want, axis=axis)
    return features


_CHOICES = {
    "p6_source": ("C5", "P5"),
    "stride_padding": ("symmetric", "same"),
    "norm": ("none", "batch"),
    "carried": ("sum", "output"),
    "extra_input": ("raw", "finished"),
}
_ARGUMENTS = (
    "width", "min_level", "max_level", "p6_source", "stride_padding", "has_relu_before_p7", "norm", "norm_epsilon",
    "norm_momentum", "has_bias", "activation", "has_output_activation", "carried", "has_top_output", "extra_input",
    "is_separable", "norm_levels",
)  # fmt: skip


@keras.saving.register_keras_serializable(package="keras_retinanet")
class FeaturePyramid(keras.layers.Layer):
    """1x1 laterals, top-down sums, 3x3 outputs; two further levels by stride-2 convolutions.

    The defaults are the paper's. Model Garden has `norm="batch"`; TensorFlow's Object Detection API also has
    `has_bias=False`, `has_output_activation=True`, `carried="output"`, `has_top_output=False` and
    `extra_input="finished"`.

    Args:
        width: Channels of every level. Defaults to 256.
        min_level: Finest level, 2 or 3. Defaults to 3.
        max_level: Coarsest level, 5, 6 or 7. Defaults to 7.
        p6_source: `"C5"` (paper, fizyr, Detectron2, torchvision v2) or `"P5"` (torchvision v1).
        stride_padding: Padding of the stride-2 convolutions: `"symmetric"` (one pixel on every side, as PyTorch) or
            `"same"` (right and below only on even maps, as TensorFlow and fizyr).
        has_relu_before_p7: Activation between P6 and P7; only MMDetection has none. Defaults to `True`.
        norm: `"batch"` for a batch normalisation after the last convolution of each level. Defaults to `"none"`.
        norm_epsilon: Added to the variance by it. Defaults to 1e-3.
        norm_momentum: Share of the old running statistics in each update. Defaults to 0.99.
        has_bias: Biases of the 3x3 convolutions; laterals always have them. Defaults to `True`.
        activation: Name of the activation. Defaults to `"relu"`.
        has_output_activation: Activation at the end of each level with a 3x3 convolution. Defaults to `False`.
        carried: What is added to the next finer level: the `"sum"` itself, or the finished `"output"`.
        has_top_output: 3x3 convolution of P5; without, P5 is the lateral itself. Defaults to `True`.
        extra_input: What P6 (from P5) and P7 are made from: the `"raw"` maps before normalisation, or the `"finished"`
            ones.
        is_separable: 3x3 convolutions are depthwise and 1x1 ones. Defaults to `False`.
        norm_levels: Names of the levels that have the normalisation. Defaults to `None`: all with a 3x3 convolution.

    Raises:
        ValueError: A level or a name that does not exist.
    """

    def __init__(
        self,
        width: int = 256,
        min_level: int = 3,
        max_level: int = 7,
        *,
        p6_source: Literal["C5", "P5"] = "C5",
        stride_padding: Literal["symmetric", "same"] = "symmetric",
        has_relu_before_p7: bool = True,
        norm: Literal["none", "batch"] = "none",
        norm_epsilon: float = 1e-3,
        norm_momentum: float = 0.99,
        has_bias: bool = True,
        activation: str = "relu",
        has_output_activation: bool = False,
        carried: Literal["sum", "output"] = "sum",
        has_top_output: bool = True,
        extra_input: Literal["raw", "finished"] = "raw",
        is_separable: bool = False,
        norm_levels: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.width = width
        self.min_level = min_level
        self.max_level = max_level
        self.p6_source = p6_source
        self.stride_padding = stride_padding
        self.has_relu_before_p7 = has_relu_before_p7
        self.norm = norm
        self.norm_epsilon = norm_epsilon
        self.norm_momentum = norm_momentum
        self.has_bias = has_bias
        self.activation = activation
        self.has_output_activation = has_output_activation
        self.carried = carried
        self.has_top_output = has_top_output
        self.extra_input = extra_input
        self.is_separable = is_separable
        self.norm_levels = None if norm_levels is None else tuple(norm_levels)
        self._check()
        self._merged_levels = tuple(range(min_level, 6))
        self._extra_levels = tuple(range(6, max_level + 1))
        self._make_layers()

    def _check(self) -> None:
        if self.min_level not in (2, 3) or self.max_level not in (5, 6, 7):
            raise ValueError(
                f"The pyramid runs from level 2 or 3 to 5, 6 or 7; received {self.min_level} to {self.max_level}."
            )
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"`{name}` is {' or '.join(map(repr, allowed))}; received {getattr(self, name)!r}.")

    def _make_layers(self) -> None:
        tops = self._merged_levels if self.has_top_output else self._merged_levels[:-1]
        self.laterals = {f"C{i}": self._conv(f"lateral{i}", 1) for i in self._merged_levels}
        self.outputs = {f"P{i}": self._conv(f"output{i}", 3) for i in tops}
        self.extras = {f"P{i}": self._conv(f"extra{i}", 3, stride=2) for i in self._extra_levels}
        convolved = (*self.outputs, *self.extras) if self.norm == "batch" else ()
        names = [name for name in convolved if self.norm_levels is None or name in self.norm_levels]
        self.norms = {
            name: BatchNormalization(
                self.norm_epsilon, self.norm_momentum, name=f"norm{name[1:]}", dtype=self.dtype_policy
            )
            for name in names
        }
        self.activate = keras.activations.get(self.activation)

    def _conv(self, name: str, size: int, stride: int = 1) -> keras.layers.Layer:
        padding = "valid" if stride > 1 and self.stride_padding == "symmetric" else "same"
        kind = keras.layers.SeparableConv2D if self.is_separable and size > 1 else keras.layers.Conv2D
        has_bias = self.has_bias or size == 1
        return kind(self.width, size, stride, padding, name=name, use_bias=has_bias, dtype=self.dtype_policy)

    @property
    def levels(self) -> tuple[str, ...]:
        """Names of the output levels, finest first."""
        return tuple(f"P{i}" for i in (*self._merged_levels, *self._extra_levels))

    @property
    def weighted_layers(self) -> tuple[keras.layers.Layer, ...]:
        """The layers with weights."""
        groups = (self.laterals, self.outputs, self.extras, self.norms)
        return tuple(layer for group in groups for layer in group.values())

    def build(self, input_shapes: Mapping[str, Any]) -> None:
        """Builds every convolution for the backbone's channel counts."""
        missing = [name for name in self.laterals if name not in input_shapes]
        if missing:
            raise ValueError(
                f"The pyramid needs {', '.join(missing)} and the backbone returns {', '.join(input_shapes)} only. "
                f"Choose a backbone that has them, or `min_level` 3."
            )
        for name, lateral in self.laterals.items():
            lateral.build(input_shapes[name])
        inner = (None, None, None, self.width)
        for layer in (*self.outputs.values(), *self.norms.values()):
            layer.build(inner)
        for name, extra in self.extras.items():
            is_from_c5 = name == "P6" and self.p6_source == "C5"
            extra.build((None, None, None, input_shapes["C5"][-1]) if is_from_c5 else inner)
        self.built = True

    def call(self, features: Mapping[str, Tensor], training: bool | None = None) -> dict[str, Tensor]:
        """`{"P3": (B, h3, w3, width), …}` from `{"C3": (B, h3, w3, c3), "C4": …, "C5": …}`."""
        raw: dict[str, Tensor] = {}
        pyramid: dict[str, Tensor] = {}
        carried = None
        for level in reversed(self._merged_levels):
            name = f"P{level}"
            lateral = self.laterals[f"C{level}"](features[f"C{level}"])
            merged = lateral if carried is None else lateral + upsample_to(carried, lateral)
            raw[name] = self.outputs[name](merged) if name in self.outputs else merged
            pyramid[name] = self._finished(raw[name], name, training)
            carried = merged if self.carried == "sum" else pyramid[name]
        source = raw if self.extra_input == "raw" else pyramid
        coarsest = features["C5"] if self.p6_source == "C5" else source["P5"]
        for level in self._extra_levels:
            if level == 7 and self.has_relu_before_p7:
                coarsest = self.activate(coarsest)
            name = f"P{level}"
            raw[name] = self.extras[name](self._padded(coarsest))
            pyramid[name] = self._finished(raw[name], name, training)
            coarsest = source[name]
        return {name: pyramid[name] for name in self.levels}

    def _finished(self, features: Tensor, name: str, training: bool | None) -> Tensor:
        """A level's map after its normalisation and activation; P5 has none if it is the lateral itself."""
        if name in self.norms:
            features = self.norms[name](features, training=training)
        has_convolution = name in self.outputs or name in self.extras
        return self.activate(features) if self.has_output_activation and has_convolution else features

    def _padded(self, features: Tensor) -> Tensor:
        if self.stride_padding == "same":
            return features
        return ops.pad(features, ((0, 0), (1, 1), (1, 1), (0, 0)))

    def compute_output_spec(self, features: Mapping[str, Any], training: bool | None = None) -> dict[str, Any]:
        """Shapes of the levels, known where the inputs' are."""
        del training
        shapes = {f"P{i}": tuple(features[f"C{i}"].shape[:3]) for i in self._merged_levels}
        batch, height, width = shapes["P5"]
        for level in self._extra_levels:  # both paddings halve and round up
            height, width = (None if side is None else (side + 1) // 2 for side in (height, width))
            shapes[f"P{level}"] = (batch, height, width)
        return {name: keras.KerasTensor((*shapes[name], self.width), dtype=self.compute_dtype) for name in self.levels}

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return super().get_config() | self.arguments()

    def arguments(self) -> dict[str, Any]:
        """The constructor arguments of this class, without those of Keras."""
        return {name: getattr(self, name) for name in _ARGUMENTS}
