from __future__ import annotations

import os
import time

import numpy as np
import pytest

from keras_retinanet.data.datasets import CocoDataset, YoloDataset
from keras_retinanet.data.index_cache import cache_folder, read_cached


@pytest.fixture
def coco_folder(tmp_path, write_coco):
    """A data set that was written an hour ago: what has just changed is not remembered."""
    age(write_coco(tmp_path / "data"))
    return tmp_path / "data"


def age(folder, seconds=3600):
    then = time.time() - seconds
    for path in (folder, *folder.rglob("*")):
        os.utime(path, (then, then))


class Reading:
    """Reads through the cache and counts how often the reader was asked."""

    def __init__(self, read, cache, key="k"):
        self.read, self.cache, self.key, self.times = read, cache, key, 0

    def __call__(self, min_seconds=0.0):
        def counted():
            self.times += 1
            return self.read()

        return read_cached(counted, (self.key,), folder=self.cache, min_seconds=min_seconds)


def test_the_second_time_gives_the_same_without_reading(coco_folder, tmp_path):
    reading = Reading(lambda: CocoDataset(coco_folder), tmp_path / "cache")
    first, second = reading(), reading()
    assert reading.times == 1
    assert second.class_names == first.class_names
    assert second.category_ids == (3, 9, 12)
    assert second.report == first.report
    for one, other in zip(first, second, strict=True):
        assert (one["image"], one["image_id"], one["size"]) == (other["image"], other["image_id"], other["size"])
        for key in ("boxes", "labels", "ignore", "areas"):
            assert one[key].dtype == other[key].dtype
            np.testing.assert_array_equal(one[key], other[key])


def test_a_change_is_seen(coco_folder, tmp_path, coco, write_coco):
    reading = Reading(lambda: CocoDataset(coco_folder), tmp_path / "cache")
    reading()
    file = coco_folder / "annotations" / "instances_train2017.json"
    os.utime(file, (time.time() - 60, time.time() - 60))  # of the same size, at another time
    reading()
    assert reading.times == 2
    reading()
    assert reading.times == 2
    file.write_text(file.read_text() + " ")
    reading()
    reading()
    assert reading.times == 4  # changed a moment ago: might change again within the clock's tick
    age(coco_folder, 900)
    reading()
    state = file.stat()
    file.write_text(file.read_text().replace("owl", "elk"))
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))  # size and time as before
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (state.st_size, state.st_mtime_ns)
    assert reading().class_names[2] == "elk"
    age(coco_folder)
    reading()
    image = coco_folder / "train2017" / "b.jpg"
    content = image.read_bytes()
    image.unlink()
    assert "1 images are not there" in reading().report.notes[-1]
    image.write_bytes(content)  # an image that is there again is seen, too
    assert len(reading()) == 3


def test_images_whose_size_was_read_and_new_files_count(tmp_path, write_images):
    home = tmp_path / "data"
    write_images(home / "images", {"a.png": (4, 6)})
    (home / "labels").mkdir()
    (home / "labels" / "a.txt").write_text("0 0.5 0.5 1 1\n")
    (home / "data.yaml").write_text("train: images\nnames: [x]\n")
    age(home)
    reading = Reading(lambda: YoloDataset(home), tmp_path / "cache")
    assert reading()[0]["size"] == reading()[0]["size"] == (4, 6)
    assert reading.times == 1
    write_images(home / "images", {"a.png": (8, 6)})
    age(home, 1800)
    assert reading()[0]["size"] == (8, 6)
    write_images(home / "images", {"b.png": (2, 3)})
    age(home, 900)
    assert len(reading()) == 2


def test_a_damaged_file_is_read_anew(coco_folder, tmp_path):
    reading = Reading(lambda: CocoDataset(coco_folder), tmp_path / "cache")
    reading()
    (file,) = (tmp_path / "cache").iterdir()
    for content in (b"", b"text", file.read_bytes()[:-30]):
        file.write_bytes(content)
        assert len(reading()) == 3
    assert reading.times == 4


def test_what_is_read_in_no_time_is_not_kept(coco_folder, tmp_path):
    reading = Reading(lambda: CocoDataset(coco_folder), tmp_path / "cache")
    reading(min_seconds=60)
    assert not (tmp_path / "cache").exists()


def test_other_options_are_other_data(coco_folder, tmp_path):
    Reading(lambda: CocoDataset(coco_folder), tmp_path / "cache", key="a")()
    other = Reading(lambda: CocoDataset(coco_folder), tmp_path / "cache", key="b")
    other()
    assert other.times == 1


def test_a_folder_that_cannot_be_written_is_no_error(coco_folder, tmp_path):
    (tmp_path / "cache").write_text("a file")
    assert len(Reading(lambda: CocoDataset(coco_folder), tmp_path / "cache")()) == 3


def test_where_it_stands(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "keras_retinanet"
