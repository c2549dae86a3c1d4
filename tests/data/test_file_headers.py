"""Headers of image files: the size that Pillow reads, the orientation, and 16 bits, in files and inside of others."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from keras_retinanet.data.file_headers import header_of, read_headers
from keras_retinanet.data.image_files import image_reference
from keras_retinanet.data.image_headers import ImageHeader

KINDS = {"a.jpg": "JPEG", "a.png": "PNG", "a.webp": "WEBP", "a.gif": "GIF", "a.bmp": "BMP"}


def encode(kind: str, orientation: int = 1, **options) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stream = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (30, 50, 3), np.uint8)
    Image.fromarray(noise).save(stream, kind, **({"exif": exif.tobytes()} if orientation > 1 else {}), **options)
    return stream.getvalue()


def test_headers_of_files_and_of_parts_of_files(tmp_path):
    files = {name: encode(kind, 6 if kind in ("JPEG", "PNG", "WEBP") else 1) for name, kind in KINDS.items()}
    files["b.jpg"] = encode("JPEG", progressive=True, icc_profile=bytes(9000))  # the size comes after 9,000 bytes
    wanted = {name: ImageHeader((30, 50), 1 if name in ("a.gif", "a.bmp", "b.jpg") else 6) for name in files}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "all.bin").write_bytes(b"head" + b"".join(files.values()))
    starts = 4 + np.cumsum([0, *(len(content) for content in files.values())])
    lengths = [len(content) for content in files.values()]
    parts = [image_reference(str(tmp_path / "all.bin"), *place) for place in zip(starts, lengths, strict=False)]
    assert read_headers([str(tmp_path / name) for name in files]) == list(wanted.values())
    assert read_headers(parts) == list(wanted.values())
    assert [header_of(content) for content in files.values()] == list(wanted.values())


def test_sixteen_bits_are_seen(tmp_path):
    values = np.arange(600, dtype=np.uint16).reshape(20, 30)
    Image.fromarray(values).save(tmp_path / "deep.png")
    assert read_headers([str(tmp_path / "deep.png")]) == [ImageHeader((20, 30), 1, is_16_bit=True)]


@pytest.mark.parametrize("content", [b"", b"\xff\xd8", b"\xff\xd8\xff\xe0\0\x10JFIF", b"\x89PNG\r\n\x1a\n", b"text"])
def test_what_cannot_be_read_has_no_header(tmp_path, content):
    (tmp_path / "a.jpg").write_bytes(content)
    assert read_headers([str(tmp_path / "a.jpg"), str(tmp_path / "gone.jpg")]) == [None, None]
    assert header_of(content) is None
