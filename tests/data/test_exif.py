"""Orientations 2–8 pixel by pixel against Pillow; the graph finds and turns as Python does, also in damaged files."""

from __future__ import annotations

import base64
import io
import random

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from keras_retinanet.config import ResizeConfig
from keras_retinanet.data.decode_file import decode_by_rule, decode_file
from keras_retinanet.data.exif import PNG_WINDOW, read_orientation, turn, turned_size, without_orientation
from keras_retinanet.data.exif_graph import orientation_in_graph, turn_in_graph
from keras_retinanet.data.file_headers import read_headers
from keras_retinanet.data.image import decode
from keras_retinanet.data.image_files import image_reference, read_sizes
from keras_retinanet.data.image_headers import ImageHeader
from keras_retinanet.data.pillow_files import orientation_of_file
from keras_retinanet.data.writers.upright import as_annotated
from keras_retinanet.serving.images import checked_size

TEXT = (tf.TensorSpec((), tf.string),)
in_graph = tf.function(orientation_in_graph, input_signature=TEXT, autograph=False)


@tf.function(input_signature=TEXT, autograph=False)
def decode_upright(content):
    return turn_in_graph(decode(content), orientation_in_graph(content))


def picture(height: int = 37, width: int = 52) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))


def exif_data(orientation: int, endian: str = "<") -> bytes:
    exif = Image.Exif()
    exif.endian = endian
    exif[0x010F], exif[0x0112], exif[0x0131] = "Maker", orientation, "Software"
    return exif.tobytes()


def encoded(kind: str, orientation: int | None, endian: str = "<", **options) -> bytes:
    stream = io.BytesIO()
    exif = {} if orientation is None else {"exif": exif_data(orientation, endian)}
    picture().save(stream, kind, **exif, **options)
    return stream.getvalue()


@pytest.mark.parametrize("endian", ["<", ">"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "MPO"])
def test_every_orientation_is_that_of_pillow(kind, endian):
    options = {"lossless": True} if kind == "WEBP" else {}
    for orientation in range(1, 9):
        content = encoded(kind, orientation, endian, **options)
        with Image.open(io.BytesIO(content)) as opened:
            wanted = np.array(ImageOps.exif_transpose(opened).convert("RGB"))
        assert read_orientation(content) == int(in_graph(content)) == orientation
        pixels = turn(decode(tf.constant(content)).numpy(), orientation)
        assert pixels.shape[:2] == turned_size((37, 52), orientation)
        assert np.array_equal(pixels, wanted)
        assert np.array_equal(decode_upright(content).numpy(), wanted)


@pytest.mark.parametrize("kind", ["TIFF", "AVIF"])
def test_files_that_pillow_decodes_are_stored_pixels_and_an_orientation(kind, tmp_path):
    options = {"quality": 100, "subsampling": "4:4:4"} if kind == "AVIF" else {}
    limit = 4 if kind == "AVIF" else 0
    stored = np.array(picture()).astype(int)
    for orientation in range(1, 9):
        content = encoded(kind, orientation, **options)
        file = tmp_path / f"{orientation}.{kind.lower()}"
        file.write_bytes(content)
        with Image.open(io.BytesIO(content)) as opened:
            upright = np.array(ImageOps.exif_transpose(opened)).astype(int)
        assert read_headers([str(file)]) == [ImageHeader((37, 52), orientation)]
        assert read_sizes([str(file)]) == [checked_size(content, 10_000)] == [(37, 52)]
        for exif, wanted in (("ignore", stored), ("apply", upright)):
            pixels = decode_by_rule(content, ResizeConfig(exif=exif)).pixels
            assert pixels.shape == wanted.shape
            assert np.abs(pixels - wanted).max() <= limit
            rewritten = as_annotated(content, orientation if exif == "apply" else 1)
            assert orientation_of_file(rewritten) == 1
            assert np.abs(decode_file(rewritten).pixels - wanted).mean() <= 3 * limit


def test_no_exif_means_upright():
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP"):
        content = encoded(kind, None)
        assert read_orientation(content) == int(in_graph(content)) == 1
    assert read_orientation(b"") == int(in_graph(b"")) == 1


def test_exif_after_other_segments_is_found():
    whole = encoded("JPEG", 6)
    start = whole.index(b"Exif\0\0") - 4
    length = int.from_bytes(whole[start + 2 : start + 4], "big")
    segment, rest = whole[start : start + 2 + length], whole[start + 2 + length :]
    assert whole[:4] == b"\xff\xd8\xff\xe0"  # JFIF first
    colours = b"\xff\xe2" + (3000).to_bytes(2, "big") + bytes(2998)
    filled = whole[:start] + colours + b"\xff\xff\xff" + segment + rest
    assert read_orientation(filled) == int(in_graph(filled)) == 6
    alone = whole[:2] + segment + rest
    assert read_orientation(alone) == int(in_graph(alone)) == 6
    tables = rest.index(b"\xff\xdb")
    late = whole[:start] + rest[: tables + 69] + segment + rest[tables + 69 :]
    assert read_orientation(late) == int(in_graph(late)) == 1  # EXIF precedes the tables, or is not read


def test_exif_of_a_png_is_found_before_its_pixels_only():
    whole = encoded("PNG", 8)
    start = whole.index(b"eXIf") - 4
    length = int.from_bytes(whole[start : start + 4], "big")
    chunk = whole[start : start + 12 + length]
    assert read_orientation(whole[:start] + whole[start + len(chunk) : -12] + chunk + whole[-12:]) == 1
    far = b"\0\0\x50\0tEXt" + bytes(0x5000) + bytes(4)
    assert len(far) > PNG_WINDOW
    assert read_orientation(whole[:33] + far + whole[33:]) == int(in_graph(whole[:33] + far + whole[33:])) == 1


@pytest.mark.parametrize("value", [0, 9, 300])
def test_an_orientation_that_does_not_exist_is_ignored(value):
    content = encoded("JPEG", value)
    assert read_orientation(content) == int(in_graph(content)) == 1


def test_damaged_files_are_read_alike_in_python_and_in_graphs():
    chance = random.Random(1)
    seeds = [encoded(kind, value, endian) for kind in ("JPEG", "PNG", "WEBP") for value in (3, 6) for endian in "<>"]
    num_turned = 0
    for _ in range(400):
        content = bytearray(chance.choice(seeds))
        for _ in range(chance.randint(1, 4)):
            place = chance.randrange(min(len(content), 220))
            content[place : place + chance.choice([0, 1, 1, 1, 3])] = bytes(chance.choices(range(256), k=1))
        content = bytes(content[: chance.choice([None, None, 40, 90, 150])])
        found = read_orientation(content)
        assert int(in_graph(content)) == found, content[:220]
        num_turned += found > 1
    assert 50 < num_turned < 390  # some are damaged enough, and some are not


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("endian", ["<", ">"])
def test_the_orientation_can_be_taken_out(kind, endian):
    content = encoded(kind, 6, endian)
    changed = without_orientation(content)
    assert len(changed) == len(content)
    assert read_orientation(changed) == 1
    with Image.open(io.BytesIO(changed)) as opened:
        assert opened.getexif()[0x0112] == 1
        assert opened.getexif()[0x0131] == "Software"
        opened.load()  # a PNG with a wrong checksum would not open
    assert np.array_equal(decode(tf.constant(changed)), decode(tf.constant(content)))
    assert without_orientation(encoded(kind, None)) == encoded(kind, None)


def test_headers_of_jpegs_in_base64_are_found_however_long_they_are(tmp_path):
    files = []
    for length in (0, 2000, 5000, 60_000):
        file = tmp_path / f"{length}.txt"
        content = encoded("JPEG", 6, comment=b"x" * length)
        file.write_bytes(base64.b64encode(content))
        files.append(image_reference(str(file), 0, file.stat().st_size, is_base64=True))
    assert read_headers(files) == [ImageHeader((37, 52), 6)] * 4
