"""Feature pyramid network: C3–C5 of the backbone become P3–P7 (paper §4, figure 3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import keras
from keras import ops

from keras_retinanet.schema import Tensor


def upsample_to(features: Tensor, reference: Tensor) -> Tensor:
    """Nearest-neighbour upsampling to the height and width of another map, also of odd size.

    Output index `i` reads input index `floor(i · in / out)`, the rule of fizyr (TensorFlow 1) and PyTorch;
    `ops.image.resize` samples at half pixels and picks other ones, for example for 7 → 13.

    Args:
        features: `(B, h, w, C)`.
        reference: `(B, H, W, …)`.

    Returns:
        `(B, H, W, C)`.
    """
    for axis in (1, 2):
        have, want = ops.shape(features)[axis], ops.shape(reference)[axis]
        if isinstance(have, int) and isinstance(want, int) and want == 2 * have:
            features = ops.repeat(features, 2, axis=axis)
        else:
            features = ops.take(features, ops.arange(want) * have // want, axis=axis)
    return features


@keras.saving.register_keras_serializable(package="keras_retinanet")
class FeaturePyramid(keras.layers.Layer):
    """1x1 laterals, top-down sums, 3x3 outputs; two further levels by stride-2 convolutions.

    Args:
        width: Channels of every level. Defaults to 256.
        min_level: Finest level, 2 or 3. Defaults to 3.
        max_level: Coarsest level, 5, 6 or 7. Defaults to 7.
        p6_source: `"C5"` (paper, fizyr, Detectron2, torchvision v2) or `"P5"` (torchvision v1).
        stride_padding: Padding of the stride-2 convolutions: `"symmetric"` (one pixel on every side, as PyTorch) or
            `"same"` (right and below only on even maps, as TensorFlow and fizyr).
        has_relu_before_p7: ReLU between P6 and P7; only MMDetection has none. Defaults to `True`.

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
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if min_level not in (2, 3) or max_level not in (5, 6, 7):
            raise ValueError(f"The pyramid runs from level 2 or 3 to 5, 6 or 7; received {min_level} to {max_level}.")
        if p6_source not in ("C5", "P5") or stride_padding not in ("symmetric", "same"):
            raise ValueError(
                "`p6_source` is 'C5' or 'P5' and `stride_padding` is 'symmetric' or 'same'; "
                f"received {p6_source!r} and {stride_padding!r}."
            )
        self.width = width
        self.min_level = min_level
        self.max_level = max_level
        self.p6_source = p6_source
        self.stride_padding = stride_padding
        self.has_relu_before_p7 = has_relu_before_p7
        self._merged_levels = tuple(range(min_level, 6))
        self._extra_levels = tuple(range(6, max_level + 1))
        self.laterals = {f"C{i}": self._conv(f"lateral{i}", 1) for i in self._merged_levels}
        self.outputs = {f"P{i}": self._conv(f"output{i}", 3) for i in self._merged_levels}
        self.extras = {f"P{i}": self._conv(f"extra{i}", 3, stride=2) for i in self._extra_levels}

    def _conv(self, name: str, size: int, stride: int = 1) -> keras.layers.Conv2D:
        padding = "valid" if stride > 1 and self.stride_padding == "symmetric" else "same"
        return keras.layers.Conv2D(self.width, size, stride, padding, name=name, dtype=self.dtype_policy)

    @property
    def levels(self) -> tuple[str, ...]:
        """Names of the output levels, finest first."""
        return tuple(f"P{i}" for i in (*self._merged_levels, *self._extra_levels))

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
        for output in self.outputs.values():
            output.build(inner)
        for name, extra in self.extras.items():
            is_from_c5 = name == "P6" and self.p6_source == "C5"
            extra.build((None, None, None, input_shapes["C5"][-1]) if is_from_c5 else inner)
        self.built = True

    def call(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """`{"P3": (B, h3, w3, width), …}` from `{"C3": (B, h3, w3, c3), "C4": …, "C5": …}`."""
        pyramid: dict[str, Tensor] = {}
        merged = None
        for level in reversed(self._merged_levels):
            lateral = self.laterals[f"C{level}"](features[f"C{level}"])
            merged = lateral if merged is None else lateral + upsample_to(merged, lateral)
            pyramid[f"P{level}"] = self.outputs[f"P{level}"](merged)
        coarsest = features["C5"] if self.p6_source == "C5" else pyramid["P5"]
        for level in self._extra_levels:
            if level == 7 and self.has_relu_before_p7:
                coarsest = ops.relu(coarsest)
            coarsest = pyramid[f"P{level}"] = self.extras[f"P{level}"](self._padded(coarsest))
        return {name: pyramid[name] for name in self.levels}

    def _padded(self, features: Tensor) -> Tensor:
        if self.stride_padding == "same":
            return features
        return ops.pad(features, ((0, 0), (1, 1), (1, 1), (0, 0)))

    def compute_output_spec(self, features: Mapping[str, Any]) -> dict[str, keras.KerasTensor]:
        """Shapes of the levels, known where the inputs' are."""
        shapes = {f"P{i}": tuple(features[f"C{i}"].shape[:3]) for i in self._merged_levels}
        batch, height, width = shapes["P5"]
        for level in self._extra_levels:  # both paddings halve and round up
            height, width = (None if side is None else (side + 1) // 2 for side in (height, width))
            shapes[f"P{level}"] = (batch, height, width)
        return {name: keras.KerasTensor((*shapes[name], self.width), dtype=self.compute_dtype) for name in self.levels}

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        names = ("width", "min_level", "max_level", "p6_source", "stride_padding", "has_relu_before_p7")
        return super().get_config() | {name: getattr(self, name) for name in names}
