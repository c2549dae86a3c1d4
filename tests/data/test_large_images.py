"""Pictures read in regions have the pixels of the whole."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_retinanet.data import large_images
from keras_retinanet.data.decode_file import decode_file
from keras_retinanet.data.errors import DataError
from keras_retinanet.data.large_images import LargeImage, is_large, open_image
from keras_retinanet.data.png_rows import PngRows
from keras_retinanet.data.tiff_rows import find_tiff_rows

RANDOM = np.random.default_rng(0)
SMOOTH = np.asarray(
    Image.fromarray(RANDOM.integers(0, 256, (9, 12, 3), np.uint8)).resize((183, 161), Image.Resampling.BICUBIC)
)
PIXELS = np.concatenate([SMOOTH, RANDOM.integers(0, 256, (60, 183, 3), np.uint8)])  # PNG chooses filters by row
PICTURE = Image.fromarray(PIXELS)
DEEP = PIXELS.astype(np.uint16) * 200 + 31


def saved(kind: str, picture: Image.Image = PICTURE, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


PNGS = {
    "rgb": saved("PNG"),
    "grey": saved("PNG", PICTURE.convert("L")),
    "palette": saved("PNG", PICTURE.quantize(64)),
    "4 bits": saved("PNG", PICTURE.quantize(10), bits=4),
    "1 bit": saved("PNG", PICTURE.convert("1")),
    "grey alpha": saved("PNG", PICTURE.convert("LA")),
    "alpha": saved("PNG", PICTURE.convert("RGBA")),
    "transparent": saved("PNG", PICTURE.quantize(64), transparency=3),
    "16 bits": saved("PNG", Image.fromarray(DEEP[..., 0])),
    "16 bits rgb": tf.io.encode_png(DEEP).numpy(),
    "16 bits alpha": tf.io.encode_png(np.concatenate([DEEP, DEEP[..., :1]], axis=-1)).numpy(),
}


@pytest.mark.parametrize("kind", PNGS)
def test_rows_of_png(kind: str) -> None:
    whole = decode_file(PNGS[kind]).pixels
    rows = PngRows.open(PNGS[kind])
    assert rows is not None
    for top, bottom in ((0, 7), (7, 100), (150, 221), (3, 5)):  # on, after a gap, and back
        np.testing.assert_array_equal(rows.read(top, bottom), whole[top:bottom])


def test_png_files_that_have_no_rows() -> None:
    content = bytearray(saved("PNG"))
    content[28] = 1  # interlaced
    assert PngRows.open(bytes(content)) is None
    assert PngRows.open(saved("JPEG")) is None
    assert PngRows.open(saved("PNG")[:30]) is None
    rows = PngRows.open(saved("PNG")[:-9000])
    assert rows is not None
    with pytest.raises(ValueError, match="ends too early"):
        rows.read(0, 221)


STRIPS = {278: 16}
TIFFS = {
    "raw, one strip": saved("TIFF"),
    "raw, strips": saved("TIFF", tiffinfo=STRIPS),
    "grey": saved("TIFF", PICTURE.convert("L")),
    "1 bit": saved("TIFF", PICTURE.convert("1")),
    "palette": saved("TIFF", PICTURE.quantize(64)),
    "16 bits": saved("TIFF", Image.fromarray(DEEP[..., 0])),
    "lzw": saved("TIFF", compression="tiff_lzw", tiffinfo=STRIPS),
    "lzw, predictor": saved("TIFF", compression="tiff_lzw", tiffinfo={**STRIPS, 317: 2}),
    "deflate": saved("TIFF", compression="tiff_adobe_deflate", tiffinfo=STRIPS),
    "jpeg": saved("TIFF", compression="jpeg", tiffinfo=STRIPS),
    "fax": saved("TIFF", PICTURE.convert("1"), compression="group4", tiffinfo=STRIPS),
    "cmyk": saved("TIFF", PICTURE.convert("CMYK"), compression="tiff_lzw", tiffinfo=STRIPS),
    "big": saved("TIFF", big_tiff=True, compression="tiff_lzw", tiffinfo=STRIPS),
}


@pytest.mark.parametrize("kind", TIFFS)
def test_rows_of_tiff(kind: str) -> None:
    whole, read = decode_file(TIFFS[kind]).pixels, find_tiff_rows(TIFFS[kind])
    assert read is not None
    for top, bottom in ((0, 7), (7, 100), (150, 221), (3, 5)):
        np.testing.assert_array_equal(read(top, bottom), whole[top:bottom])


def tiled_tiff() -> bytes:
    """PIXELS in tiles of 64 x 64, uncompressed, big-endian."""
    data, offsets = b"", []
    padded = np.zeros((256, 192, 3), np.uint8)
    padded[:221, :183] = PIXELS
    for y in range(0, 256, 64):
        for x in range(0, 192, 64):
            offsets.append(8 + len(data))
            data += padded[y : y + 64, x : x + 64].tobytes()
    end = 8 + len(data)
    tags = [(256, 4, [183]), (257, 4, [221]), (258, 3, [8, 8, 8]), (259, 3, [1]), (262, 3, [2]), (277, 3, [3])]
    tags += [(284, 3, [1]), (322, 4, [64]), (323, 4, [64]), (324, 4, offsets), (325, 4, [64 * 64 * 3] * len(offsets))]
    after, rest, table = end + 2 + 12 * len(tags) + 4, b"", struct.pack(">H", len(tags))
    for tag, kind, values in tags:
        packed = struct.pack(f">{len(values)}{'H' if kind == 3 else 'L'}", *values)
        place = packed.ljust(4, b"\0") if len(packed) <= 4 else struct.pack(">L", after + len(rest))
        rest += packed if len(packed) > 4 else b""
        table += struct.pack(">HHL", tag, kind, len(values)) + place
    return b"MM" + struct.pack(">HL", 42, end) + data + table + bytes(4) + rest


def test_rows_of_a_tiff_in_tiles() -> None:
    content = tiled_tiff()
    np.testing.assert_array_equal(decode_file(content).pixels, PIXELS)
    read = find_tiff_rows(content)
    assert read is not None
    for top, bottom in ((0, 7), (60, 130), (150, 221)):
        np.testing.assert_array_equal(read(top, bottom), PIXELS[top:bottom])


def test_rows_of_a_tiff_with_an_orientation_are_those_stored() -> None:
    content = saved("TIFF", tiffinfo={**STRIPS, 274: 6})
    read = find_tiff_rows(content)
    assert read is not None
    np.testing.assert_array_equal(read(20, 90), PIXELS[20:90])
    np.testing.assert_array_equal(decode_file(content).pixels, PIXELS)


def test_tiff_files_that_have_no_rows() -> None:
    assert find_tiff_rows(saved("TIFF", compression="tiff_lzw", tiffinfo={278: 500})) is None
    assert find_tiff_rows(saved("PNG")) is None
    assert find_tiff_rows(saved("TIFF")[:50]) is None


FILES = {
    "a.jpg": saved("JPEG"),
    "progressive.jpg": saved("JPEG", progressive=True),
    "cut.jpg": saved("JPEG")[:-500],
    "b.png": saved("PNG"),
    "c.tif": TIFFS["lzw"],
    "whole.tif": saved("TIFF", compression="tiff_lzw", tiffinfo={278: 500}),
    "d.webp": saved("WEBP", lossless=True),
    "grey.bmp": saved("BMP", PICTURE.convert("L")),
}


@pytest.mark.parametrize("name", FILES)
def test_slices_of_every_format(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / name
    path.write_bytes(FILES[name])
    whole = open_image(str(path))
    assert isinstance(whole, np.ndarray)
    monkeypatch.setattr(large_images, "MIN_PIXELS", 183 * 221)
    image = open_image(str(path))
    assert isinstance(image, LargeImage)
    assert image.shape == (221, 183, 3)
    for rows, columns in (
        (slice(0, 100), slice(0, 90)),
        (slice(0, 100), slice(90, 183)),
        (slice(75, 221), slice(5, 9)),
    ):
        np.testing.assert_array_equal(image[rows, columns], whole[rows, columns])
    np.testing.assert_array_equal(image[:20, :], whole[:20])  # back to the top


def test_each_row_is_decoded_once_from_top_to_bottom() -> None:
    decoded: list[tuple[int, int]] = []

    def read(top: int, bottom: int) -> Any:
        decoded.append((top, bottom))
        return PIXELS[top:bottom]

    image = LargeImage((221, 183), read)
    for top in (0, 60, 121):
        for left in (0, 83):
            part = image[top : top + 100, left : left + 100]
            np.testing.assert_array_equal(part, PIXELS[top : top + 100, left : left + 100])
    assert decoded == [(0, 100), (100, 160), (160, 221)]


def test_shrunk_is_the_mean_of_squares() -> None:
    image = LargeImage((221, 183), lambda top, bottom: PIXELS[top:bottom])
    assert [image.factor_for(pixels) for pixels in (40443, 40442, 10110, 4494, 1)] == [1, 2, 3, 3, 183]
    small = image.shrunk(3)
    assert small.shape == (73, 61, 3)
    squares = PIXELS[:219].reshape(73, 3, 61, 3, 3).mean(axis=(1, 3))
    np.testing.assert_array_equal(small, np.rint(squares))
    np.testing.assert_array_equal(image.shrunk(1), PIXELS)


def test_what_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(saved("PNG")[:-9000])
    with pytest.raises(DataError, match=r"a.png: cannot be decoded as an image. allowed: an image that can be decoded"):
        open_image(str(path))
    assert not is_large(str(tmp_path / "gone.png"))
    assert not is_large(str(path))
    monkeypatch.setattr(large_images, "MIN_PIXELS", 100)
    assert is_large(str(path))
