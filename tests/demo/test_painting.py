"""Shapes, masks, textures and grounds of the synthetic scenes."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from keras_retinanet.demo import painting


def test_mask_of_a_rectangle_covers_pixels_by_their_share() -> None:
    corners = np.array([[2.0, 3.0], [5.5, 3.0], [5.5, 7.25], [2.0, 7.25]])
    coverage, x, y = painting.mask((corners,))
    assert (x, y, coverage.shape) == (2, 3, (5, 4))
    expected = np.outer([1, 1, 1, 1, 0.25], [1, 1, 1, 0.5]) * 255
    assert np.abs(coverage - expected).max() <= 255 / 4 + 1, "drawn four times as fine: a quarter of a pixel"
    assert (coverage[:4, :3] == 255).all()


def test_mask_leaves_holes_out() -> None:
    outer = np.array([[0.0, 0.0], [12.0, 0.0], [12.0, 12.0], [0.0, 12.0]])
    coverage, _, _ = painting.mask((outer, outer / 3 + 4))
    assert (coverage[5:7, 5:7] == 0).all()
    assert (coverage[:3] == 255).all()


@pytest.mark.parametrize("name", painting.SHAPES)
@pytest.mark.parametrize("seed", range(5))
def test_shapes_fill_their_box_exactly(name: str, seed: int) -> None:
    box = np.array([10.25, 20.5, 33.0, 90.75])
    outline, *holes = painting.fit_shape(name, box, np.random.default_rng(seed))
    np.testing.assert_allclose([*outline.min(axis=0), *outline.max(axis=0)], box)
    for hole in holes:
        assert (hole.min(axis=0) > box[:2]).all()
        assert (hole.max(axis=0) < box[2:]).all()


@pytest.mark.parametrize("side", [(12, 12), (13, 250), (251, 17)])
def test_textures_stay_within_their_range_at_any_size(side: tuple[int, int]) -> None:
    for seed in range(12):
        field = painting.texture(np.random.default_rng(seed), *side)
        assert field.shape == side
        assert field.dtype == np.float32
        assert np.abs(field).max() <= 1.01
        assert field.std() > 0.05


@pytest.mark.parametrize("side", [(320, 511), (321, 320)])
def test_grounds_and_their_development_keep_the_size(side: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    image = painting.develop(painting.backdrop(rng, *side), rng)
    assert (image.shape, image.dtype) == ((*side, 3), np.uint8)


def test_developing_never_wraps_from_black_to_white() -> None:
    """The grain is added to bytes: on a black or white picture a wrapped value would be at the other end."""
    for seed in range(20):
        for level in (0, 255):
            image = painting.develop(Image.new("RGB", (40, 30), (level,) * 3), np.random.default_rng(seed))
            assert int(image.max()) - int(image.min()) <= 2 * 8


def test_colours_are_of_every_kind() -> None:
    colours = np.array([painting.random_colour(np.random.default_rng(seed)) for seed in range(500)])
    assert colours.min() >= 0
    assert colours.max() <= 255
    value, spread = colours.max(axis=1), np.ptp(colours, axis=1)
    assert np.quantile(value, 0.1) < 60
    assert np.quantile(value, 0.9) > 220
    assert np.quantile(spread, 0.1) < 25
    assert np.quantile(spread, 0.9) > 150
    assert set(colours.argmax(axis=1).tolist()) == {0, 1, 2}


def test_objects_stand_out_from_the_ground_exactly_where_their_mask_is() -> None:
    """Paint one object on a flat ground: pixels change under its mask and nowhere else."""
    rng = np.random.default_rng(3)
    for name in painting.SHAPES:
        contours = painting.fit_shape(name, np.array([20.3, 10.8, 70.1, 44.9]), rng)
        canvas = Image.new("RGB", (90, 61), (120, 120, 120))
        painting.paint(canvas, painting.mask(contours), rng)
        distance = np.linalg.norm(np.asarray(canvas).astype(float) - 120, axis=2)
        coverage, x, y = painting.mask(contours)
        inside = np.zeros((61, 90))
        inside[y : y + coverage.shape[0], x : x + coverage.shape[1]] = coverage
        assert (distance[inside == 0] == 0).all()
        assert distance[inside == 255].mean() > painting.MIN_CONTRAST / 2


def shape_mask(name: str, seed: int = 0) -> np.ndarray:
    contours = painting.fit_shape(name, np.array([0.0, 0.0, 200.0, 200.0]), np.random.default_rng(seed))
    return painting.mask(contours)[0] > 127


@pytest.mark.parametrize("seed", range(8))
def test_shapes_fill_the_share_of_their_box_that_geometry_says(seed: int) -> None:
    # A disc slanted by 1.4 at 45° is an ellipse in a box of half side √((1.4² + 1) / 2): π·1.4 / (4 · 1.48) = 0.743.
    disc = shape_mask("disc", seed)
    assert 0.743 - 0.01 < disc.mean() < np.pi / 4 + 0.01
    ring = shape_mask("ring", seed)
    assert 0.743 * (1 - 0.66**2) - 0.01 < ring.mean() < np.pi / 4 * (1 - 0.5**2) + 0.01
    assert shape_mask("triangle", seed).mean() < 0.5 + 0.01
    assert not ring[100, 100]
    assert all(shape_mask(name, seed)[100, 100] for name in ("disc", "square", "cross"))
