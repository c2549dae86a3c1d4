"""Converted images hold the pixels that boxes refer to, and no orientation."""

from __future__ import annotations

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from keras_retinanet.config import DataConfig
from keras_retinanet.data.conversion import convert
from keras_retinanet.data.exif import read_orientation, turn
from keras_retinanet.data.open_dataset import open_dataset
from keras_retinanet.data.writers import WRITERS
from keras_retinanet.data.writers.upright import as_annotated


def photo(kind, orientation, mode="RGB", **options):
    smooth = Image.fromarray(np.random.default_rng(0).integers(0, 256, (5, 6, 3), np.uint8)).resize((48, 32))
    exif = Image.Exif()
    exif[0x0112], exif[0x0131] = orientation, "Software"
    stream = io.BytesIO()
    smooth.convert(mode).save(stream, kind, exif=exif.tobytes(), **options)
    return stream.getvalue()


def pixels(content, *, is_turned):
    with Image.open(io.BytesIO(content)) as opened:
        return np.array((ImageOps.exif_transpose(opened) if is_turned else opened).convert("RGB")).astype(int)


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize(
    ("kind", "options", "limit"),
    [("PNG", {}, 0), ("JPEG", {"quality": 80, "subsampling": 0}, 2), ("WEBP", {"lossless": True}, 0)],
)
def test_pixels_are_turned_and_the_tag_is_gone(kind, options, limit, orientation):
    content = photo(kind, orientation, **options)
    written = as_annotated(content, orientation)
    assert read_orientation(written) == 1
    with Image.open(io.BytesIO(written)) as opened:
        assert (opened.format, opened.getexif()[0x0131]) == (kind, "Software")
    difference = np.abs(pixels(written, is_turned=False) - pixels(content, is_turned=True))
    assert difference.max() <= limit  # a JPEG is quantised as before


@pytest.mark.parametrize(("mode", "subsampling"), [("L", -1), ("RGB", 1), ("RGB", 2), ("CMYK", 0)])
def test_every_kind_of_jpeg_can_be_turned(mode, subsampling):
    content = photo("JPEG", 6, mode, quality=90, **({} if subsampling < 0 else {"subsampling": subsampling}))
    written = as_annotated(content, 6)
    difference = np.abs(pixels(written, is_turned=False) - pixels(content, is_turned=True))
    assert difference.mean() < 2
    with Image.open(io.BytesIO(written)) as opened:
        assert opened.mode == mode


def test_sixteen_bits_stay():
    values = np.random.default_rng(0).integers(0, 65536, (4, 6, 3), np.uint16)
    turned = as_annotated(tf.io.encode_png(values).numpy(), 6)
    assert np.array_equal(tf.io.decode_png(turned, dtype=tf.uint16), turn(values, 6))


@pytest.mark.parametrize(("to", "images"), [(to, mode) for to in WRITERS for mode in WRITERS[to].image_modes])
def test_every_format_keeps_boxes_on_their_objects(tmp_path, to, images):
    (tmp_path / "a.jpg").write_bytes(photo("JPEG", 6))  # 48 × 32 as stored, 32 × 48 as shown
    (tmp_path / "b.jpg").write_bytes(photo("JPEG", 6))
    (tmp_path / "plain.png").write_bytes(photo("PNG", 1))
    rows = ["a.jpg,2,36,20,46,cow", "b.jpg,36,2,46,20,cow", "plain.png,1,1,9,9,cow"]
    (tmp_path / "boxes.csv").write_text("\n".join(rows) + "\n")
    data = DataConfig("csv", annotations=str(tmp_path / "boxes.csv"), use_index_cache=False)
    before = list(open_dataset(data, "train"))
    assert [sample.get("orientation") for sample in before] == [6, 1, None]
    done = convert(data, tmp_path / "out", to, images=images)
    place = {"csv": {"annotations": str(done.folder / "train.csv")}}.get(to, {"path": str(done.folder)})
    after = open_dataset(DataConfig(to, use_index_cache=False, **place), "train")
    assert [sample["size"] for sample in after] == [sample["size"] for sample in before]
    for one, other in zip(before, after, strict=True):
        assert np.allclose(one["boxes"], other["boxes"], atol=1e-4)
    notes = " ".join(done.notes)
    if images == "none":
        assert "2 images have an EXIF orientation and stay as they are; boxes of 1 refer to them turned" in notes
    else:
        assert all("orientation" not in sample for sample in after)
        assert "1 images are written upright" in notes
        assert "1 images are written with the EXIF orientation 1" in notes
