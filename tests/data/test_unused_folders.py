from __future__ import annotations

import dataclasses

from keras_retinanet.config import DataConfig
from keras_retinanet.data.open_dataset import open_dataset
from keras_retinanet.data.unused_folders import describe_unused_folders

ROW = "0 0.5 0.5 0.5 0.5\n"


def make_splits(folder, write_images, *names):
    for name in names:
        write_images(folder / name / "images", {f"{name}.jpg": (40, 60)})
        (folder / name / "labels").mkdir()
        (folder / name / "labels" / f"{name}.txt").write_text(ROW)
    return DataConfig(dataset="yolo", path=str(folder), use_index_cache=False)


def test_a_test_split_and_another_data_set_are_named(tmp_path, write_images):
    data = make_splits(tmp_path, write_images, "train", "valid", "test")
    write_images(tmp_path / "old" / "JPEGImages", {"a.jpg": (4, 6), "b.jpg": (4, 6)})
    write_images(tmp_path / "SegmentationClass", {"a.png": (4, 6)})
    write_images(tmp_path, {"loose.jpg": (4, 6)})
    samples = [sample for split in ("train", "val") for sample in open_dataset(data, split)]
    assert [sample["image_id"] for sample in samples] == ["train.jpg", "valid.jpg"]
    note = f"{tmp_path}: images in these folders are not used: . (1), old/JPEGImages (2), test/images (1)"
    assert describe_unused_folders(data, samples) == [note]
    assert describe_unused_folders(dataclasses.replace(data, train_set="train"), samples) == []


def test_nothing_is_said_if_all_folders_are_used(tmp_path, write_images):
    data = make_splits(tmp_path / "real", write_images, "train", "valid")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    samples = [sample for split in ("train", "val") for sample in open_dataset(data, split)]
    assert describe_unused_folders(dataclasses.replace(data, path=str(tmp_path / "link")), samples) == []


def test_many_folders_are_counted(tmp_path, write_images):
    data = make_splits(tmp_path, write_images, "train")
    for number in range(7):
        write_images(tmp_path / f"more{number}", {"a.jpg": (4, 6)})
    [note] = describe_unused_folders(data, list(open_dataset(data, "train")))
    assert note.endswith("more3 (1), more4 (1) and 2 more")
