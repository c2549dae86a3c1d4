"""The two heads: four 3x3 convolutions and one more, shared over the pyramid's levels (paper §4, figure 3)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, get_args

import keras
from keras import ops

from keras_retinanet.backbones.normalization import GroupNormalization, SyncBatchNormalization
from keras_retinanet.config import HeadNorm
from keras_retinanet.schema import Tensor

GROUPS = 32
"""Groups of the group normalisation (torchvision v2)."""


@keras.saving.register_keras_serializable(package="keras_retinanet")
class PriorProbability(keras.initializers.Initializer):
    """Bias with which a sigmoid starts at `probability` (paper §4.1: π = 0.01).

    Args:
        probability: In `0 … 1`, ends excluded. Defaults to 0.01.
    """

    def __init__(self, probability: float = 0.01) -> None:
        if not 0 < probability < 1:
            raise ValueError(f"A prior probability lies between 0 and 1; received {probability}.")
        self.probability = probability

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        """`-log((1 - π) / π)` in the given shape."""
        return ops.full(shape, -math.log((1 - self.probability) / self.probability), dtype=dtype)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {"probability": self.probability}


@keras.saving.register_keras_serializable(package="keras_retinanet")
class Head(keras.layers.Layer):
    """A tower of 3x3 convolutions that predicts a few numbers for every anchor.

    Its output is float32, and its last convolution computes in float32 under every dtype policy.

    Args:
        outputs_per_anchor: 4 deltas, the bins of four distributions, or one logit per class.
        num_anchors: Anchors per position: one number for all levels, or one per level.
        width: Channels of the tower. Defaults to 256.
        depth: Convolutions in the tower. Defaults to 4.
        norm: What follows each convolution of the tower: `"none"`; `"group"`, GroupNorm of 32 groups; `"batch"`,
            batch normalisation, synchronised between replicas. Its statistics, scales and shifts are those of one
            level, also where convolutions are shared (EfficientDet, RTMDet): levels differ in their means.
        norm_epsilon: Added to the variance by that normalisation. Defaults to 1e-5 (torchvision v2).
        has_bias: Convolutions have biases before that normalisation too, as Detectron2's. Defaults to `False`.
        is_shared: One set of weights for all levels. Defaults to `True`.
        prior: Initial value of the outputs' sigmoid; `None` starts the bias at 0.
        has_quality: Another convolution at the end of the tower predicts one logit per anchor: the IoU of its box.
        final_dtype: What the last convolution computes in. Defaults to `"float32"`.

    Raises:
        ValueError: Shared weights with unequal numbers of anchors, or a width that groups cannot divide.
    """

    def __init__(
        self,
        outputs_per_anchor: int,
        num_anchors: int | Sequence[int] = 9,
        *,
        width: int = 256,
        depth: int = 4,
        norm: HeadNorm = "none",
        norm_epsilon: float = 1e-5,
        has_bias: bool = False,
        is_shared: bool = True,
        prior: float | None = None,
        has_quality: bool = False,
        final_dtype: str = "float32",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if norm not in get_args(HeadNorm):
            raise ValueError(f"`norm` is one of {', '.join(get_args(HeadNorm))}; received {norm!r}.")
        if norm == "group" and width % GROUPS:
            raise ValueError(f"GroupNorm in {GROUPS} groups needs a width divisible by {GROUPS}; received {width}.")
        counts = {num_anchors} if isinstance(num_anchors, int) else set(num_anchors)
        if is_shared and len(counts) > 1:
            raise ValueError(
                f"Shared heads need the same number of anchors on every level; received {num_anchors}. "
                "Give each level as many scales as the others, or set `is_shared=False`."
            )
        self.outputs_per_anchor = outputs_per_anchor
        self.num_anchors = num_anchors if isinstance(num_anchors, int) else tuple(num_anchors)
        self.width = width
        self.depth = depth
        self.norm = norm
        self.norm_epsilon = norm_epsilon
        self.has_bias = has_bias
        self.is_shared = is_shared
        self.prior = prior
        self.has_quality = has_quality
        self.final_dtype = final_dtype
        self.towers: list[keras.Sequential] = []  # one, or one per level
        self.finals: list[keras.layers.Conv2D] = []  # weight files have the predictors under this name
        self.quality_finals: list[keras.layers.Conv2D] = []

    @property
    def predictors(self) -> list[keras.layers.Conv2D]:
        """The last convolution of each set of weights: one, or one per level."""
        return self.finals

    def _convolutions(self) -> list[keras.layers.Conv2D]:
        return [
            keras.layers.Conv2D(
                self.width,
                3,
                padding="same",
                use_bias=self.has_bias or self.norm == "none",
                kernel_initializer=keras.initializers.RandomNormal(
                    stddev=0.01
                ),  # §4.1; one each: it repeats its values
                name=f"conv{index}",
                dtype=self.dtype_policy,
            )
            for index in range(self.depth)
        ]

    def _norm(self, index: int) -> keras.layers.Layer:
        options: dict[str, Any] = {"epsilon": self.norm_epsilon, "name": f"norm{index}", "dtype": self.dtype_policy}
        return GroupNormalization(GROUPS, **options) if self.norm == "group" else SyncBatchNormalization(**options)

    def _tower(self, convolutions: Sequence[keras.layers.Conv2D], name: str) -> keras.Sequential:
        tower = keras.Sequential([keras.layers.Identity(name="levels")], name=name)  # it may have no convolution
        for index, convolution in enumerate(convolutions):
            tower.add(convolution)
            if self.norm != "none":
                tower.add(self._norm(index))
            tower.add(keras.layers.ReLU(name=f"relu{index}", dtype=self.dtype_policy))
        return tower

    def _final(self, outputs: int, prior: float | None, name: str) -> keras.layers.Conv2D:
        return keras.layers.Conv2D(
            outputs,
            3,
            padding="same",
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
            bias_initializer="zeros" if prior is None else PriorProbability(prior),
            name=name,
            dtype=self.final_dtype,
        )

    def build(self, input_shapes: Mapping[str, Any]) -> None:
        """Builds the towers, and the last convolutions: one set of weights, or one for each level."""
        shapes = [(None, None, None, shape[-1]) for shape in input_shapes.values()]
        counts = self._counts(len(shapes))
        has_own_norms = self.norm == "batch" and self.is_shared
        for index in range(1 if self.is_shared else len(shapes)):
            convolutions = self._convolutions()
            for level, shape in enumerate(shapes if has_own_norms else [shapes[index]]):
                self.towers.append(self._tower(convolutions, f"tower{level}" if has_own_norms else "tower"))
                self.towers[-1].build(shape)
            features = self.towers[-1].compute_output_shape(shapes[index])
            finals = [(self.finals, counts[index] * self.outputs_per_anchor, self.prior, "final")]
            if self.has_quality:
                finals.append((self.quality_finals, counts[index], None, "quality"))
            for layers, outputs, prior, name in finals:
                layers.append(self._final(outputs, prior, name))
                layers[-1].build(features)
        self.built = True

    def _counts(self, num_levels: int) -> tuple[int, ...]:
        if isinstance(self.num_anchors, int):
            return (self.num_anchors,) * num_levels
        if len(self.num_anchors) != num_levels:
            raise ValueError(f"{num_levels} levels need as many anchor counts; received {self.num_anchors}.")
        return self.num_anchors

    def call(self, pyramid: Mapping[str, Tensor]) -> Tensor | tuple[Tensor, Tensor]:
        """`(B, A, outputs_per_anchor)` float32 for the anchors of all levels, finest first.

        With `has_quality` also the logits `(B, A, 1)` float32 of the IoU.

        Args:
            pyramid: `(B, h, w, C)` feature maps by level name, finest first.
        """
        answers, qualities = [], []
        for index, features in enumerate(pyramid.values()):
            features = self.towers[index if len(self.towers) > 1 else 0](features)
            index = 0 if self.is_shared else index
            answers.append(_by_anchor(self.finals[index](features), self.outputs_per_anchor))
            if self.has_quality:
                qualities.append(_by_anchor(self.quality_finals[index](features), 1))
        found = ops.cast(ops.concatenate(answers, axis=1), "float32")
        return (found, ops.cast(ops.concatenate(qualities, axis=1), "float32")) if self.has_quality else found

    def compute_output_spec(self, pyramid: Mapping[str, Any]) -> Any:
        """Shape and dtype of the output."""
        shapes = [features.shape for features in pyramid.values()]
        total: int | None = None
        if all(None not in shape[1:3] for shape in shapes):
            counts = self._counts(len(shapes))
            total = sum(shape[1] * shape[2] * count for shape, count in zip(shapes, counts, strict=True))
        found = keras.KerasTensor((shapes[0][0], total, self.outputs_per_anchor), dtype="float32")
        return (found, keras.KerasTensor((shapes[0][0], total, 1), dtype="float32")) if self.has_quality else found

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        names = (
            "outputs_per_anchor", "num_anchors", "width", "depth", "norm", "norm_epsilon", "has_bias", "is_shared",
            "prior", "has_quality", "final_dtype",
        )  # fmt: skip
        return super().get_config() | {name: getattr(self, name) for name in names}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Head:
        """The head of a `get_config`; earlier files have `values` for `outputs_per_anchor`."""
        return super().from_config(
            {"outputs_per_anchor" if name == "values" else name: config[name] for name in config}
        )


def _by_anchor(answer: Tensor, outputs: int) -> Tensor:
    """`(B, h · w · a, outputs)` from `(B, h, w, a · outputs)`."""
    return ops.reshape(answer, (ops.shape(answer)[0], -1, outputs))
