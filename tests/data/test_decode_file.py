"""Files that TensorFlow does not decode, and JPEGs that end too early."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_retinanet.data.decode_file import UNDECODED, decode_file
from keras_retinanet.data.given_images import GivenImage, load
from keras_retinanet.data.image import decode, with_end_mark
from keras_retinanet.serving.images import checked_size, decoded

COARSE = np.random.default_rng(0).integers(0, 256, (9, 12, 3), np.uint8)
PICTURE = Image.fromarray(COARSE).resize((83, 61), Image.Resampling.BICUBIC)
PIXELS = np.asarray(PICTURE)


def saved(kind: str, picture: Image.Image = PICTURE, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


TIFFS = {
    "strips": saved("TIFF"),
    "lzw": saved("TIFF", compression="tiff_lzw"),
    "deflate": saved("TIFF", compression="tiff_adobe_deflate"),
    "big": saved("TIFF", big_tiff=True),
    "alpha": saved("TIFF", PICTURE.convert("RGBA")),
}


@pytest.mark.parametrize("kind", TIFFS)
def test_tiff_in_colour(kind: str) -> None:
    found = decode_file(TIFFS[kind])
    assert (found.reason, found.is_cut_off) == ("", False)
    np.testing.assert_array_equal(found.pixels, PIXELS)


def test_tiff_of_other_kinds() -> None:
    grey = PIXELS[..., 0]
    deep = saved("TIFF", Image.fromarray(grey.astype(np.uint16) * 256 + 77))
    palette = PICTURE.quantize(64)
    expected = {
        saved("TIFF", Image.fromarray(grey)): np.repeat(grey[..., None], 3, axis=-1),
        deep: np.repeat(grey[..., None], 3, axis=-1),  # 16 bits: the upper eight
        saved("TIFF", palette): np.asarray(palette.convert("RGB")),
        saved("TIFF", Image.fromarray(grey > 127)): np.repeat(np.where(grey > 127, 255, 0)[..., None], 3, axis=-1),
        saved("TIFF", PICTURE, save_all=True, append_images=[PICTURE.rotate(90)]): PIXELS,  # the first page
    }
    for content, pixels in expected.items():
        np.testing.assert_array_equal(decode_file(content).pixels, pixels)


def test_avif() -> None:
    found = decode_file(saved("AVIF", quality=100, subsampling="4:4:4"))
    np.testing.assert_allclose(found.pixels, PIXELS, atol=4)


def test_heic() -> None:
    pytest.importorskip("pillow_heif").register_heif_opener()
    found = decode_file(saved("HEIF", quality=100, chroma=444))
    np.testing.assert_allclose(found.pixels, PIXELS, atol=8)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"hello", UNDECODED),
        (b"\xff\xd8\xff\xe0junk", UNDECODED),
        (saved("PNG")[:-300], UNDECODED),
        (saved("JPEG")[:100], UNDECODED),
        (TIFFS["lzw"][:-300], UNDECODED),
        (saved("TIFF", Image.fromarray(np.ones((2, 2), np.float32))), "has values of 32 bits (mode 'F')"),
        (b"%PDF-1.7", "is a PDF file"),
        (b"<!DOCTYPE html><p>404", "is text (HTML or XML)"),
        (b"version https://git-lfs.github.com/spec/v1", "is a pointer of Git LFS: fetch the files with `git lfs pull`"),
    ],
)
def test_what_cannot_be_decoded(content: bytes, reason: str) -> None:
    found = decode_file(content)
    assert found.pixels.shape == (0, 0, 3)
    assert found.reason.startswith(reason)


def test_what_needs_another_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    found = decode_file(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    assert found.reason.startswith("is a HEIC file, which needs another package: pip install '.[heif]' in the checkout")
    assert decode_file(b"\0\0\0\x1cftypavif\0\0\0\0avifmif1").reason.startswith("is an AVIF file, which needs")


@pytest.mark.parametrize("options", [{}, {"subsampling": 0}, {"progressive": True}, {"restart_marker_blocks": 2}])
def test_a_jpeg_without_its_last_bytes_has_the_same_pixels_everywhere(options: dict[str, Any], tmp_path: Path) -> None:
    whole = saved("JPEG", **options)
    assert not decode_file(whole).is_cut_off
    np.testing.assert_array_equal(decode(with_end_mark(tf.constant(whole))), decode(whole))
    for missing in (1, 2, 3, 60 if "progressive" in options else 500):
        content = whole[:-missing]
        found = decode_file(content)
        assert found.is_cut_off
        viewer = Image.open(io.BytesIO(content + b"\xff\xd9"))  # what libjpeg adds to every file that ends too early
        if missing != 60:  # viewers smooth what scans of a progressive file lack
            np.testing.assert_array_equal(found.pixels, np.asarray(viewer))
        assert missing > 2 or (found.pixels == decode(whole).numpy()).all()  # only the end mark is gone
        (tmp_path / "cut.jpg").write_bytes(content)
        np.testing.assert_array_equal(decode(with_end_mark(tf.constant(content))), found.pixels)  # SavedModel
        loaded = load(GivenImage("cut.jpg", tmp_path / "cut.jpg"))  # detection
        np.testing.assert_array_equal(loaded.pixels, found.pixels)
        served = decoded(content, checked_size(content, 10_000))
        np.testing.assert_array_equal(served.pixels, found.pixels)
        assert loaded.is_cut_off
        assert served.is_cut_off


def test_the_limit_on_pixels_does_not_apply(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    np.testing.assert_array_equal(decode_file(saved("PNG")).pixels, PIXELS)
    assert decode_file(saved("JPEG")[:-2]).is_cut_off
    assert Image.MAX_IMAGE_PIXELS == 10
