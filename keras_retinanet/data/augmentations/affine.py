"""Random rotation, translation, shear and scaling, as fizyr/keras-retinanet's `--random-transform`.

Matrices are `(3, 3)` float32 and map points `(x, y, 1)` of the old image to the new one. Points are continuous: pixel i
spans i to i + 1, as in box coordinates.
"""

from __future__ import annotations

import tensorflow as tf

from keras_retinanet.data.augmentations.placement import GraphSample, with_clipped_boxes
from keras_retinanet.data.augmentations.xla import cast_like, crop_to, pad_to, xla_compiled
from keras_retinanet.schema import Tensor

STRENGTH = 0.1
"""Maximum rotation and shear (radians), translation (share of the sides), and change of scale."""


def affine(sample: GraphSample, seed: Tensor) -> GraphSample:
    """Rotate and shear by up to 0.1 radians (5.7°), translate and scale each side by up to a tenth.

    The image keeps its size; new areas have the padding colour. A box becomes the box around its four moved corners: it
    still contains its whole object, but is as tight as before only for rectangles.
    """
    seeds = tf.unstack(tf.random.split(seed, 4))
    matrix = affine_matrix(
        rotation=tf.random.stateless_uniform((), seeds[0], -STRENGTH, STRENGTH),
        translation=tf.random.stateless_uniform((2,), seeds[1], -STRENGTH, STRENGTH),
        shear=tf.random.stateless_uniform((), seeds[2], -STRENGTH, STRENGTH),
        scaling=tf.random.stateless_uniform((2,), seeds[3], 1 - STRENGTH, 1 + STRENGTH),
    )
    matrix = about_centre(matrix, tf.shape(sample["image"])[:2])
    image = warp(sample["image"], matrix, sample["pad_value"], sample.get("target_size"))
    return with_clipped_boxes(sample, image, enclosing_boxes(sample["boxes"], matrix))


def affine_matrix(rotation: Tensor, translation: Tensor, shear: Tensor, scaling: Tensor) -> Tensor:
    """Matrix that scales, then shears, translates and rotates about the origin.

    Args:
        rotation: Scalar float32, radians, from the x axis towards the y axis.
        translation: `(2,)` float32 x, y.
        shear: Scalar float32, radians: the angle by which the y axis leans towards negative x.
        scaling: `(2,)` float32 x, y.

    Returns:
        `(3, 3)` float32.
    """
    zero, one = tf.constant(0.0), tf.constant(1.0)
    sin, cos = tf.sin(rotation), tf.cos(rotation)
    turn = tf.stack([tf.stack([cos, -sin, zero]), tf.stack([sin, cos, zero]), tf.stack([zero, zero, one])])
    lean = tf.stack([tf.stack([one, -tf.sin(shear), zero]), tf.stack([zero, tf.cos(shear), zero]), turn[2]])
    return turn @ _translation(translation) @ lean @ tf.linalg.diag(tf.concat([scaling, [1.0]], axis=0))


def about_centre(matrix: Tensor, size: Tensor) -> Tensor:
    """Apply a matrix about the centre of an image, with its translation converted from shares of the sides to pixels.

    Args:
        matrix: `(3, 3)` float32.
        size: `(2,)` int32. Height and width.

    Returns:
        `(3, 3)` float32.
    """
    width_height = tf.cast(tf.reverse(size, [0]), tf.float32)
    matrix = tf.concat([matrix[:, :2], matrix[:, 2:] * tf.concat([width_height, [1.0]], axis=0)[:, None]], axis=1)
    return _translation(width_height / 2) @ matrix @ _translation(-width_height / 2)


def warp(image: Tensor, matrix: Tensor, fill: Tensor, target_size: Tensor | None = None) -> Tensor:
    """Warp an image with bilinear interpolation.

    Args:
        image: `(h, w, 3)` uint8 or float32.
        matrix: `(3, 3)` float32, affine and invertible.
        fill: `(3,)` float32. Colour outside the image.
        target_size: `(2,)` int32. See `xla.pad_to`. Defaults to `None`: the size of the image.

    Returns:
        `(h, w, 3)` in the dtype of `image`.
    """
    half = tf.constant([0.5, 0.5])  # below, pixel i is at i, not at i + ½
    backwards = _translation(-half) @ tf.linalg.inv(matrix) @ _translation(half)
    size = tf.shape(image)[:2]
    return crop_to(_warp_pixels(pad_to(image, target_size), size, backwards[:2], fill), size)


@xla_compiled
def _warp_pixels(image: Tensor, size: Tensor, backwards: Tensor, fill: Tensor) -> Tensor:
    """`(H, W, 3)`; `backwards` `(2, 3)` maps a new pixel to its position in the old image."""
    height, width = tf.unstack(tf.shape(image)[:2])
    x, y = tf.range(width, dtype=tf.float32)[None], tf.range(height, dtype=tf.float32)[:, None]
    left, right, left_share, right_share = _neighbours(
        backwards[0, 0] * x + backwards[0, 1] * y + backwards[0, 2], size[1]
    )
    above, below, upper_share, lower_share = _neighbours(
        backwards[1, 0] * x + backwards[1, 1] * y + backwards[1, 2], size[0]
    )
    pixels = tf.reshape(image, (-1, 3))

    def row(start: Tensor) -> Tensor:
        parts = (left, left_share), (right, right_share)
        return sum(tf.cast(tf.gather(pixels, start * width + at), tf.float32) * share[..., None] for at, share in parts)

    inside = (left_share + right_share) * (upper_share + lower_share)
    moved = row(above) * upper_share[..., None] + row(below) * lower_share[..., None]
    return cast_like(moved + (1.0 - inside)[..., None] * fill, image)


def _neighbours(place: Tensor, side: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Pixels before and after a position along an axis, and their weights, which are 0 outside the image."""
    share = place - tf.floor(place)
    first = tf.cast(tf.floor(place), tf.int32)
    parts = (first, 1.0 - share), (first + 1, share)
    shares = [part * tf.cast(tf.logical_and(pixel >= 0, pixel < side), tf.float32) for pixel, part in parts]
    return tf.clip_by_value(first, 0, side - 1), tf.clip_by_value(first + 1, 0, side - 1), *shares


def enclosing_boxes(boxes: Tensor, matrix: Tensor) -> Tensor:
    """Boxes around transformed boxes.

    Args:
        boxes: `(N, 4)` float32.
        matrix: `(3, 3)` float32.

    Returns:
        `(N, 4)` float32: the smallest box around the four transformed corners of each.
    """
    x = tf.gather(boxes, [0, 2, 0, 2], axis=1)
    y = tf.gather(boxes, [1, 1, 3, 3], axis=1)
    points = tf.stack([x, y], axis=-1) @ tf.transpose(matrix[:2, :2]) + matrix[:2, 2]  # (N, 4, 2)
    return tf.concat([tf.reduce_min(points, axis=1), tf.reduce_max(points, axis=1)], axis=1)


def _translation(by: Tensor) -> Tensor:
    return tf.concat([tf.eye(3)[:, :2], tf.concat([by, [1.0]], axis=0)[:, None]], axis=1)
