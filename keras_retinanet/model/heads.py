"""The two heads: four 3x3 convolutions and one more, shared over the pyramid's levels (paper §4, figure 3)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_retinanet.config import HeadNorm, LossConfig
from keras_retinanet.losses import CLASSIFICATION_LOSSES
from keras_retinanet.model.tower import TowerSettings
from keras_retinanet.schema import Tensor

_TOWER = ("width", "depth", "norm", "norm_epsilon", "norm_momentum", "has_bias", "activation", "is_separable")


@keras.saving.register_keras_serializable(package="keras_retinanet")
class PriorProbability(keras.initializers.Initializer):
    """Bias with which a sigmoid starts at `probability` (paper §4.1: π = 0.01).

    Args:
        probability: In `0 … 1`, ends excluded. Defaults to 0.01.
        softmax_outputs: Outputs of each softmax, of which the last is the background: it starts at `1 - probability`,
            and the classes share `probability`. Defaults to 0, a sigmoid for each output.
    """

    def __init__(self, probability: float = 0.01, softmax_outputs: int = 0) -> None:
        if not 0 < probability < 1:
            raise ValueError(f"A prior probability lies between 0 and 1; received {probability}.")
        self.probability = probability
        self.softmax_outputs = softmax_outputs

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        """`-log((1 - π) / π)` in the given shape; of a softmax 0, and `log(K (1 - π) / π)` for the background."""
        odds = (1 - self.probability) / self.probability
        if not self.softmax_outputs:
            return ops.full(shape, -math.log(odds), dtype=dtype)
        classes = self.softmax_outputs - 1
        one = np.array([0.0] * classes + [math.log(classes * odds)], np.float32)
        return ops.cast(np.tile(one, math.prod(shape) // len(one)).reshape(shape), dtype or "float32")

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {"probability": self.probability, "softmax_outputs": self.softmax_outputs}


class Conv2D(keras.layers.Conv2D):
    """The last convolution of a head, in float32; in training its products have the precision of the features.

    Snapshots have its weights under the name of Keras' class, which this one therefore shares. It is the largest of all
    convolutions, so half precision pays most here. The bias is always added in float32: logits start near -4.6, where
    bfloat16 has steps of 1/32, the sums that it rounds near 0.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, autocast=False, **kwargs)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """`(B, h, w, filters)` from `(B, h, w, C)`."""
        dtype = keras.backend.standardize_dtype(inputs.dtype)
        if not training or dtype == self.compute_dtype:
            return super().call(ops.cast(inputs, self.compute_dtype))
        outputs = self.convolution_op(inputs, ops.cast(self.kernel, dtype))
        return ops.cast(outputs, self.compute_dtype) + self.bias


@keras.saving.register_keras_serializable(package="keras_retinanet")
class Head(keras.layers.Layer):
    """A tower of 3x3 convolutions that predicts a few numbers for every anchor.

    Its output is float32, and its last convolution computes in float32 under every dtype policy; in training steps in
    half precision only its bias is added in float32: it is the largest of all convolutions.

    Args:
        outputs_per_anchor: 4 deltas, the bins of four distributions, or one logit per class and for the background.
        num_anchors: Anchors per position: one number for all levels, or one per level.
        width: Channels of the tower. Defaults to 256.
        depth: Convolutions in the tower. Defaults to 4.
        norm: After each convolution of the tower: `"none"`, `"group"` normalisation of 32 groups, or `"batch"`
            normalisation with its own weights and statistics on each level.
        norm_epsilon: Added to the variance by that normalisation. Defaults to 1e-5 (torchvision v2).
        norm_momentum: Batch normalisation: share of the old running statistics in each update. Defaults to 0.99.
        has_bias: Convolutions have biases before that normalisation too, as Detectron2's. Defaults to `False`.
        activation: Name of the activation of the tower. Defaults to `"relu"`.
        is_separable: All convolutions are depthwise and 1x1 ones. Defaults to `False`.
        is_shared: One set of weights for all levels. Defaults to `True`.
        prior: Initial value of the outputs' sigmoid; `None` starts the bias at 0.
        has_background: The outputs of an anchor are one softmax, of which the last is the background. Defaults to
            `False`.
        has_quality: Another convolution at the end of the tower predicts one logit per anchor: the IoU of its box.
        final_dtype: What the last convolution computes in. Defaults to `"float32"`.
        has_level_towers: Each level has a tower of its own before the shared last convolution. Defaults to `False`.

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
        norm_momentum: float = 0.99,
        has_bias: bool = False,
        activation: str = "relu",
        is_separable: bool = False,
        is_shared: bool = True,
        prior: float | None = None,
        has_quality: bool = False,
        final_dtype: str = "float32",
        has_background: bool = False,
        has_level_towers: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
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
        self.norm_momentum = norm_momentum
        self.has_bias = has_bias
        self.activation = activation
        self.is_separable = is_separable
        self.tower_settings = TowerSettings(**{name: getattr(self, name) for name in _TOWER})
        self.is_shared = is_shared
        self.prior = prior
        self.has_quality = has_quality
        self.final_dtype = final_dtype
        self.has_background = has_background
        self.has_level_towers = has_level_towers
        self.towers: list[keras.Sequential] = []
        self.level_norms: list[list[keras.layers.Layer]] = []
        self.finals: list[keras.layers.Layer] = []  # weight files have the predictors under this name
        self.quality_finals: list[keras.layers.Layer] = []

    @property
    def predictors(self) -> list[keras.layers.Layer]:
        """The last convolution of each set of weights: one, or one per level."""
        return self.finals

    final_size = 3
    """Height and width of the last convolution's kernel."""

    def make_tower(self) -> keras.Sequential:
        """The layers before the last one, from features `(B, h, w, C)` to `(B, h, w, width)`."""
        return self.tower_settings.tower(self.dtype_policy)

    def _final(self, outputs: int, prior: float | None, name: str) -> keras.layers.Layer:
        kernel = keras.initializers.RandomNormal(stddev=0.01)
        is_separable = self.tower_settings.is_separable
        return (keras.layers.SeparableConv2D if is_separable else Conv2D)(
            outputs,
            self.final_size,
            padding="same",
            **{"pointwise_initializer" if is_separable else "kernel_initializer": kernel},
            bias_initializer=self._bias_initializer(prior),
            name=name,
            dtype=self.final_dtype,
        )

    def _bias_initializer(self, prior: float | None) -> Any:
        outputs = self.outputs_per_anchor if self.has_background else 0
        return "zeros" if prior is None else PriorProbability(prior, outputs)

    def build(self, input_shapes: Mapping[str, Any]) -> None:
        """Builds one tower and one last convolution, or one for each level."""
        shapes = [(None, None, None, shape[-1]) for shape in input_shapes.values()]
        counts = self._counts(len(shapes))
        for shape in shapes[: 1 if self.is_shared and not self.has_level_towers else None]:
            self.towers.append(self.make_tower())
            self.towers[-1].build(shape)
        for index in range(1 if self.is_shared else len(shapes)):
            self.finals.append(self._final(counts[index] * self.outputs_per_anchor, self.prior, "final"))
            if self.has_quality:
                self.quality_finals.append(self._final(counts[index], None, "quality"))
            for final in (self.finals[-1], *self.quality_finals[-1:]):
                final.build(self.towers[index].compute_output_shape(shapes[index]))
        self.level_norms = self.tower_settings.level_norms(len(shapes), self.dtype_policy)
        self.built = True

    def _counts(self, num_levels: int) -> tuple[int, ...]:
        if isinstance(self.num_anchors, int):
            return (self.num_anchors,) * num_levels
        if len(self.num_anchors) != num_levels:
            raise ValueError(f"{num_levels} levels need as many anchor counts; received {self.num_anchors}.")
        return self.num_anchors

    def call(self, pyramid: Mapping[str, Tensor], training: bool | None = None) -> Tensor | tuple[Tensor, Tensor]:
        """`(B, A, outputs_per_anchor)` float32 for the anchors of all levels, finest first.

        With `has_quality` also the logits `(B, A, 1)` float32 of the IoU.

        Args:
            pyramid: `(B, h, w, C)` feature maps by level name, finest first.
            training: Whether batch normalisation uses the statistics of the batch.
        """
        answers, qualities = [], []
        for level, features in enumerate(pyramid.values()):
            index = 0 if self.is_shared else level
            norms = self.level_norms[level] if self.level_norms else None
            tower = self.towers[level if len(self.towers) > 1 else 0]
            features = self.tower_settings.run(tower, norms, features, training)
            answers.append(_by_anchor(self.finals[index](features), self.outputs_per_anchor))
            if self.has_quality:
                qualities.append(_by_anchor(self.quality_finals[index](features), 1))
        found = ops.cast(ops.concatenate(answers, axis=1), "float32")
        return (found, ops.cast(ops.concatenate(qualities, axis=1), "float32")) if self.has_quality else found

    def compute_output_spec(self, pyramid: Mapping[str, Any], training: bool | None = None) -> Any:
        """Shape and dtype of the output."""
        del training
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
            "outputs_per_anchor", "num_anchors", "is_shared", "prior", "has_quality", "final_dtype", "has_background",
            "has_level_towers", *_TOWER,
        )  # fmt: skip
        return super().get_config() | {name: getattr(self, name) for name in names}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Head:
        """The head of a `get_config`; earlier files have `values` for `outputs_per_anchor`."""
        return super().from_config(
            {"outputs_per_anchor" if name == "values" else name: config[name] for name in config}
        )


def class_outputs(loss: LossConfig, num_classes: int, prior: float | None = None) -> dict[str, Any]:
    """The arguments of a class head that its loss decides.

    Args:
        loss: Name of the loss.
        num_classes: `K`.
        prior: Probability of objects with which the head starts. Defaults to that of the loss.

    Returns:
        Arguments of `Head`.
    """
    scores = CLASSIFICATION_LOSSES[loss.classification]
    outputs, prior = num_classes + scores.has_background, scores.prior if prior is None else prior
    return {"outputs_per_anchor": outputs, "prior": prior, "has_background": scores.has_background}


def _by_anchor(answer: Tensor, outputs: int) -> Tensor:
    """`(B, h · w · a, outputs)` from `(B, h, w, a · outputs)`."""
    return ops.reshape(answer, (ops.shape(answer)[0], -1, outputs))
