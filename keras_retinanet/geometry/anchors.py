"""Anchors: the boxes from which every prediction starts (paper §4.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import keras
import numpy as np
from keras import ops

from keras_retinanet.config import AnchorConfig
from keras_retinanet.schema import Tensor

_DEFAULTS = AnchorConfig()


def base_anchors(
    size: float,
    ratios: Sequence[float],
    scales: Sequence[float],
    is_rounded: bool = False,
    has_whole_sizes: bool = True,
) -> np.ndarray:
    """The anchors of one position, centred on the origin, ratio-major: index = ratio · len(scales) + scale.

    Args:
        size: Side in pixels of the square anchor of scale 1.
        ratios: Height over width.
        scales: Factors on `size`.
        is_rounded: Round the corners (half to even) to integers, as torchvision does.
        has_whole_sizes: With `is_rounded`, first round `size · scale` down, as torchvision's own anchor sizes are.

    Returns:
        `(len(ratios) · len(scales), 4)` float64 in pixels.
    """
    sides = np.asarray(size, np.float64) * np.asarray(scales, np.float64)
    if is_rounded:
        sides = np.round(sides, 6)  # 30 · (47 / 30) is 46.999…
        # In float32 as torchvision, which decides how halves are rounded.
        sides = (np.floor(sides) if has_whole_sizes else sides).astype(np.float32)
    tall = np.sqrt(np.asarray(ratios, sides.dtype))[:, None]
    widths, heights = 1 / tall * sides, tall * sides  # (ratios, scales)
    corners = np.stack([-widths, -heights, widths, heights], axis=-1).reshape(-1, 4).astype(np.float64) / 2
    return np.round(corners) if is_rounded else corners


def pyramid_shapes(height: int, width: int, strides: Sequence[int]) -> list[tuple[int, int]]:
    """Shapes of the feature maps of the usual backbones: each halving rounds up.

    Without a model, this is the rule; with one, `RetinaNet.map_shapes` asks its layers.

    Args:
        height: Rows of the padded image.
        width: Columns of the padded image.
        strides: Strides of the levels, powers of two.

    Returns:
        Rows and columns of each level.
    """
    shapes = []
    for stride in strides:
        rows, columns = height, width
        for _ in range(int(stride).bit_length() - 1):
            rows, columns = -(-rows // 2), -(-columns // 2)
        shapes.append((rows, columns))
    return shapes


def anchor_specs(pyramid: Mapping[str, Any], num_anchors: Sequence[int]) -> dict[str, keras.KerasTensor]:
    """Shapes of the anchors of a pyramid, as far as the shapes of its maps are known.

    Args:
        pyramid: Level → map `(B, H, W, C)`.
        num_anchors: Anchors at each position, one number per level.

    Returns:
        Level → `(1, H · W · anchors, 4)` float32.
    """
    specs = {}
    for count, (name, features) in zip(num_anchors, pyramid.items(), strict=True):
        _, height, width, _ = features.shape
        length = None if height is None or width is None else height * width * count
        specs[name] = keras.KerasTensor((1, length, 4), dtype="float32")
    return specs


def level_anchors(
    height: Tensor, width: Tensor, stride: tuple[Tensor, Tensor], base: Any, offset: tuple[Any, Any]
) -> Tensor:
    """The anchors of one pyramid level, ordered by row, column and anchor of the cell.

    Args:
        height: Rows of the feature map.
        width: Columns of the feature map.
        stride: Pixels between rows and between columns.
        base: `(a, 4)` anchors of one cell.
        offset: Position of the first row and column of centres as shares of the stride.

    Returns:
        `(height · width · a, 4)` float32 in pixels.
    """
    y = (ops.cast(ops.arange(height), "float32") + offset[0]) * ops.cast(stride[0], "float32")
    x = (ops.cast(ops.arange(width), "float32") + offset[1]) * ops.cast(stride[1], "float32")
    grid_y, grid_x = ops.meshgrid(y, x, indexing="ij")
    centres = ops.stack([grid_x, grid_y, grid_x, grid_y], axis=-1)  # (height, width, 4)
    anchors = centres[:, :, None, :] + ops.convert_to_tensor(base, "float32")
    return ops.reshape(anchors, (-1, 4))


@keras.saving.register_keras_serializable(package="keras_retinanet")
class Anchors(keras.layers.Layer):
    """Anchors of every pyramid level from the shapes of the real feature maps. Float32 under every policy.

    Args:
        sizes: Side of the square base anchor in pixels, one per level, finest first.
        strides: Pixels between neighbouring anchors, one per level; unused where `stride_mode` is `"grid"`.
        ratios: Height over width.
        scales: Factors on `sizes`; a sequence of sequences gives each level its own.
        offset: Position of the first centre as a share of the stride: 0.5 (fizyr) or 0 (torchvision, Detectron2).
        is_rounded: Round the corners to integers, as torchvision does.
        has_whole_sizes: Round `sizes · scales` down before the corners are rounded.
        stride_mode: `"nominal"` or `"grid"`: the image's side `// ` the map's, as torchvision does.
        offset_rule: `"always"`, or `"divisible"`: the offset is 0 along sides of the image that the stride does not
            divide (TensorFlow's Object Detection API).
        is_clipped: Clip anchors to the padded image, as KerasCV does.

    Raises:
        ValueError: Unequal numbers of sizes, strides and per-level scales, or a value that is not positive.
    """

    def __init__(
        self,
        sizes: Sequence[float] = _DEFAULTS.sizes,
        strides: Sequence[int] = _DEFAULTS.strides,
        ratios: Sequence[float] = _DEFAULTS.ratios,
        scales: Sequence[float] | Sequence[Sequence[float]] = _DEFAULTS.scales,
        *,
        offset: float = _DEFAULTS.offset,
        is_rounded: bool = _DEFAULTS.is_rounded,
        has_whole_sizes: bool = _DEFAULTS.has_whole_sizes,
        stride_mode: Literal["nominal", "grid"] = _DEFAULTS.stride_mode,
        offset_rule: Literal["always", "divisible"] = _DEFAULTS.offset_rule,
        is_clipped: bool = _DEFAULTS.is_clipped,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("dtype", "float32")
        super().__init__(trainable=False, **kwargs)
        self.sizes = tuple(float(size) for size in sizes)
        self.strides = tuple(int(stride) for stride in strides)
        self.ratios = tuple(float(ratio) for ratio in ratios)
        self.scales = _as_tuples(scales)
        self.offset = offset
        self.is_rounded = is_rounded
        self.has_whole_sizes = has_whole_sizes
        self.stride_mode = stride_mode
        self.offset_rule = offset_rule
        self.is_clipped = is_clipped
        self._check()

    def _check(self) -> None:
        if len(self.sizes) != len(self.strides):
            raise ValueError(
                f"Every level needs one anchor size and one stride; received {len(self.sizes)} sizes {self.sizes} "
                f"and {len(self.strides)} strides {self.strides}."
            )
        if len(self.level_scales) != len(self.sizes):
            raise ValueError(
                f"Scales given per level need one entry for each of the {len(self.sizes)} levels; "
                f"received {len(self.level_scales)}: {self.scales}."
            )
        values = [*self.sizes, *self.strides, *self.ratios, *(s for scales in self.level_scales for s in scales)]
        if not self.ratios or not all(self.level_scales) or min(values) <= 0:
            raise ValueError(
                "Anchor sizes, strides, ratios and scales must be given and positive; received "
                f"sizes={self.sizes}, strides={self.strides}, ratios={self.ratios}, scales={self.scales}."
            )
        if self.stride_mode not in ("nominal", "grid"):
            raise ValueError(f"`stride_mode` is 'nominal' or 'grid'; received {self.stride_mode!r}.")
        if self.offset_rule not in ("always", "divisible"):
            raise ValueError(f"`offset_rule` is 'always' or 'divisible'; received {self.offset_rule!r}.")

    @property
    def level_scales(self) -> tuple[tuple[float, ...], ...]:
        """The scales of each level."""
        if self.scales and isinstance(self.scales[0], tuple):
            return self.scales
        return (self.scales,) * len(self.sizes)

    @property
    def num_anchors(self) -> tuple[int, ...]:
        """Anchors at each position, one number per level."""
        return tuple(len(self.ratios) * len(scales) for scales in self.level_scales)

    @property
    def bases(self) -> tuple[np.ndarray, ...]:
        """Anchors `(a, 4)` of one position of each level, centred on the origin."""
        return tuple(
            base_anchors(size, self.ratios, scales, self.is_rounded, self.has_whole_sizes)
            for size, scales in zip(self.sizes, self.level_scales, strict=True)
        )

    def grid(self, level: int, padded: np.ndarray, maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where the anchors of a level stand in many images: centres are at `(position + offset) * step`.

        Args:
            level: Index of the level.
            padded: `(I, 2)` int. Height and width of each padded image.
            maps: `(I, 2)` int. Rows and columns of its map.

        Returns:
            Steps in pixels and offsets, `(I, 2)` each, along y and x.
        """
        step = padded // maps if self.stride_mode == "grid" else np.full_like(padded, self.strides[level])
        has_offset = (self.offset_rule == "always") | (padded % step == 0)
        return step, np.where(has_offset, self.offset, 0.0)

    def call(self, pyramid: Mapping[str, Tensor], images: Tensor) -> dict[str, Tensor]:
        """Anchors `{"P3": (1, A_level, 4), …}` in pixels of the images.

        Args:
            pyramid: Feature maps `(B, h, w, C)` by level name, finest first.
            images: `(B, H, W, C)`; only the shape is read.
        """
        image_shape = ops.shape(images)
        anchors = {}
        for index, (name, features) in enumerate(pyramid.items()):
            _, height, width, _ = ops.shape(features)
            stride: tuple[Any, Any] = (self.strides[index], self.strides[index])
            if self.stride_mode == "grid":
                stride = (image_shape[1] // height, image_shape[2] // width)
            offset = self._offset_along(image_shape[1], stride[0]), self._offset_along(image_shape[2], stride[1])
            level = level_anchors(height, width, stride, self.bases[index], offset)
            anchors[name] = (self._clipped(level, image_shape) if self.is_clipped else level)[None]
        return anchors

    def _offset_along(self, side: Any, stride: Any) -> Any:
        """Share of the stride at which the centres begin along a side of the image, an int or a tensor."""
        if self.offset_rule == "always":
            return self.offset
        if isinstance(side, int) and isinstance(stride, int):
            return self.offset if side % stride == 0 else 0.0
        return ops.where(side % stride == 0, self.offset, 0.0)

    def _clipped(self, anchors: Tensor, image_shape: Any) -> Tensor:
        limits = ops.cast(ops.stack([image_shape[axis] for axis in (2, 1, 2, 1)]), "float32")
        return ops.minimum(ops.maximum(anchors, 0.0), limits)

    def compute_output_spec(self, pyramid: Mapping[str, Any], images: Any) -> dict[str, keras.KerasTensor]:
        """Shapes and dtype of the output, known where the maps' shapes are."""
        del images
        return anchor_specs(pyramid, self.num_anchors)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        names = (
            "sizes", "strides", "ratios", "scales", "offset", "is_rounded", "has_whole_sizes", "stride_mode",
            "offset_rule", "is_clipped",
        )  # fmt: skip
        config = super().get_config() | {name: getattr(self, name) for name in names}
        del config["trainable"]  # there is nothing to train
        return config


def _as_tuples(scales: Sequence[Any]) -> tuple[Any, ...]:
    if scales and isinstance(scales[0], Sequence):
        return tuple(tuple(float(scale) for scale in level) for level in scales)
    return tuple(float(scale) for scale in scales)
