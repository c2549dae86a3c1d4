"""Files that Pillow opens: kinds by their first bytes, no limit on pixels, values to RGB."""

from __future__ import annotations

import io
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, UnidentifiedImageError

from keras_retinanet.data.pillow_files import HEIF_HEADS, heif_kind, is_pillows, opened, unsupported_reason


def saved(kind: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (20, 10)).save(file, kind)
    return file.getvalue()


def test_kinds_by_their_first_bytes() -> None:
    kinds = {kind: heif_kind(head) for kind, head in HEIF_HEADS.items()}
    assert kinds == {".heic": "HEIC", ".heif": "HEIC", ".avif": "AVIF"}
    assert heif_kind(b"\0\0\0\x1cftypmif1\0\0\0\0mif1avif") == "AVIF"  # the brand is among the compatible ones
    assert heif_kind(b"\0\0\0\x18ftypisom") is None  # a video
    assert heif_kind(saved("AVIF")) == "AVIF"
    assert is_pillows(saved("TIFF"))
    assert not any(is_pillows(saved(kind)) for kind in ("JPEG", "PNG", "GIF", "BMP", "WEBP"))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (saved("JPEG"), None),
        (saved("TIFF"), None),
        (b"", None),
        (b"\n <?xml version='1.0'?><svg width='1'>", "is an SVG drawing"),
        (b"<annotation>", "is text (HTML or XML)"),
        (b"8BPS\0\1", "is a Photoshop file"),
        (b"\0\0\0\x0cJXL \r\n", "is a JPEG XL file"),
    ],
)
def test_why_a_file_is_not_read(content: bytes, reason: str | None) -> None:
    assert unsupported_reason(content) == reason


def test_no_limit_while_a_file_is_open_in_any_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    path = tmp_path / "a.png"
    path.write_bytes(saved("PNG"))
    is_open, may_close = threading.Event(), threading.Event()

    def hold() -> None:
        with opened(path):
            is_open.set()
            may_close.wait(10)

    other = threading.Thread(target=hold)
    other.start()
    is_open.wait(10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with opened(io.BytesIO(path.read_bytes())) as image:
            assert np.asarray(image).shape == (10, 20, 3)
        assert Image.MAX_IMAGE_PIXELS is None  # the other thread still has its file
    may_close.set()
    other.join()
    assert Image.MAX_IMAGE_PIXELS == 50
    with pytest.raises(Image.DecompressionBombError):
        Image.open(path)


def test_formats_that_run_programs_are_not_tried() -> None:
    with pytest.raises(UnidentifiedImageError), opened(io.BytesIO(saved("EPS"))):
        pass
