"""Box coders: boxes `(..., 4)` as deltas relative to their anchors, and back."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, get_args

import keras
from keras import ops

from keras_retinanet.config import BoxCoderName, ModelConfig
from keras_retinanet.geometry.boxes import split_sides
from keras_retinanet.schema import Tensor

MAX_LOG_SCALE = math.log(1000 / 16)
"""Largest width or height delta that is decoded: boxes grow at most 62.5-fold (torchvision, Detectron2)."""


def _center_form(boxes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    x1, y1, x2, y2 = split_sides(boxes)
    return (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1


def encode_center(boxes: Tensor, anchors: Tensor, std: Sequence[float]) -> Tensor:
    """Deltas `(dx, dy, dw, dh)`: centre offset over anchor size, log of the size ratio, each over its `std`.

    Args:
        boxes: `(..., 4)` in pixels, of positive width and height.
        anchors: `(..., 4)` in pixels, broadcast against `boxes`.
        std: Four divisors.

    Returns:
        `(..., 4)`.

    Reference:
        Girshick et al., R-CNN, 2014, appendix C; torchvision and Detectron2 with `std` (1, 1, 1, 1).
    """
    x, y, w, h = _center_form(boxes)
    ax, ay, aw, ah = _center_form(anchors)
    deltas = ops.stack([(x - ax) / aw, (y - ay) / ah, ops.log(w / aw), ops.log(h / ah)], axis=-1)
    return deltas / ops.convert_to_tensor(std, "float32")


def decode_center(
    deltas: Tensor,
    anchors: Tensor,
    std: Sequence[float],
    max_log_scale: float | None = MAX_LOG_SCALE,
    min_log_scale: float | None = None,
) -> Tensor:
    """Boxes from `(dx, dy, dw, dh)`, the inverse of `encode_center`.

    Args:
        deltas: `(..., 4)`.
        anchors: `(..., 4)` in pixels, broadcast against `deltas`.
        std: Four factors.
        max_log_scale: `dw` and `dh` (after `std`) are at most this; `None` sets no limit.
        min_log_scale: `dw` and `dh` are at least this; `None` sets no limit.

    Returns:
        `(..., 4)` in pixels.
    """
    shift, scale = ops.split(deltas * ops.convert_to_tensor(std, "float32"), 2, axis=-1)
    low, high = ops.split(anchors, 2, axis=-1)  # two halves take less time than four sides
    centre, size = (low + high) / 2, high - low
    if max_log_scale is not None:
        scale = ops.minimum(scale, max_log_scale)
    if min_log_scale is not None:
        scale = ops.maximum(scale, min_log_scale)
    centre, half = centre + shift * size, ops.exp(scale) * size / 2
    return ops.concatenate([centre - half, centre + half], axis=-1)


def _anchor_sizes(anchors: Tensor) -> Tensor:
    _, _, w, h = _center_form(anchors)
    return ops.stack([w, h, w, h], axis=-1)


def encode_corner(boxes: Tensor, anchors: Tensor, std: Sequence[float]) -> Tensor:
    """Deltas `(..., 4)` of the corners: offset over anchor size, each over its `std`. Arguments as `encode_center`.

    Reference:
        fizyr/keras-retinanet `bbox_transform`, `std` 0.2.
    """
    return (boxes - anchors) / _anchor_sizes(anchors) / ops.convert_to_tensor(std, "float32")


def decode_corner(
    deltas: Tensor,
    anchors: Tensor,
    std: Sequence[float],
    max_log_scale: float | None = None,
    min_log_scale: float | None = None,
) -> Tensor:
    """Boxes `(..., 4)` in pixels from corner deltas, the inverse of `encode_corner`.

    Arguments as `decode_center`; the limits are not used, since corners have no logarithm.
    """
    del max_log_scale, min_log_scale
    return anchors + deltas * ops.convert_to_tensor(std, "float32") * _anchor_sizes(anchors)


def encode_distances(boxes: Tensor, anchors: Tensor, std: Sequence[float]) -> Tensor:
    """Distances `(..., 4)` from the anchor's centre to the left, upper, right and lower side of the box, in bins.

    A bin is `std` of the anchor's width or height. Distances are negative where the centre lies outside the box.

    Reference:
        Li et al., Generalized Focal Loss, 2020, §3: with an anchor of 8 strides and `std` 1/8, a bin is one stride.
    """
    x, y, w, h = _center_form(anchors)
    x1, y1, x2, y2 = split_sides(boxes)
    distances = ops.stack([(x - x1) / w, (y - y1) / h, (x2 - x) / w, (y2 - y) / h], axis=-1)
    return distances / ops.convert_to_tensor(std, "float32")


def decode_distribution(
    deltas: Tensor,
    anchors: Tensor,
    std: Sequence[float],
    max_log_scale: float | None = None,
    min_log_scale: float | None = None,
) -> Tensor:
    """Boxes `(..., 4)` in pixels from logits of a distribution over distances for each side.

    The distance is the mean of the distribution, of which bin `i` stands for `i · std` of the anchor's side.

    Args:
        deltas: `(..., 4 · bins)`: the bins of the left, then the upper, right and lower side.
        anchors: `(..., 4)` in pixels, broadcast against the boxes.
        std: Four factors on the distances.
        max_log_scale: Not used; distances have no logarithm.
        min_log_scale: Not used.

    Returns:
        `(..., 4)` in pixels.

    Reference:
        Li et al., Generalized Focal Loss, 2020, §3.2, equation 4; MMDetection `Integral`.
    """
    del max_log_scale, min_log_scale
    bins = deltas.shape[-1] // 4
    logits = ops.reshape(deltas, (*ops.shape(deltas)[:-1], 4, bins))
    weights = ops.exp(logits - ops.max(logits, axis=-1, keepdims=True))
    places = ops.arange(bins, dtype="float32")
    distances = ops.sum(weights * places, axis=-1) / ops.sum(weights, axis=-1)  # (..., 4)
    x, y, w, h = _center_form(anchors)
    left, top, right, bottom = ops.unstack(distances * ops.convert_to_tensor(std, "float32"), 4, axis=-1)
    return ops.stack([x - left * w, y - top * h, x + right * w, y + bottom * h], axis=-1)


class CodingFunctions(NamedTuple):
    """A pair of functions, inverse but for `has_bins`, and the default `std` of the library it comes from.

    With `has_bins` the network predicts a distribution over the numbers that `encode` returns.
    """

    encode: Callable[..., Tensor]
    decode: Callable[..., Tensor]
    std: tuple[float, float, float, float]
    has_bins: bool = False


BOX_CODERS: dict[BoxCoderName, CodingFunctions] = {
    "center": CodingFunctions(encode_center, decode_center, (1.0, 1.0, 1.0, 1.0)),
    "corner": CodingFunctions(encode_corner, decode_corner, (0.2, 0.2, 0.2, 0.2)),
    "distribution": CodingFunctions(encode_distances, decode_distribution, (0.125, 0.125, 0.125, 0.125), True),
}


@keras.saving.register_keras_serializable(package="keras_retinanet", name="RegressBoxes")  # its name in snapshots
class BoxCoder(keras.layers.Layer):
    """The box coder: decodes deltas against anchors; `encode` is the inverse. Computes in float32 under every policy.

    Args:
        coder: Name in `BOX_CODERS`: `"center"` (paper), `"corner"` (fizyr) or `"distribution"` (GFL).
        std: Four factors on the deltas. Defaults to those of the coder's source.
        max_log_scale: Upper limit on `dw` and `dh` of the centre coder; `None` for none (KerasHub). Defaults to
            `log(1000 / 16)`.
        min_log_scale: Lower limit on them; only MMDetection has one. Defaults to `None`.
        reg_max: Largest distance that a distribution reaches, in bins. Defaults to 16 (GFL).
    """

    def __init__(
        self,
        coder: BoxCoderName = "center",
        std: Sequence[float] | None = None,
        max_log_scale: float | None = MAX_LOG_SCALE,
        min_log_scale: float | None = None,
        reg_max: int = ModelConfig.reg_max,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        if coder not in BOX_CODERS:
            raise ValueError(f"Unknown box coder {coder!r}; known are {', '.join(get_args(BoxCoderName))}.")
        self.coder = coder
        self.std = tuple(BOX_CODERS[coder].std if std is None else std)
        if len(self.std) != 4:
            raise ValueError(f"`std` needs four values, one per delta; received {std!r}.")
        self.max_log_scale = max_log_scale
        self.min_log_scale = min_log_scale
        if reg_max < 1:
            raise ValueError(f"`reg_max` must be at least 1; received {reg_max!r}.")
        self.reg_max = reg_max

    @property
    def has_distribution(self) -> bool:
        """Whether the network predicts a distribution over the encoded numbers instead of these."""
        return BOX_CODERS[self.coder].has_bins

    @property
    def num_deltas(self) -> int:
        """`P`: the numbers that the network predicts for each anchor's box."""
        return 4 * (self.reg_max + 1) if self.has_distribution else 4

    def call(self, deltas: Tensor, anchors: Tensor) -> Tensor:
        """Boxes `(B, A, 4)` in pixels from deltas `(B, A, P)` and anchors `(1, A, 4)` or `(B, A, 4)`."""
        return BOX_CODERS[self.coder].decode(deltas, anchors, self.std, self.max_log_scale, self.min_log_scale)

    def encode(self, boxes: Tensor, anchors: Tensor) -> Tensor:
        """Deltas `(..., 4)` that decode to `boxes (..., 4)` in pixels from `anchors (..., 4)`.

        With `has_distribution` these are the distances, in bins, of which the network predicts a distribution.
        """
        return BOX_CODERS[self.coder].encode(boxes, anchors, self.std)

    def compute_output_shape(self, deltas_shape: Any, anchors_shape: Any) -> Any:
        """The shape of the boxes."""
        del anchors_shape
        return (*deltas_shape[:-1], 4)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        names = ("coder", "std", "max_log_scale", "min_log_scale", "reg_max")
        return super().get_config() | {name: getattr(self, name) for name in names}
