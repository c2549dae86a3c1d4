"""The range of 16-bit images, measured in a data set, and its effect on pixels."""

from __future__ import annotations

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_retinanet.config import ResizeConfig
from keras_retinanet.data.datasets import CsvDataset
from keras_retinanet.data.datasets.shared.frames import FrameRule
from keras_retinanet.data.image import decode
from keras_retinanet.data.sample_table import SampleTable
from keras_retinanet.data.sixteen_bits import read_16_bit, to_8_bits


def write_set(folder, largest, count=3):
    for number in range(count):
        values = np.linspace(0, largest[number % len(largest)], 600).astype(np.uint16).reshape(20, 30)
        Image.fromarray(values).save(folder / f"{number}.png")
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(folder / "plain.png")
    names = [*(f"{number}.png" for number in range(count)), "plain.png"]
    (folder / "boxes.csv").write_text("".join(f"{name},1,2,9,9,cell\n" for name in names))
    return folder / "boxes.csv"


@pytest.mark.parametrize(("largest", "bits"), [([4013, 900], 12), ([1023], 10), ([1024], 11), ([60], 8), ([65535], 16)])
def test_the_largest_value_of_the_set_decides(tmp_path, largest, bits):
    data = CsvDataset(write_set(tmp_path, largest))
    assert [sample.get("bit_depth") for sample in data] == [bits, bits, bits, None]
    assert f"3 of 4 images have 16 bits per channel: the largest value in 3 of them is {max(largest)}" in str(
        data.report.notes
    )
    assert f"{2**bits - 1} is white" in str(data.report.notes)


def test_a_given_range_is_not_measured(tmp_path):
    data = CsvDataset(write_set(tmp_path, [4013]), frame=FrameRule(bit_depth=14))
    assert data[0]["bit_depth"] == 14
    assert "of which 14 are used: the value 16383 is white" in str(data.report.notes)


def test_pixels_fill_the_range(tmp_path):
    samples = list(CsvDataset(write_set(tmp_path, [4095])))
    same = ResizeConfig(20, 30)
    dark = np.asarray(SampleTable(samples, same).load_image(0))
    bright = np.asarray(SampleTable(samples, ResizeConfig(20, 30, bit_depth=12)).load_image(0))
    assert (dark.max(), bright.max()) == (15, 255)
    plain = SampleTable(samples, ResizeConfig(20, 30, bit_depth=12)).load_image(3)
    assert np.asarray(plain).max() == 0


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_sixteen_bit_pngs_are_scaled_in_graphs_as_in_python(channels):
    values = np.random.default_rng(0).integers(0, 5000, (6, 5, channels), np.uint16)
    content = tf.io.encode_png(values)
    assert np.array_equal(read_16_bit(content.numpy()), values)
    colours = np.repeat(values[..., :1], 3, axis=-1) if channels < 3 else values[..., :3]
    assert np.array_equal(decode(content, 12), to_8_bits(colours, 12))
    assert np.array_equal(decode(content), colours >> 8)  # as without a rule
    assert to_8_bits(np.array([0, 15, 16, 4095, 4096, 65535]), 12).tolist() == [0, 0, 1, 255, 255, 255]


def test_other_images_are_not_changed_by_the_rule():
    stream = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (6, 5, 3), np.uint8)
    Image.fromarray(noise).save(stream, "PNG")
    assert np.array_equal(decode(stream.getvalue(), 10), noise)
    assert read_16_bit(stream.getvalue()) is None
