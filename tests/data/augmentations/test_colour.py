import numpy as np
import pytest

from keras_retinanet.data.augmentations.colour import adjust_colours

NOTHING = {"contrast": 1.0, "brightness": 0.0, "hue": 0.0, "saturation": 1.0}
IMAGE = np.array([[[200, 100, 100], [100, 100, 100]]], np.uint8)


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, [[200, 100, 100], [100, 100, 100]]),
        ({"contrast": 1.2}, [[210, 100, 100], [90, 100, 100]]),  # red about its mean of 150
        ({"brightness": 0.1}, [[225.5, 125.5, 125.5], [125.5, 125.5, 125.5]]),
        ({"brightness": 0.4}, [[255, 202, 202], [202, 202, 202]]),  # white is the end
        ({"gain": 0.5}, [[100, 50, 50], [50, 50, 50]]),
        ({"gain": 0.5, "contrast": 1.2}, [[105, 50, 50], [45, 50, 50]]),  # red about its mean of 75
        ({"saturation": 3.0}, [[200, 0, 0], [100, 100, 100]]),  # chroma ends at the value
        ({"hue": -1 / 3}, [[100, 100, 200], [100, 100, 100]]),
        ({"hue": 1 / 3}, [[100, 200, 100], [100, 100, 100]]),  # red becomes green, grey stays
        ({"saturation": 0.5}, [[200, 150, 150], [100, 100, 100]]),
    ],
)
def test_colours_by_hand(changes, wanted):
    out = adjust_colours(IMAGE.astype(np.float32), **{**NOTHING, **changes})
    np.testing.assert_allclose(out, [wanted], atol=0.02)
    out = adjust_colours(IMAGE, **{**NOTHING, **changes})
    assert out.dtype == np.uint8
    np.testing.assert_allclose(out, [wanted], atol=0.52)


def test_effects_are_those_of_fizyr(shared):
    golden = np.load(shared("reference/fizyr_golden/image_golden.npz"))
    image = golden["image"][..., ::-1]  # BGR there
    for name, changes, most in (
        ("contrast", {"contrast": 1.07}, 1),
        ("brightness", {"brightness": 0.05}, 1),
        # OpenCV keeps hue in steps of 2°: of the 5.4 steps asked for, five are left; rounding it moves a colour by up
        # to 1/60 of 255, and two more roundings by 1 each.
        ("effect", {"contrast": 1.05, "brightness": -0.04, "hue": 5 / 180, "saturation": 0.97}, 6.5),
    ):
        out = adjust_colours(image, **{**NOTHING, **changes}).numpy()
        difference = np.abs(out - golden[name][..., ::-1].astype(np.float32))
        assert difference.max() <= most
        assert difference.mean() < 1.5
