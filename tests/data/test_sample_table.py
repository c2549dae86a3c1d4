from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from keras_retinanet.config import ResizeConfig
from keras_retinanet.data import errors
from keras_retinanet.data.bad_images import BadImages, CutOffImages
from keras_retinanet.data.datasets import CocoDataset
from keras_retinanet.data.given_images import GivenImage, load
from keras_retinanet.data.image import resize_by_rule
from keras_retinanet.data.sample_table import SampleTable


@pytest.fixture
def samples(tmp_path, write_coco):
    return CocoDataset(write_coco(tmp_path))[:]


def test_sizes_boxes_and_scale(samples):
    table = SampleTable(samples, ResizeConfig(min_side=20, max_side=45))
    assert len(table) == 3
    assert table.resized.tolist() == [[20, 30], [30, 20], [20, 20]]
    assert table.num_boxes.tolist() == [2, 1, 0]
    np.testing.assert_allclose(table.scale(tf.constant([0, 2])), [[0.5, 0.5], [2 / 3, 2 / 3]])
    found = table.annotations(0)
    np.testing.assert_allclose(found["boxes"], [[0.5, 1, 5.5, 11], [0, 0, 30, 20]])
    assert found["labels"].numpy().tolist() == [1, 0]
    assert found["ignore"].numpy().tolist() == [False, True]
    assert table.annotations(2)["boxes"].shape == (0, 4)
    assert table.load_image(1).shape == (30, 20, 3)


def test_images_are_left_unresized_up_to_twice_the_pixels(samples):
    # 40 x 60, 60 x 40 and 30 x 30 pixels stored
    kept = SampleTable(samples, ResizeConfig(min_side=29, max_side=100))  # 29 x 44: 1.88 and 1.07 times
    assert kept.unresized.tolist() == [[40, 60], [60, 40], [30, 30]]
    sample = kept.load_unresized(0)
    assert sample["image"].shape == (40, 60, 3)
    assert sample["resized_size"].numpy().tolist() == [29, 44]
    np.testing.assert_array_equal(sample["boxes"], samples[0]["boxes"])
    shrunk = SampleTable(samples, ResizeConfig(min_side=20, max_side=45))  # 4 and 2.25 times
    assert shrunk.unresized.tolist() == shrunk.resized.tolist()
    for key, value in shrunk.load(0).items():
        np.testing.assert_array_equal(shrunk.load_unresized(0)[key], value)


@pytest.mark.parametrize("rule", [{"method": "cv2"}, {"method": "float"}, {"method": "tf1"}, {"antialias": True}])
def test_rules_with_their_own_arithmetic_resize_all_images(samples, rule):
    table = SampleTable(samples, ResizeConfig(min_side=29, max_side=100, **rule))
    assert table.unresized.tolist() == table.resized.tolist()
    load = tf.function(table.load_unresized, autograph=False)  # both branches are traced, so their dtypes must agree
    for key, value in table.load(0).items():
        np.testing.assert_array_equal(load(tf.constant(0))[key], value)


def test_boxes_scale_by_the_true_ratio_of_each_axis(samples):
    samples[1]["size"] = (333, 500)
    samples[1]["boxes"] = np.float32([[0, 0, 500, 333]])
    table = SampleTable(samples, ResizeConfig(min_side=100, max_side=1000))
    assert table.resized[1].tolist() == [100, 150]  # 150.15
    np.testing.assert_allclose(table.annotations(1)["boxes"], [[0, 0, 150, 100]], rtol=1e-6)


def test_unknown_sizes_are_read_from_the_files(samples):
    del samples[0]["size"], samples[2]["size"]
    assert SampleTable(samples, ResizeConfig(20, 45)).resized.tolist() == [[20, 30], [30, 20], [20, 20]]


def test_no_samples():
    with pytest.raises(ValueError, match="No samples"):
        SampleTable([], ResizeConfig())


@pytest.mark.parametrize("damage", ["cut", "text", "empty", "gone"])
def test_an_image_that_cannot_be_decoded_is_named(samples, tmp_path, damage):
    table = SampleTable(samples, ResizeConfig(20, 45))
    file = tmp_path / "train2017" / "b.jpg"
    content = {"cut": file.read_bytes()[:200], "text": b"hello", "empty": b"", "gone": b""}[damage]
    file.write_bytes(content)
    if damage == "gone":
        file.unlink()
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        list(tf.data.Dataset.range(3).map(table.load_image))
    found = errors.from_tensorflow(caught.value)
    what = "is empty" if damage == "empty" else "cannot be decoded as an image"
    assert str(found) == f"{file}: {what}. fix: replace or remove the file"


def test_a_size_that_does_not_match_the_annotations_is_named(samples):
    samples[0]["size"] = (60, 40)
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        tf.function(SampleTable(samples, ResizeConfig(20, 45)).load_image)(0)
    found = errors.from_tensorflow(caught.value)
    assert "a.jpg: is [40 60] pixels high and wide, but [60 40] in the annotations. fix: correct" in str(found)


def test_paths_may_have_any_name(tmp_path, write_images):
    names = {"ä |: 'b' \".jpg": (4, 5), "x y]>>.png": (6, 7)}
    write_images(tmp_path, names)
    empty = {"boxes": np.zeros((0, 4)), "labels": np.zeros(0), "ignore": np.zeros(0)}
    table = SampleTable(
        [{"image": str(tmp_path / name), "image_id": 0, **empty} for name in names], ResizeConfig(8, 20)
    )
    assert [table.load_image(index).shape for index in range(2)] == [(8, 10, 3), (8, 9, 3)]
    (tmp_path / "ä |: 'b' \".jpg").write_bytes(b"")
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        table.load_image(0)
    assert errors.from_tensorflow(caught.value).found == "is empty"


@pytest.mark.parametrize("has_account", [False, True])
def test_tiff_and_a_jpeg_without_its_last_bytes(tmp_path, write_images, has_account):
    write_images(tmp_path, {"a.tif": (4, 5), "b.jpg": (40, 60), "c.png": (3, 3)})
    jpeg = tmp_path / "b.jpg"
    jpeg.write_bytes(jpeg.read_bytes()[:-500])
    paths = [str(tmp_path / name) for name in ("a.tif", "b.jpg", "c.png")]
    box = {"boxes": np.array([[0, 0, 2, 2]]), "labels": np.zeros(1), "ignore": np.zeros(1)}
    samples = [{"image": path, "image_id": 0, **box} for path in paths]
    cut_off, lines = CutOffImages(), []
    table = SampleTable(samples, ResizeConfig(3, 60), BadImages(3, lines.append) if has_account else None, cut_off)
    for _ in range(2):
        loaded = list(tf.data.Dataset.range(3).map(table.load).as_numpy_iterator())
    for sample, path in zip(loaded, paths, strict=True):
        given = load(GivenImage(path, path)).pixels
        wanted = resize_by_rule(given, sample["image"].shape[:2], ResizeConfig(3, 60))
        np.testing.assert_array_equal(sample["image"], wanted)
        assert len(sample["labels"]) == 1
    assert list(cut_off.found) == [str(jpeg)]
    assert lines == []
