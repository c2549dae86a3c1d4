"""Every form in which an image may come becomes the same pixels, and what is wrong is named."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from keras_retinanet.config import ResizeConfig
from keras_retinanet.data.errors import DataError
from keras_retinanet.data.given_images import GivenImage, expand, load, load_ahead

RGB = np.array([[[10, 20, 30], [40, 50, 60]], [[70, 80, 90], [100, 110, 120]], [[1, 2, 3], [250, 251, 252]]], np.uint8)
GREY = RGB[..., 0]


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "png")
    return file.getvalue()


def pixels(image: Any) -> Any:
    (given,) = expand([image])
    return load(given).pixels


def test_files_bytes_and_arrays_give_the_same(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(Image.fromarray(RGB)))
    contents = path.read_bytes()
    forms = (path, str(path), contents, bytearray(contents), memoryview(contents), RGB, RGB[:, ::-1][:, ::-1])
    for form in (*forms, Image.open(path)):
        np.testing.assert_array_equal(pixels(form), RGB)


def test_grey_and_alpha_arrays() -> None:
    grey = np.repeat(GREY[..., None], 3, axis=-1)
    np.testing.assert_array_equal(pixels(GREY), grey)
    np.testing.assert_array_equal(pixels(GREY[..., None]), grey)
    alpha = np.concatenate([RGB, np.full((3, 2, 1), 7, np.uint8)], axis=-1)
    np.testing.assert_array_equal(pixels(alpha), RGB)


def test_pillow_modes() -> None:
    image = Image.fromarray(RGB)
    grey = np.repeat(GREY[..., None], 3, axis=-1)
    alpha = image.copy()
    alpha.putalpha(40)
    deep = Image.fromarray(GREY.astype(np.uint16) * 256 + 77)
    assert deep.mode == "I;16"
    for given, expected in (
        (image, RGB),
        (alpha, RGB),
        (Image.fromarray(GREY), grey),
        (Image.fromarray(GREY).convert("LA"), grey),
        (deep, grey),
        (Image.fromarray(GREY.astype(np.int32) * 256 + 77), grey),
        (Image.fromarray(GREY > 50), np.repeat(np.where(GREY > 50, 255, 0)[..., None], 3, axis=-1)),
        (image.quantize(8), RGB),
    ):
        np.testing.assert_array_equal(pixels(given), expected, err_msg=given.mode)
    np.testing.assert_allclose(pixels(image.convert("CMYK")), RGB, atol=1)
    np.testing.assert_allclose(pixels(image.convert("YCbCr")), RGB, atol=2)
    np.testing.assert_allclose(pixels(image.convert("HSV")), RGB, atol=3)
    opaque = image.convert("RGBA").convert("RGBa")
    np.testing.assert_array_equal(pixels(opaque), RGB)


def test_an_orientation_tag_is_applied_unless_the_rule_ignores_it(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.repeat(RGB, 8, axis=1)).save(tmp_path / "a.jpg", exif=exif)
    stored = ResizeConfig(exif="ignore")
    for content in (tmp_path / "a.jpg", Image.open(tmp_path / "a.jpg")):
        upright, lying = pixels(content), load(GivenImage("a", content), stored).pixels
        assert (upright.shape, lying.shape) == ((16, 3, 3), (3, 16, 3))
        assert np.array_equal(upright, np.rot90(lying, -1))
    assert pixels(ImageOps.exif_transpose(Image.open(tmp_path / "a.jpg"))).shape == (16, 3, 3)  # not once more


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (RGB / 255, r"image 0: is an array of float64.*allowed: uint8 \(H, W, 3\).*255 \* image"),
        (RGB.astype(np.uint16), r"uint16.*image >> 8"),
        (GREY > 3, r"bool.*255 \* image"),
        (RGB.astype(int), r"int64.*0–255"),
        (RGB[None], r"\(1, 3, 2, 3\).*list of images"),
        (np.zeros((3, 50, 60), np.uint8), r"\(3, 50, 60\).*channels last"),
        (np.zeros((5, 0, 3), np.uint8), r"\(5, 0, 3\)"),
        (Image.fromarray(GREY.astype(np.float32)), r"mode 'F', whose range is not known"),
        (Image.fromarray(GREY.astype(np.int32)), r"mode 'I'"),
        (Image.new("RGB", (0, 5)), r"size \(0, 5\). allowed: at least one pixel"),
        (b"", r"image 0: is empty"),
        (b"no image", r"image 0: cannot be decoded.*\.webp"),
        (3, r"is a int.*allowed: a path, bytes, a NumPy array"),
        ("missing.jpg", r"missing.jpg: cannot be read \(No such file"),
    ],
)
def test_what_is_wrong_is_named(image: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        pixels(image)


def test_damaged_files_are_named(tmp_path: Path) -> None:
    large = np.repeat(np.repeat(RGB, 30, axis=0), 30, axis=1)
    for image in (large, large[..., 0].astype(np.uint16) * 200):
        whole = png(Image.fromarray(image))
        (tmp_path / "half.png").write_bytes(whole[: len(whole) // 2])
        with pytest.raises(DataError, match=r"half.png: cannot be decoded as an image. allowed: .* fix: replace"):
            pixels(tmp_path / "half.png")
        with Image.open(tmp_path / "half.png") as half, pytest.raises(DataError, match=r"half.png: cannot be conv"):
            pixels(half)


def test_lists_may_hold_every_form_and_keep_their_order(tmp_path: Path) -> None:
    for name in ("b.png", "a.PNG", "notes.txt"):
        (tmp_path / name).write_bytes(png(Image.fromarray(RGB)))
    given = list(expand([RGB, tmp_path, str(tmp_path / "b*"), b"x", "missing.jpg"]))
    names = [image.name for image in given]
    assert names == [
        "image 0",
        str(tmp_path / "a.PNG"),
        str(tmp_path / "b.png"),
        str(tmp_path / "b.png"),
        "image 3",
        "missing.jpg",
    ]


def test_iterators_are_not_run_ahead_of() -> None:
    taken: list[int] = []

    def frames() -> Iterator[Any]:
        for k in range(100):
            taken.append(k)
            yield RGB

    loaded = load_ahead(expand(frames()), workers=2, depth=3)
    assert taken == []
    next(loaded)
    assert taken == [0, 1, 2, 3]
    next(loaded)
    assert taken == [0, 1, 2, 3, 4]


def test_loading_ahead_keeps_the_order_and_hands_errors_on() -> None:
    given = [GivenImage(str(k), b"" if k == 2 else np.full((1, 1), k, np.uint8)) for k in range(6)]
    answers = list(load_ahead(given, workers=3, depth=2))
    assert [image.name for image, _, _ in answers] == list("012345")
    assert [None if error else int(loaded.pixels[0, 0, 0]) for _, loaded, error in answers] == [0, 1, None, 3, 4, 5]
    assert str(answers[2][2]).startswith("2: is empty")
