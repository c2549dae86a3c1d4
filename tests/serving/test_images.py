"""Headers are read before anything is decoded; what is damaged is named."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from keras_retinanet.config import ResizeConfig
from keras_retinanet.data.decode_file import Decoded
from keras_retinanet.data.image import decode
from keras_retinanet.serving.images import BadImageError, checked_size, decoded

PIXELS = np.random.default_rng(0).integers(0, 256, (17, 23, 3), dtype=np.uint8)
LIMIT = 1000


def saved(kind: str, mode: str = "RGB", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def png_bomb(width: int, height: int) -> bytes:
    """Black pixels in so few bytes: 1 bit a pixel, well compressed."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(b"\0" * 10_000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def jpeg_bomb(side: int) -> bytes:
    """A small JPEG whose frame header tells a side as large as the format allows."""
    contents = bytearray(saved("jpeg"))
    frame = contents.index(b"\xff\xc0")
    contents[frame + 5 : frame + 9] = struct.pack(">HH", side, side)
    return bytes(contents)


def gif_with_a_large_second_frame() -> bytes:
    """A screen of 4 x 3 pixels and a second frame of 60,000 x 60,000, which a decoder of all frames would fill."""
    frames = [Image.new("RGB", (4, 3), colour) for colour in ((255, 0, 0), (0, 255, 0))]
    buffer = io.BytesIO()
    frames[0].save(buffer, "gif", save_all=True, append_images=frames[1:])
    content = bytearray(buffer.getvalue())
    second = content.rindex(b"\x2c\0\0\0\0\x04\0\x03\0")
    content[second + 5 : second + 9] = struct.pack("<HH", 60_000, 60_000)
    return bytes(content)


@pytest.mark.parametrize("kind", ["png", "bmp", "webp", "gif", "jpeg", "tiff"])
def test_size_and_pixels_of_every_format(kind: str) -> None:
    contents = saved(kind, **({"lossless": True} if kind == "webp" else {}))
    assert checked_size(contents, LIMIT) == (17, 23)
    pixels = decoded(contents, (17, 23)).pixels
    expected = np.asarray(Image.open(io.BytesIO(contents)).convert("RGB"))
    np.testing.assert_array_equal(pixels, expected)
    assert kind in ("gif", "jpeg") or (pixels == PIXELS).all()


def test_a_transparent_gif_has_the_pixels_that_every_other_way_sees() -> None:
    contents = saved("gif", "P", transparency=3)
    pixels = decoded(contents, (17, 23)).pixels
    np.testing.assert_array_equal(pixels, decode(contents))
    assert (pixels == 0).all(axis=-1).any()


def test_grey_becomes_rgb() -> None:
    pixels = decoded(saved("png", "L"), (17, 23)).pixels
    assert pixels.shape == (17, 23, 3)
    assert (pixels[..., 0] == pixels[..., 2]).all()


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (b"", "is empty; send the bytes"),
        (b"hello", "is not an image, or is damaged; send one of JPEG, PNG"),
        (saved("ppm"), "is not an image, or is damaged"),
        (b"%PDF-1.7", "is a PDF file; send one of JPEG, PNG"),
        (saved("png")[:20], "is not an image, or is damaged"),
        (png_bomb(100, 11), "has 100 x 11 pixels, more than the 1,000 pixels that are taken; send it smaller"),
        (png_bomb(30_000, 30_000), "has more than the 1,000 pixels"),
        (png_bomb(10_000, 10_000), "has more than the 1,000 pixels"),
        (jpeg_bomb(65_500), "has more than the 1,000 pixels"),
        (jpeg_bomb(5_000), "has 5000 x 5000 pixels, more than the 1,000"),
        (saved("jpeg", progressive=True) + b"\xff\xda" * 500, "more than 500 scans; save it again, not progressive"),
    ],
)
def test_what_the_header_gives_away(contents: bytes, message: str) -> None:
    with pytest.raises(BadImageError, match=message.replace("(", r"\(")):
        checked_size(contents, LIMIT)


def test_a_moving_webp_is_refused() -> None:
    buffer = io.BytesIO()
    frames = [Image.new("RGB", (4, 3), (shade, 0, 0)) for shade in (0, 250)]
    frames[0].save(buffer, "webp", save_all=True, append_images=frames[1:])
    with pytest.raises(BadImageError, match="animated WebP"):
        checked_size(buffer.getvalue(), LIMIT)


def test_of_a_gif_only_the_first_frame_is_decoded() -> None:
    contents = gif_with_a_large_second_frame()
    assert checked_size(contents, LIMIT) == (3, 4)
    tracemalloc.start()
    pixels = decoded(contents, (3, 4)).pixels
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (pixels == [255, 0, 0]).all()
    assert peak < 2**20


@pytest.mark.parametrize("kind", ["png", "gif", "bmp", "webp", "tiff"])
def test_damage_behind_the_header(kind: str) -> None:
    contents = saved(kind)
    cut = contents[: len(contents) * 2 // 3]
    try:
        size = checked_size(cut, LIMIT)
    except BadImageError:
        assert kind in ("webp", "tiff")  # a header that knows the length, a directory at the end
        return
    assert size == (17, 23)
    with pytest.raises(BadImageError, match="is damaged and cannot be decoded; save it again"):
        decoded(cut, size)


def test_a_jpeg_without_its_last_bytes_is_decoded_as_far_as_it_goes() -> None:
    contents = saved("jpeg")
    assert not decoded(contents, (17, 23)).is_cut_off
    found = decoded(contents[:-2], checked_size(contents[:-2], LIMIT))
    assert found.is_cut_off
    np.testing.assert_array_equal(found.pixels, decoded(contents, (17, 23)).pixels)  # only the end mark is gone


def test_pixels_must_be_those_that_the_header_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keras_retinanet.serving.images.decode_file", lambda contents, bit_depth: Decoded(PIXELS[:5]))
    with pytest.raises(BadImageError, match=r"its header tells \(17, 23\), its pixels are \(5, 23\)"):
        decoded(saved("png"), (17, 23))


def test_colours_of_a_fixture(png: Callable[..., bytes]) -> None:
    assert (decoded(png((1, 2, 3)), (16, 24)).pixels == [1, 2, 3]).all()


def test_as_many_pixels_as_are_taken() -> None:
    assert checked_size(saved("png"), 17 * 23) == (17, 23)
    with pytest.raises(BadImageError, match=r"has 23 x 17 pixels, more than the 390 pixels"):
        checked_size(saved("png"), 17 * 23 - 1)


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_photos_are_turned_as_people_see_them(kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    contents = saved(kind, exif=exif.tobytes(), **({"lossless": True} if kind == "webp" else {}))
    assert checked_size(contents, LIMIT) == (17, 23)  # the limit counts pixels, which turning does not change
    stored = decoded(contents, (17, 23), ResizeConfig(exif="ignore")).pixels
    np.testing.assert_array_equal(decoded(contents, (17, 23)).pixels, np.rot90(stored, -1))


def test_the_range_of_sixteen_bits_is_that_of_the_model() -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.full((4, 6), 4095, np.uint16)).save(buffer, "png")
    white = decoded(buffer.getvalue(), (4, 6), ResizeConfig(bit_depth=12)).pixels
    assert (white == 255).all()
    assert (decoded(buffer.getvalue(), (4, 6)).pixels == 15).all()
