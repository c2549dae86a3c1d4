"""Towers: 3x3 convolutions, shared over the pyramid's levels, that heads put before their predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import keras

from keras_retinanet.backbones.normalization import GroupNormalization, SyncBatchNormalization
from keras_retinanet.config import HeadNorm
from keras_retinanet.model.fpn import FeaturePyramid
from keras_retinanet.schema import Tensor

GROUPS = 32
"""Groups of the group normalisation (torchvision v2)."""


@dataclass(frozen=True)
class TowerSettings:
    """The layers of a tower.

    Attributes:
        width: Channels.
        depth: Convolutions.
        norm: After each convolution: none, group normalisation, or batch normalisation with its own weights and
            statistics on each level, synchronised between replicas.
        norm_epsilon: Added to the variance by that normalisation.
        norm_momentum: Batch normalisation: share of the old running statistics in each update.
        has_bias: Convolutions have biases before a normalisation too.
        activation: Name of the activation after each of them.
        is_separable: Depthwise 3x3 and pointwise 1x1 convolutions.
    """

    width: int = 256
    depth: int = 4
    norm: HeadNorm = "none"
    norm_epsilon: float = 1e-5
    norm_momentum: float = 0.99
    has_bias: bool = False
    activation: str = "relu"
    is_separable: bool = False

    def __post_init__(self) -> None:
        if self.norm not in get_args(HeadNorm):
            raise ValueError(f"`norm` is {', '.join(map(repr, get_args(HeadNorm)))}; received {self.norm!r}.")
        if self.norm == "group" and self.width % GROUPS:
            raise ValueError(
                f"GroupNorm in {GROUPS} groups needs a width divisible by {GROUPS}; received {self.width}."
            )

    def tower(self, policy: Any) -> keras.Sequential:
        """The layers that all levels share.

        Args:
            policy: Their dtype policy.

        Returns:
            Convolutions `conv0` …, each with `norm0` … where that is group normalisation; without batch normalisation
            also the activations, so that it maps features `(B, h, w, C)` to `(B, h, w, width)`.
        """
        tower = keras.Sequential([keras.layers.Identity(name="levels")], name="tower")  # it may have no convolution
        for index in range(self.depth):
            tower.add(self._convolution(index, policy))
            if self.norm == "batch":
                continue
            if self.norm == "group":
                name = f"norm{index}"
                tower.add(GroupNormalization(GROUPS, epsilon=self.norm_epsilon, name=name, dtype=policy))
            if self.activation == "relu":
                tower.add(keras.layers.ReLU(name=f"relu{index}", dtype=policy))
            else:
                tower.add(keras.layers.Activation(self.activation, name=f"relu{index}", dtype=policy))
        return tower

    def _convolution(self, index: int, policy: Any) -> keras.layers.Layer:
        kernel = keras.initializers.RandomNormal(stddev=0.01)  # §4.1; one each: a reused one repeats its values
        shared = {
            "padding": "same", "use_bias": self.has_bias or self.norm == "none", "name": f"conv{index}", "dtype": policy
        }  # fmt: skip
        if self.is_separable:
            return keras.layers.SeparableConv2D(self.width, 3, pointwise_initializer=kernel, **shared)
        return keras.layers.Conv2D(self.width, 3, kernel_initializer=kernel, **shared)

    def level_norms(self, num_levels: int, policy: Any) -> list[list[keras.layers.Layer]]:
        """The batch normalisations of each level.

        Args:
            num_levels: Levels of the pyramid.
            policy: Their dtype policy.

        Returns:
            One list per level of `depth` built layers; none without batch normalisation.
        """
        if self.norm != "batch":
            return []
        norms = [
            [
                SyncBatchNormalization(self.norm_epsilon, self.norm_momentum, name=f"norm{index}_{level}", dtype=policy)
                for index in range(self.depth)
            ]
            for level in range(num_levels)
        ]
        for layer in (layer for level in norms for layer in level):
            layer.build((None, None, None, self.width))
        return norms

    def run(
        self, tower: keras.Sequential, norms: Sequence[keras.layers.Layer] | None, features: Tensor, training: Any
    ) -> Tensor:
        """Runs a tower on the map of one level.

        Args:
            tower: From `tower`.
            norms: Those of the level, from `level_norms`; `None` without batch normalisation.
            features: `(B, h, w, C)`.
            training: Whether batch normalisation uses the statistics of the batch.

        Returns:
            `(B, h, w, width)`.
        """
        if norms is None:
            return tower(features)
        activate = keras.activations.get(self.activation)
        for convolution, norm in zip(convolutions_of(tower), norms, strict=True):
            features = activate(norm(convolution(features), training=training))
        return features


def convolutions_of(tower: keras.Sequential) -> list[keras.layers.Layer]:
    """The convolutions of a tower, in order."""
    return [layer for layer in tower.layers if layer.name.startswith("conv")]


@keras.saving.register_keras_serializable(package="keras_retinanet")
class SharedTower(keras.layers.Layer):
    """A pyramid followed by one tower, whose maps both heads take; it replaces the towers of the heads.

    The lite predictors of TensorFlow's Object Detection API (`share_prediction_tower`) are built so.

    Args:
        pyramid: Arguments of `FeaturePyramid`.
        tower: Fields of `TowerSettings`.
        has_level_towers: Each level has a tower of its own, which both heads take. Defaults to `False`.
    """

    def __init__(
        self, pyramid: Mapping[str, Any], tower: Mapping[str, Any], *, has_level_towers: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.pyramid = FeaturePyramid(**pyramid, name="feature_pyramid", dtype=self.dtype_policy)
        self.settings = TowerSettings(**tower)
        self.has_level_towers = has_level_towers
        self.tower = self.settings.tower(self.dtype_policy)
        others = self.levels[1:] if has_level_towers else ()
        self.other_towers = [self.settings.tower(self.dtype_policy) for _ in others]
        self.level_norms = self.settings.level_norms(len(self.levels), self.dtype_policy)

    @property
    def levels(self) -> tuple[str, ...]:
        """Names of the output levels, finest first."""
        return self.pyramid.levels

    @property
    def towers(self) -> list[keras.Sequential]:
        """The tower of all levels, or one per level."""
        return [self.tower, *self.other_towers]

    def build(self, input_shapes: Mapping[str, Any]) -> None:
        """Builds the pyramid for the backbone's channel counts, and the tower."""
        self.pyramid.build(input_shapes)
        for tower in self.towers:
            tower.build((None, None, None, self.pyramid.width))
        self.built = True

    def call(self, features: Mapping[str, Tensor], training: bool | None = None) -> dict[str, Tensor]:
        """`{"P3": (B, h3, w3, width), …}` from the backbone's maps."""
        pyramid = self.pyramid(features, training=training)
        towers = self.towers if self.has_level_towers else [self.tower] * len(self.levels)
        return {
            name: self.settings.run(tower, self._norms_of(index), pyramid[name], training)
            for index, (name, tower) in enumerate(zip(self.levels, towers, strict=True))
        }

    def _norms_of(self, level: int) -> list[keras.layers.Layer] | None:
        return self.level_norms[level] if self.level_norms else None

    def compute_output_spec(self, features: Mapping[str, Any], training: bool | None = None) -> dict[str, Any]:
        """Shapes of the levels, known where the inputs' are."""
        del training
        maps = self.pyramid.compute_output_spec(features)
        width = self.settings.width if self.settings.depth else self.pyramid.width
        return {
            name: keras.KerasTensor((*level.shape[:-1], width), dtype=self.compute_dtype)
            for name, level in maps.items()
        }

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return super().get_config() | {
            "pyramid": self.pyramid.arguments(), "tower": dict(vars(self.settings)),
            "has_level_towers": self.has_level_towers,
        }  # fmt: skip
