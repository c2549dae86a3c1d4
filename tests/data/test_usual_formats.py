"""Pillow's pixels equal those of `image.decode`, which runs in graphs, value by value."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_retinanet.data.image import decode, with_end_mark
from keras_retinanet.data.pillow_files import UnsupportedImageError
from keras_retinanet.data.usual_formats import decode_cut_off_jpeg, decode_usual_format, has_end_mark

RANDOM = np.random.default_rng(0)
PICTURE = Image.fromarray(RANDOM.integers(0, 256, (9, 12, 3), np.uint8)).resize((83, 61), Image.Resampling.BICUBIC)
ALPHA = RANDOM.integers(0, 256, (61, 83, 1), np.uint8)
WITH_ALPHA = Image.fromarray(np.concatenate([np.asarray(PICTURE), ALPHA], axis=-1))
INKS = Image.fromarray(RANDOM.integers(0, 256, (61, 83, 4), np.uint8), "CMYK")


def saved(kind: str, picture: Image.Image = PICTURE, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def deep(channels: int) -> bytes:
    """A PNG of 16 bits."""
    return bytes(tf.io.encode_png(np.random.default_rng(1).integers(0, 2**16, (7, 9, channels), np.uint16)).numpy())


FILES = {
    "jpeg": saved("JPEG"),
    "jpeg, no subsampling": saved("JPEG", subsampling="4:4:4", quality=95),
    "jpeg, 4:2:2": saved("JPEG", subsampling="4:2:2", quality=30),
    "jpeg, 4:1:1": saved("JPEG", subsampling="4:1:1"),
    "jpeg, progressive": saved("JPEG", progressive=True),
    "jpeg, grey": saved("JPEG", PICTURE.convert("L")),
    "jpeg, cmyk": saved("JPEG", INKS, quality=95),
    "jpeg, rgb": saved("JPEG", keep_rgb=True),
    "png": saved("PNG"),
    "png, alpha": saved("PNG", WITH_ALPHA),
    "png, grey and alpha": saved("PNG", WITH_ALPHA.convert("LA")),
    "png, palette": saved("PNG", PICTURE.quantize(16), bits=4, transparency=3),
    "png, bits": saved("PNG", PICTURE.convert("1")),
    **{f"png, 16 bits, {channels} channels": deep(channels) for channels in (1, 2, 3, 4)},
    "bmp": saved("BMP"),
    "bmp, palette": saved("BMP", PICTURE.quantize(64)),
    "bmp, alpha": saved("BMP", WITH_ALPHA),
    "gif": saved("GIF", PICTURE.quantize(32), transparency=3, save_all=True, append_images=[PICTURE.rotate(90)]),
    "webp": saved("WEBP", quality=60),
    "webp, lossless, alpha": saved("WEBP", WITH_ALPHA, lossless=True),
    "webp, alpha": saved("WEBP", WITH_ALPHA),
}


@pytest.mark.parametrize("kind", FILES)
def test_equal_to_the_graph(kind: str) -> None:
    for bit_depth in (16, 10) if "16 bits" in kind else (16,):
        found = decode_usual_format(FILES[kind], bit_depth)
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, decode(FILES[kind], bit_depth))


@pytest.mark.parametrize("is_progressive", [False, True])
def test_a_cut_off_jpeg_is_equal_to_the_graph(is_progressive: bool) -> None:
    """Viewers smooth the blocks of a progressive file whose last scans are missing; graphs do not."""
    whole = saved("JPEG", progressive=is_progressive, comment=b"\xff\xd9")
    assert has_end_mark(whole)
    for missing in (2, 300):
        content = whole[:-missing]
        assert not has_end_mark(content)
        np.testing.assert_array_equal(decode_cut_off_jpeg(content), decode(with_end_mark(tf.constant(content))))


def test_what_graphs_do_not_decode_is_refused() -> None:
    moving = saved("WEBP", save_all=True, append_images=[PICTURE.rotate(90)])
    with pytest.raises(UnsupportedImageError, match="animated WebP"):
        decode_usual_format(moving)
    with pytest.raises(UnsupportedImageError, match="BMP"):
        decode_usual_format(saved("BMP", PICTURE.convert("1")))


@pytest.mark.parametrize("missing", [1, 5, 13, 60])
def test_a_png_that_ends_too_early_is_damaged(missing: int) -> None:
    """Also where only the end mark is missing, as graphs have it."""
    content = saved("PNG")[:-missing]
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode(content)
    with pytest.raises((ValueError, OSError)):
        decode_usual_format(content)
