"""Pure functions on box tensors `(..., 4)` of `(x1, y1, x2, y2)`: areas, overlaps, clipping.

Widths are `x2 - x1`, without a "+1". All functions broadcast over the leading axes, so that
`iou(a[:, None], b[None])` is the pairwise matrix and `iou(a, b)` the element-wise vector.
"""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from keras_retinanet.schema import Tensor

EPSILON = 1e-7


def split_sides(boxes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """x1, y1, x2 and y2 `(...)` of boxes `(..., 4)`."""
    x1, y1, x2, y2 = ops.unstack(boxes, 4, axis=-1)  # four slices would each be padded with zeros in the gradient
    return x1, y1, x2, y2


def area(boxes: Tensor) -> Tensor:
    """Areas of boxes; 0 for a box whose corners are swapped.

    Args:
        boxes: `(..., 4)` in pixels.

    Returns:
        `(...)` in square pixels.
    """
    x1, y1, x2, y2 = split_sides(boxes)
    return ops.maximum(x2 - x1, 0.0) * ops.maximum(y2 - y1, 0.0)


def intersection(a: Tensor, b: Tensor) -> Tensor:
    """Areas of the intersections of two sets of boxes.

    Args:
        a: `(..., 4)` in pixels.
        b: `(..., 4)` in pixels, broadcast against `a`.

    Returns:
        `(...)` in square pixels.
    """
    ax1, ay1, ax2, ay2 = split_sides(a)
    bx1, by1, bx2, by2 = split_sides(b)
    width = ops.maximum(ops.minimum(ax2, bx2) - ops.maximum(ax1, bx1), 0.0)
    height = ops.maximum(ops.minimum(ay2, by2) - ops.maximum(ay1, by1), 0.0)
    return width * height


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union; 0 where both boxes are empty.

    Args:
        a: `(..., 4)` in pixels.
        b: `(..., 4)` in pixels, broadcast against `a`.

    Returns:
        `(...)` in `0 … 1`.
    """
    common = intersection(a, b)
    union = area(a) + area(b) - common
    return common / ops.maximum(union, EPSILON)


def _hull_sides(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    ax1, ay1, ax2, ay2 = split_sides(a)
    bx1, by1, bx2, by2 = split_sides(b)
    return ops.maximum(ax2, bx2) - ops.minimum(ax1, bx1), ops.maximum(ay2, by2) - ops.minimum(ay1, by1)


def giou(a: Tensor, b: Tensor) -> Tensor:
    """Generalised IoU `(...)` in `-1 … 1`: IoU minus the share of the hull that neither box covers. Arguments as `iou`.

    Reference:
        Rezatofighi et al., Generalized Intersection over Union, 2019, algorithm 1.
    """
    common = intersection(a, b)
    union = area(a) + area(b) - common
    width, height = _hull_sides(a, b)
    hull = width * height
    return common / ops.maximum(union, EPSILON) - (hull - union) / ops.maximum(hull, EPSILON)


def diou(a: Tensor, b: Tensor) -> Tensor:
    """Distance IoU `(...)` in `-1 … 1`: IoU minus the squared centre distance over the squared diagonal of the hull.

    Arguments as `iou`.

    Reference:
        Zheng et al., Distance-IoU Loss, 2020, equation 5.
    """
    width, height = _hull_sides(a, b)
    diagonal = width * width + height * height
    ax1, ay1, ax2, ay2 = split_sides(a)
    bx1, by1, bx2, by2 = split_sides(b)
    dx, dy = (ax1 + ax2 - bx1 - bx2) / 2, (ay1 + ay2 - by1 - by2) / 2
    return iou(a, b) - (dx * dx + dy * dy) / ops.maximum(diagonal, EPSILON)


def ciou(a: Tensor, b: Tensor) -> Tensor:
    """Complete IoU `(...)`, at most 1: distance IoU minus a term for different aspect ratios. Arguments as `iou`.

    Reference:
        Zheng et al., Distance-IoU Loss, 2020, equations 8–11; the trade-off weight carries no gradient.
    """
    ax1, ay1, ax2, ay2 = split_sides(a)
    bx1, by1, bx2, by2 = split_sides(b)
    a_angle = ops.arctan((ax2 - ax1) / ops.maximum(ay2 - ay1, EPSILON))
    b_angle = ops.arctan((bx2 - bx1) / ops.maximum(by2 - by1, EPSILON))
    v = (4 / math.pi**2) * ops.square(a_angle - b_angle)
    weight = ops.stop_gradient(v / ops.maximum(1 - iou(a, b) + v, EPSILON))
    return diou(a, b) - weight * v


def clip(boxes: Tensor, height: Tensor, width: Tensor) -> Tensor:
    """Boxes clipped to `0 … width` and `0 … height`.

    Args:
        boxes: `(..., 4)` in pixels.
        height: In pixels, broadcast against `(...)`.
        width: In pixels, broadcast against `(...)`.

    Returns:
        `(..., 4)` in pixels.
    """
    return ops.minimum(ops.maximum(boxes, 0.0), ops.stack([width, height, width, height], axis=-1))


@keras.saving.register_keras_serializable(package="keras_retinanet")
class ClipBoxes(keras.layers.Layer):
    """Clips boxes to their image. Computes in float32 under every policy.

    Args:
        margin: Pixels by which boxes end before the right and lower edge: 1 in fizyr. Defaults to 0.
    """

    def __init__(self, margin: float = 0, **kwargs: Any) -> None:
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.margin = margin

    def call(self, boxes: Tensor, sizes: Tensor) -> Tensor:
        """Boxes `(B, A, 4)` clipped to `sizes` `(B, 2)` or `(1, 2)`: height and width in pixels."""
        sizes = sizes - self.margin
        return clip(boxes, sizes[:, None, 0], sizes[:, None, 1])

    def compute_output_shape(self, boxes_shape: Any, sizes_shape: Any) -> Any:
        """The shape of the boxes."""
        del sizes_shape
        return boxes_shape

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return super().get_config() | {"margin": self.margin}
