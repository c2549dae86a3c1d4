"""Default boxes of SSD: the anchors of its maps, from a smallest and a largest size for each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_retinanet.geometry.anchors import anchor_specs, level_anchors
from keras_retinanet.schema import Tensor


def base_default_boxes(smallest: float, largest: float, ratios: Sequence[float], max_side: float) -> np.ndarray:
    """The default boxes of one position, centred on the origin.

    A square of the smallest size; one of `√(smallest · largest)`; then for each ratio `r` a box of the smallest size
    that is `√r` times as wide and `1 / √r` times as high, and the same box turned.

    Args:
        smallest: Smallest size in pixels.
        largest: Largest size in pixels, which is the smallest of the next map.
        ratios: Width over height, or height over width, above 1.
        max_side: Sides are cut to this, in pixels.

    Returns:
        `(2 + 2 · len(ratios), 4)` float64 in pixels.

    Reference:
        Liu et al., SSD, 2016, §2.2; torchvision `DefaultBoxGenerator`.
    """
    sides = [(smallest, smallest), (math.sqrt(smallest * largest),) * 2]
    for ratio in ratios:
        wide, high = smallest * math.sqrt(ratio), smallest / math.sqrt(ratio)
        sides += [(wide, high), (high, wide)]
    half = np.minimum(np.array(sides), max_side) / 2  # (a, 2)
    return np.concatenate([-half, half], axis=1)


@keras.saving.register_keras_serializable(package="keras_retinanet")
class DefaultBoxes(keras.layers.Layer):
    """Default boxes of every map, from the shapes of the real maps. Float32 under every policy.

    It has the interface of `Anchors`.

    Args:
        sizes: Smallest size of each map in pixels, finest first, and the largest of the last; the largest size of a map
            is the smallest of the next.
        ratios: Of each map, the ratios of sides besides 1.
        strides: Pixels between neighbouring centres of each map; without any, the image's side over the map's.
        max_side: Longest side of a box in pixels: that of the image the boxes are made for.

    Raises:
        ValueError: Unequal numbers of maps, or a value that is not positive.
    """

    def __init__(
        self,
        sizes: Sequence[float],
        ratios: Sequence[Sequence[float]],
        strides: Sequence[float] = (),
        max_side: float = math.inf,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("dtype", "float32")
        super().__init__(trainable=False, **kwargs)
        self.sizes = tuple(float(size) for size in sizes)
        self.ratios = tuple(tuple(float(ratio) for ratio in level) for level in ratios)
        self.strides = tuple(float(stride) for stride in strides)
        self.max_side = float(max_side)
        levels = len(self.ratios)
        if len(self.sizes) != levels + 1 or len(self.strides) not in (0, levels):
            raise ValueError(
                f"{levels} maps need {levels + 1} sizes and {levels} strides or none; received {len(self.sizes)} sizes "
                f"{self.sizes} and {len(self.strides)} strides {self.strides}."
            )
        values = [*self.sizes, *self.strides, self.max_side, *(ratio for level in self.ratios for ratio in level)]
        if min(values) <= 0:
            raise ValueError(f"Sizes, ratios and strides of default boxes must be positive; received {min(values)}.")

    @property
    def bases(self) -> tuple[np.ndarray, ...]:
        """Default boxes `(a, 4)` of one position of each map."""
        spans = zip(self.sizes[:-1], self.sizes[1:], self.ratios, strict=True)
        return tuple(base_default_boxes(low, high, ratios, self.max_side) for low, high, ratios in spans)

    @property
    def num_anchors(self) -> tuple[int, ...]:
        """Boxes at each position, one number per map."""
        return tuple(2 + 2 * len(ratios) for ratios in self.ratios)

    def grid(self, level: int, padded: np.ndarray, maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Steps in pixels and offsets, `(I, 2)` each, of a map in images of `padded (I, 2)` px; see `Anchors.grid`."""
        step = np.full(padded.shape, self.strides[level]) if self.strides else padded / maps
        return step, np.full(padded.shape, 0.5)

    def call(self, pyramid: Mapping[str, Tensor], images: Tensor) -> dict[str, Tensor]:
        """Boxes `{"conv4_3": (1, A_level, 4), …}` in pixels of the images.

        Args:
            pyramid: Feature maps `(B, h, w, C)` by name, finest first.
            images: `(B, H, W, C)`; only the shape is read.
        """
        _, *sides, _ = ops.shape(images)
        boxes = {}
        for index, (name, features) in enumerate(pyramid.items()):
            _, height, width, _ = ops.shape(features)
            stride: tuple[Any, Any]
            if self.strides:
                stride = (self.strides[index],) * 2
            else:
                stride = tuple(
                    ops.cast(side, "float32") / ops.cast(count, "float32")
                    for side, count in zip(sides, (height, width), strict=True)
                )
            boxes[name] = level_anchors(height, width, stride, self.bases[index], (0.5, 0.5))[None]
        return boxes

    def compute_output_spec(self, pyramid: Mapping[str, Any], images: Any) -> dict[str, keras.KerasTensor]:
        """Shapes and dtype of the output, known where the maps' shapes are."""
        del images
        return anchor_specs(pyramid, self.num_anchors)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        names = ("sizes", "ratios", "strides", "max_side")
        config = super().get_config() | {name: getattr(self, name) for name in names}
        del config["trainable"]  # there is nothing to train
        return config
