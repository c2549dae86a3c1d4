"""What synthetic scenes are painted with: shapes, their antialiased masks, textures, cluttered backdrops.

NumPy and Pillow only. Every function draws from the generator it is given and from nothing else.
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Array = NDArray[Any]
Contours = tuple[Array, ...]
"""Outline and holes in pixels, each `(P, 2)` in x, y."""
Mask = tuple[Array, int, int]
"""Coverage `(h, w)` uint8 of 0–255, and the column and row of its first pixel in the image."""

MIN_CONTRAST = 90.0
"""Least RGB distance between an object's colour and the mean colour of what it covers."""


def _regular(num_points: int, radius: float = 1.0) -> Array:
    angles = np.arange(num_points) * (2 * math.pi / num_points)
    return radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _disc(_: np.random.Generator) -> Contours:
    return (_regular(48),)


def _ring(rng: np.random.Generator) -> Contours:
    return _regular(48), _regular(48, rng.uniform(0.5, 0.66))


def _square(_: np.random.Generator) -> Contours:
    return (_regular(4),)


def _triangle(_: np.random.Generator) -> Contours:
    return (_regular(3),)


def _star(rng: np.random.Generator) -> Contours:
    points = _regular(10)
    points[1::2] *= rng.uniform(0.38, 0.46)
    return (points,)


def _cross(rng: np.random.Generator) -> Contours:
    a = rng.uniform(0.26, 0.38)
    quarter = np.array([[1, -a], [1, a], [a, a]])
    turn = np.array([[0, 1], [-1, 0]])  # row vectors, a quarter turn
    return (np.concatenate([quarter @ np.linalg.matrix_power(turn, k) for k in range(4)]),)


SHAPES: dict[str, Callable[[np.random.Generator], Contours]] = {
    "disc": _disc,
    "ring": _ring,
    "square": _square,
    "triangle": _triangle,
    "star": _star,
    "cross": _cross,
}
"""Shape name → its contours around the origin: the outline, then the holes, each `(P, 2)` in x, y."""


def fit_shape(name: str, box: Array, rng: np.random.Generator) -> Contours:
    """Turn a shape by a random angle, slant it a little, and stretch it so that it fills a box exactly.

    The box is chosen before the shape, therefore sizes and aspect ratios are the same for every class.

    Args:
        name: A key of `SHAPES`.
        box: `(4,)` x1, y1, x2, y2 in pixels.
        rng: Generator of the scene.

    Returns:
        Contours in pixels, each `(P, 2)`; the first one's extent is `box`.
    """
    contours = SHAPES[name](rng)
    angle, slant = rng.uniform(0, 2 * math.pi), rng.uniform(1.0, 1.4)
    cos, sin = math.cos(angle), math.sin(angle)
    turn = np.array([[slant, 0.0], [0.0, 1.0]]) @ np.array([[cos, sin], [-sin, cos]])
    turned = [contour @ turn for contour in contours]
    low, high = turned[0].min(axis=0), turned[0].max(axis=0)
    return tuple(box[:2] + (contour - low) * ((box[2:] - box[:2]) / (high - low)) for contour in turned)


def mask(contours: Contours) -> Mask:
    """Coverage of the pixels under a shape.

    Args:
        contours: Outline and holes in pixels, each `(P, 2)`.

    Returns:
        Coverage `(h, w)` uint8 of 0–255, and the column and row of its first pixel in the image.
    """
    low = np.floor(contours[0].min(axis=0)).astype(int)
    width, height = (np.ceil(contours[0].max(axis=0)).astype(int) - low).tolist()
    finer = 4 if max(width, height) <= 96 else 2  # the edge of a large object needs fewer steps to look smooth
    canvas = Image.new("L", (width * finer, height * finer))
    pen = ImageDraw.Draw(canvas)
    for index, contour in enumerate(contours):
        points = ((contour - low) * finer - 0.5).ravel().tolist()  # Pillow counts from the centre of a pixel
        pen.polygon(points, fill=0 if index else 255)
    return np.asarray(canvas.reduce(finer)), int(low[0]), int(low[1])


def random_colour(rng: np.random.Generator) -> Array:
    """Any hue, from grey to saturated, from dark to bright: `(3,)` float32 RGB of 0–255."""
    hue, saturation, value = rng.uniform(0, 1), rng.uniform(0, 1) ** 0.7, rng.uniform(0.1, 1.0)
    return np.array(colorsys.hsv_to_rgb(hue, saturation, value), np.float32) * np.float32(255)


def noise(rng: np.random.Generator, height: int, width: int, cells: int) -> Array:
    """Smooth random field of about `cells` bumps a side: `(height, width)` float32 in -1…1."""
    grid = Image.fromarray(rng.integers(0, 256, (cells, cells), dtype=np.uint8))
    smooth = grid.resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(smooth, np.float32) * np.float32(2 / 255) - np.float32(1)


def _waves(rng: np.random.Generator, height: int, width: int, period: float, *, is_checked: bool) -> Array:
    angle, phase = rng.uniform(0, math.pi), rng.uniform(0, 2 * math.pi)
    step = 2 * math.pi / period
    x = np.arange(width, dtype=np.float32) * np.float32(step * math.cos(angle))
    y = np.arange(height, dtype=np.float32)[:, None] * np.float32(step * math.sin(angle))
    if is_checked:
        return np.sin(x + np.float32(phase)) * np.sin(y + np.float32(phase))
    # sin(x + y) from four short vectors: a sine of every pixel would cost as much as the rest of the scene
    return np.sin(x + np.float32(phase)) * np.cos(y) + np.cos(x + np.float32(phase)) * np.sin(y)


def texture(rng: np.random.Generator, height: int, width: int) -> Array:
    """One of gradient, stripes, checks, bumps or fine grain, at a random scale.

    Args:
        rng: Generator of the scene.
        height: Rows.
        width: Columns.

    Returns:
        `(height, width)` float32 in about -1…1.
    """
    kind = rng.integers(5)
    side = min(height, width)
    if kind == 0:
        across = np.linspace(-1, 1, width, dtype=np.float32) * np.float32(rng.choice([-1, 1]))
        down = np.linspace(-1, 1, height, dtype=np.float32) * np.float32(rng.choice([-1, 1]))
        weight = np.float32(rng.uniform(0, 1))
        return weight * across + (1 - weight) * down[:, None]
    if kind <= 2:
        return _waves(rng, height, width, side / rng.uniform(1.5, 8) + 3, is_checked=kind == 2)
    return noise(rng, height, width, int(rng.integers(2, 6)) if kind == 3 else max(4, side // 3))


def paint(canvas: Image.Image, stencil: Mask, rng: np.random.Generator) -> None:
    """Fill a shape with a textured colour that contrasts with what it covers, in place.

    Args:
        canvas: RGB image.
        stencil: Coverage and position, from `mask`.
        rng: Generator of the scene.
    """
    coverage, x, y = stencil
    height, width = coverage.shape
    step = max(1, min(height, width) // 16)  # a few hundred pixels suffice for the mean
    under = np.asarray(canvas.crop((x, y, x + width, y + height)))[::step, ::step]
    covered = under[coverage[::step, ::step] > 127]
    mean = covered.mean(axis=0) if len(covered) else under.mean(axis=(0, 1))
    colour = random_colour(rng)
    while np.linalg.norm(colour - mean) < MIN_CONTRAST:
        colour = random_colour(rng)
    reach = rng.uniform(0, 45) * rng.choice([1.0, 1.0, 0.2]) * rng.uniform(0.4, 1, 3)
    pattern = _between(colour - reach, colour + reach, texture(rng, height, width))
    canvas.paste(pattern, (x, y), Image.fromarray(coverage))


def _between(low: Array, high: Array, field: Array) -> Image.Image:
    """RGB image that goes from colour `low` at -1 to colour `high` at 1."""
    shades = Image.fromarray(np.clip(field * 127.5 + 127.5, 0, 255).astype(np.uint8))
    ramp = np.clip(np.linspace(low, high, 256), 0, 255).astype(np.uint8)
    shades.putpalette(ramp.tobytes())
    return shades.convert("RGB")


def backdrop(rng: np.random.Generator, height: int, width: int) -> Image.Image:
    """A textured background with strokes and blurred blobs that are not objects.

    Args:
        rng: Generator of the scene.
        height: Rows.
        width: Columns.

    Returns:
        RGB image.
    """
    rows, columns = (height + 1) // 2, (width + 1) // 2  # drawn at half the size: four times as fast
    field = 0.65 * texture(rng, rows, columns) + 0.35 * noise(rng, rows, columns, int(rng.integers(3, 9)))
    field += rng.uniform(0.05, 0.35) * noise(rng, rows, columns, int(rng.integers(12, 40)))
    field += rng.uniform(0, 0.2) * noise(rng, rows, columns, min(rows, columns) // 2)
    low, high = random_colour(rng), random_colour(rng)
    middle, reach = (low + high) / 2, (high - low) / 2 * rng.uniform(0.2, 0.9)
    reach += rng.uniform(-25, 25)  # two like colours still leave a texture
    ground = _between(middle - reach, middle + reach, field)
    tint = Image.fromarray(rng.integers(0, 256, (*rng.integers(2, 6, 2), 3), dtype=np.uint8))
    ground = Image.blend(ground, tint.resize(ground.size, Image.Resampling.BILINEAR), rng.uniform(0, 0.35))
    canvas = ground.resize((width, height), Image.Resampling.BILINEAR)
    _add_blobs(canvas, rng)
    _add_strokes(canvas, rng)
    return canvas


def develop(canvas: Image.Image, rng: np.random.Generator) -> Array:
    """Light, contrast and sensor noise of the whole picture.

    Args:
        canvas: RGB image.
        rng: Generator of the scene.

    Returns:
        `(H, W, 3)` uint8 RGB.
    """
    grain = 2 ** int(rng.integers(0, 4))
    curve = 127.5 + (np.arange(256) - 127.5) * rng.uniform(0.7, 1.05) + rng.uniform(-25, 25)
    curve = np.clip(curve, grain, 255 - grain).astype(int).tolist()
    image = np.array(canvas.point(curve * 3))
    noise_bits = np.frombuffer(rng.bytes(image.size), np.uint8).reshape(image.shape)
    image += noise_bits & np.uint8(2 * grain - 1)
    image -= np.uint8(grain)
    return image


def _add_blobs(canvas: Image.Image, rng: np.random.Generator) -> None:
    """Lobed stains with a soft edge: as large and colourful as objects, of no shape."""
    for _ in range(rng.integers(0, 5)):
        radius = rng.uniform(10, 70)
        angles = np.linspace(0, 2 * math.pi, 40, endpoint=False)
        lobes = [rng.uniform(0.1, 0.35) * np.sin(k * angles + rng.uniform(0, 7)) for k in (2, 3, 5)]
        points = _regular(40) * (radius * (1 + np.sum(lobes, axis=0)))[:, None] + 1.9 * radius
        stain = Image.new("L", (int(3.8 * radius),) * 2)
        ImageDraw.Draw(stain).polygon(points.ravel().tolist(), fill=int(rng.integers(60, 200)))
        stain = stain.filter(ImageFilter.BoxBlur(radius * rng.uniform(0.1, 0.25)))
        corner = (rng.uniform(0, 1, 2) * canvas.size - 1.9 * radius).astype(int).tolist()
        canvas.paste(_as_rgb(random_colour(rng)), (corner[0], corner[1]), stain)


def _add_strokes(canvas: Image.Image, rng: np.random.Generator) -> None:
    """Open, bent lines."""
    pen = ImageDraw.Draw(canvas)
    for _ in range(rng.integers(0, 9)):
        steps = np.cumsum(rng.normal(0, 0.5, 8)) + rng.uniform(0, 2 * math.pi)
        moves = np.stack([np.cos(steps), np.sin(steps)], axis=1) * rng.uniform(4, 28)
        points = np.cumsum(moves, axis=0) + rng.uniform(0, 1, 2) * canvas.size
        pen.line(points.ravel().tolist(), _as_rgb(random_colour(rng)), int(rng.integers(1, 6)), joint="curve")


def _as_rgb(colour: Array) -> tuple[int, int, int]:
    red, green, blue = colour.astype(int).tolist()
    return red, green, blue
