from __future__ import annotations

import pytest

from keras_retinanet.data.datasets.via.regions import box_of_region, class_of_region


@pytest.mark.parametrize(
    ("shape", "box"),
    [
        ({"name": "rect", "x": 1, "y": 2.5, "width": 3, "height": 4}, (1, 2.5, 4, 6.5)),
        ({"name": "circle", "cx": 10, "cy": 20, "r": 3}, (7, 17, 13, 23)),
        ({"name": "ellipse", "cx": 10, "cy": 20, "rx": 6, "ry": 2}, (4, 18, 16, 22)),
        # A quarter turn exchanges the radii; at 30° half the width is √(36 · 3/4 + 4 · 1/4) = √28.
        ({"name": "ellipse", "cx": 10, "cy": 20, "rx": 6, "ry": 2, "theta": 1.5707963267948966}, (8, 14, 12, 26)),
        (
            {"name": "ellipse", "cx": 10, "cy": 20, "rx": 6, "ry": 2, "theta": 0.5235987755982988},
            (4.7084973778708186, 16.535898384862247, 15.291502622129181, 23.464101615137753),
        ),
        ({"name": "polygon", "all_points_x": [3, 1, 2], "all_points_y": [9, 8, 4]}, (1, 4, 3, 9)),
        ({"name": "point", "cx": 1, "cy": 2}, None),
        ({"name": "polyline", "all_points_x": [1, 2], "all_points_y": [1, 2]}, None),
    ],
)
def test_box_of_region(shape, box):
    assert box_of_region(shape) == (None if box is None else pytest.approx(box))


@pytest.mark.parametrize(
    "shape",
    [{}, {"name": "star"}, {"name": "rect", "x": 1}, {"name": "polygon", "all_points_x": [], "all_points_y": []}],
)
def test_broken_regions(shape):
    with pytest.raises(ValueError, match="a "):
        box_of_region(shape)


@pytest.mark.parametrize(
    ("attributes", "name"),
    [
        ({"class": "dog"}, "dog"),
        ({"id": "7", "Label": "dog"}, "dog"),
        ({"animal": {"cat": False, "dog": True}}, "dog"),
        ({"species": "dog", "note": "x"}, "dog"),
        ({"class": "", "kind": 3}, "3"),
        ({}, ""),
        ("dog", ""),
    ],
)
def test_class_of_region(attributes, name):
    assert class_of_region(attributes) == name
