"""Images that break while a run is under way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from keras_retinanet.config import ResizeConfig
from keras_retinanet.data import bad_images
from keras_retinanet.data.bad_images import BadImages, CutOffImages
from keras_retinanet.data.datasets import CsvDataset
from keras_retinanet.data.errors import from_tensorflow
from keras_retinanet.data.image_cache import cache_samples
from keras_retinanet.data.pipeline import InferenceBatches, TrainingBatches
from keras_retinanet.data.sample_table import SampleTable

RESIZE = ResizeConfig(min_side=32, max_side=64)
NAMES = [f"{number}.jpg" for number in range(6)]


@pytest.fixture
def dataset(tmp_path, write_images):
    """Six images of one shape, one box each."""
    write_images(tmp_path, dict.fromkeys(NAMES, (40, 60)))
    (tmp_path / "boxes.csv").write_text("".join(f"{name},{5 * k},5,{5 * k + 9},30,x\n" for k, name in enumerate(NAMES)))
    return CsvDataset(tmp_path / "boxes.csv")


def damage(dataset, index):
    """Leave the first bytes of the file: not even its header."""
    path = Path(dataset[index]["image"])
    path.write_bytes(path.read_bytes()[:100])
    return str(path)


def train(dataset, account):
    """Batches of one thread, which runs ahead by no more than three batches."""
    settings = {"resize": RESIZE, "pad_value": (1, 2, 3), "batch_size": 2, "seed": 3, "augmentations": ()}
    return TrainingBatches(dataset, **settings, workers=1, bad_images=account)


def epoch(batches, number=0):
    return [
        (images.numpy(), {key: value.numpy() for key, value in targets.items()})
        for images, targets in batches.dataset(number).take(batches.steps_per_epoch)
    ]


def by_image(found):
    """Picture and boxes of each image."""
    return {
        int(index): (images[row], targets["boxes"][row][targets["labels"][row] >= 0])
        for images, targets in found
        for row, index in enumerate(targets["image_index"])
    }


def test_a_jpeg_damaged_in_the_middle_of_an_epoch_is_reported_and_replaced(dataset):
    lines = []
    account = BadImages(60, lines.append)
    batches = train(dataset, account)
    whole = epoch(batches)
    assert account.found == {}
    running = iter(batches.dataset(1).prefetch(1))
    first = next(running)
    path = damage(dataset, 4)
    rest = [next(running) for _ in range(2 + 6)]  # to the end of this epoch and through two more
    assert all(images.shape == first[0].shape == (2, 32, 64, 3) for images, _ in rest)
    assert list(account.found) == [path]
    assert len(lines) == 1  # met three times, told once
    line = "cannot be decoded as an image; a grey picture without boxes takes its place (broken so far: 1)"
    assert lines[0] == f"warning: {path} {line}"
    assert account.summary() == f"1 broken images were replaced by grey ones without boxes: {path}"

    again = epoch(batches)
    for (images, targets), (former, former_targets) in zip(again, whole, strict=True):
        assert images.shape == former.shape
        np.testing.assert_array_equal(targets["image_index"], former_targets["image_index"])  # the same order
    now, before = by_image(again), by_image(whole)
    assert now[4][1].shape == (0, 4)
    assert (now[4][0][:32, :48] == bad_images.GREY).all()
    assert (now[4][0][:, 48:] == [1, 2, 3]).all()  # padded as any other: 40 x 60 becomes 32 x 48
    for index in (0, 1, 2, 3, 5):
        np.testing.assert_array_equal(now[index][0], before[index][0])
        np.testing.assert_array_equal(now[index][1], before[index][1])


def test_without_an_account_it_ends_the_run(dataset):
    batches = train(dataset, None)
    running = iter(batches.dataset().take(9))
    next(running)
    path = damage(dataset, 2)
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        list(running)
    assert str(from_tensorflow(caught.value)).startswith(f"{path}: cannot be decoded as an image")


def test_the_table_of_samples_and_the_cache_replace_alike(dataset, write_images, tmp_path):
    path = damage(dataset, 3)
    write_images(tmp_path, {"1.jpg": (20, 30)})
    account = BadImages(60, lambda line: None)
    table = SampleTable(dataset, RESIZE, account)
    look_up = cache_samples(table)
    assert account.found == {
        path: "cannot be decoded as an image",
        str(tmp_path / "1.jpg"): "is [20 30] pixels high and wide, but [40 60] in the annotations",
    }
    for index in range(6):
        cached, loaded = look_up(index), table.load(index)
        is_whole = index not in (1, 3)
        assert loaded["boxes"].shape == (int(is_whole), 4)
        assert bool((loaded["image"].numpy() == bad_images.GREY).all()) != is_whole
        for key, value in loaded.items():
            np.testing.assert_array_equal(cached[key], value)


def test_detecting_goes_on_too(dataset):
    path = damage(dataset, 0)
    account = BadImages(60, lambda line: None)
    batches = InferenceBatches(dataset, resize=RESIZE, pad_value=(1, 2, 3), batch_size=4, bad_images=account)
    shapes = [tuple(images.shape) for images, _ in batches.dataset()]
    assert shapes == [(4, 32, 64, 3), (2, 32, 64, 3)]
    assert list(account.found) == [path]


def test_too_many_broken_images_end_the_run_after_all(dataset):
    account = BadImages(len(dataset), lambda line: None)  # a tenth of six, but at least one
    table = SampleTable(dataset, RESIZE, account)
    first, second = damage(dataset, 1), damage(dataset, 5)
    table.load(1)
    with pytest.raises(tf.errors.OpError) as caught:
        list(tf.data.Dataset.range(2, 6).map(table.load))
    found = from_tensorflow(caught.value)
    assert found.where == second
    assert found.found == "cannot be decoded as an image, as are others: 2 of 6 images"
    assert found.fix == "see whether the disk is still there, and restore the files"
    assert list(account.found) == [first, second]


def test_the_summary_names_five():
    account = BadImages(100, lambda line: None)
    assert account.summary() is None
    account.found = {f"{number}.jpg": "x" for number in range(7)}
    assert account.summary().endswith("0.jpg, 1.jpg, 2.jpg, 3.jpg, 4.jpg and 2 more")


def test_jpegs_without_their_last_bytes_are_counted_once_and_five_are_named():
    lines = []
    cut_off = CutOffImages(lines.append)
    assert cut_off.summary() is None
    cut_off.add("0.jpg")
    assert cut_off.summary() == "1 JPEG lacks its last bytes and was decoded as far as possible: 0.jpg"
    for number in range(7):
        cut_off.add(f"{number}.jpg")
    assert lines[0] == "warning: 0.jpg lacks its last bytes; it is decoded as far as it goes (so far: 1)"
    assert len(lines) == 5
    assert cut_off.summary().endswith("as far as possible: 0.jpg, 1.jpg, 2.jpg, 3.jpg, 4.jpg and 2 more")
    assert cut_off.summary().startswith("7 JPEGs lack their last bytes and were decoded")
