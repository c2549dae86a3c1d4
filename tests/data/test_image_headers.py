"""Sizes from the first bytes equal those of Pillow, for every kind of JPEG and PNG that it writes."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from keras_retinanet.data.errors import DataError
from keras_retinanet.data.image_files import read_sizes
from keras_retinanet.data.image_headers import size_in_header


def encoded(mode: str, size: tuple[int, int], **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("size", [(1, 1), (37, 211), (640, 480)])
@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("RGB", {"format": "JPEG"}),
        ("RGB", {"format": "JPEG", "progressive": True, "comment": b"c" * 60_000}),
        ("RGB", {"format": "JPEG", "exif": b"Exif\0\0" + b"e" * 60_000, "icc_profile": b"p" * 200_000}),
        ("L", {"format": "JPEG"}),
        ("CMYK", {"format": "JPEG"}),
        ("P", {"format": "PNG"}),
        ("I;16", {"format": "PNG"}),
        ("RGBA", {"format": "PNG"}),
    ],
)
def test_sizes(tmp_path, size, mode, options):
    (tmp_path / "a").write_bytes(encoded(mode, size, **options))
    assert size_in_header(str(tmp_path / "a")) == (size[1], size[0])


def test_padded_markers(tmp_path):
    content = encoded("RGB", (7, 5), format="JPEG")
    (tmp_path / "a").write_bytes(content[:2] + b"\xff\xff" + content[2:])
    assert size_in_header(str(tmp_path / "a")) == (5, 7)


@pytest.mark.parametrize("options", [{"format": "JPEG"}, {"format": "PNG"}])
def test_damaged_headers_are_left_to_pillow(tmp_path, options):
    content = encoded("RGB", (64, 48), **options)
    end = content.index(b"IDAT" if options["format"] == "PNG" else b"\xff\xda")
    for cut in [*range(33), end - 20]:
        if cut < end and (options["format"] == "JPEG" or cut < 33):
            (tmp_path / "a").write_bytes(content[:cut])
            assert size_in_header(str(tmp_path / "a")) is None
    (tmp_path / "a").write_bytes(
        content[:18] + b"\x01" + content[19:] if options["format"] == "PNG" else b"\xff\xd8\xff\0"
    )
    assert size_in_header(str(tmp_path / "a")) is None
    assert size_in_header(str(tmp_path / "gone")) is None
    assert size_in_header("a\0b") is None


@pytest.mark.parametrize("options", [{"format": "GIF"}, {"format": "BMP"}, {"format": "WEBP"}])
def test_other_formats_are_read_by_pillow(tmp_path, options):
    (tmp_path / "a.bin").write_bytes(encoded("RGB", (64, 48), **options))
    assert size_in_header(str(tmp_path / "a.bin")) is None
    assert read_sizes([str(tmp_path / "a.bin")] * 70) == [(48, 64)] * 70


def test_broken_files_keep_their_order(tmp_path):
    (tmp_path / "a.png").write_bytes(encoded("RGB", (64, 48), format="PNG"))
    (tmp_path / "b.png").write_bytes(b"no image")
    names = [str(tmp_path / ("b.png" if number in (3, 100) else "a.png")) for number in range(130)]
    sizes = read_sizes(names, fallback=(0, 0))
    assert [number for number, size in enumerate(sizes) if size == (0, 0)] == [3, 100]
    assert len(sizes) == 130
    with pytest.raises(DataError, match=r"b\.png: cannot be read as an image"):
        read_sizes(names)
