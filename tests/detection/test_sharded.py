"""Detections of shards: as those of one run, in the same files."""

from __future__ import annotations

import errno
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from keras_retinanet.data.errors import DataError
from keras_retinanet.detection.detector import Detector
from keras_retinanet.detection.result_files import CocoResults
from keras_retinanet.detection.sharded import (
    detect_shard,
    detections_of_images,
    join_shards,
    number_images,
    read_detections,
)
from keras_retinanet.schema import DetectedImage
from keras_retinanet.shards.image_shards import Inputs, Shard, cut_into_shards
from keras_retinanet.shards.job_folder import prepare_folder
from keras_retinanet.snapshots.atomic_files import WriteError

NAMES = ("ant", "bee", "wasp")


@pytest.fixture
def images(tmp_path: Path, paint: Any) -> list[tuple[str, str]]:
    """Path and name of five files: two boxes, a broken file, none, one in an image of another shape, one."""
    painted = {
        "10.png": paint(40, 60, [[2, 3, 20, 30], [30, 5, 50, 25]], [0, 2], [90, 80]),
        "12.png": paint(40, 60, [], [], []),
        "13.png": paint(60, 40, [[1, 2, 30, 40]], [1], [70]),
        "14.png": paint(40, 60, [[5, 5, 25, 35]], [1], [60]),
    }
    for name, pixels in painted.items():
        Image.fromarray(pixels).save(tmp_path / name)
    (tmp_path / "11.png").write_bytes(b"no image")
    return [(str(tmp_path / f"{k}.png"), f"{k}.png") for k in range(10, 15)]


def detect(detector: Detector, shards: list[Shard], folder: Path) -> list[str]:
    folder.mkdir()
    for shard in shards:
        np.savez(folder / shard.file_name, **detect_shard(detector, shard))
    return [shard.file_name for shard in shards]


@pytest.mark.parametrize("size", [1, 2, 10])
def test_shards_of_any_size_give_what_one_run_gives(
    images: list[tuple[str, str]], tmp_path: Path, painted_runtime: Any, size: int
) -> None:
    detector = Detector(painted_runtime(), batch_size=2)
    shards = cut_into_shards(Inputs(images), tmp_path, size)
    out = tmp_path / "out"
    names = detect(detector, shards, out)
    find_id = number_images([out / name for name in names])
    counted: list[DetectedImage] = []
    whole, parts = (
        CocoResults(tmp_path / "whole.json", NAMES, find_id),
        CocoResults(tmp_path / "parts.json", NAMES, find_id),
    )
    for name, found in zip(images, detector.detect([path for path, _ in images], on_error="skip"), strict=True):
        if found.error is None:
            whole.add(name[1], found)
    join_shards(out, names, NAMES, [parts], counted.append)
    whole.close()
    parts.close()
    assert (tmp_path / "parts.json").read_bytes() == (tmp_path / "whole.json").read_bytes()
    listed = (tmp_path / "parts_images.json").read_bytes()
    assert listed == (tmp_path / "whole_images.json").read_bytes()
    assert [image["id"] for image in json.loads(listed)["images"]] == [10, 12, 13, 14]
    assert json.loads((tmp_path / "parts.json").read_text())[1] == {
        "image_id": 10, "category_id": 3, "bbox": [30, 5, 20, 20], "score": 0.8,
    }  # fmt: skip
    broken = images[1][0]
    assert (out / "errors.csv").read_text().splitlines()[0] == "image,reason"
    (line,) = (out / "errors.csv").read_text().splitlines()[1:]
    assert line.startswith(f'{broken},"cannot be decoded as an image. allowed: ')
    assert [len(found.names) for found in counted] == [2, 0, 0, 1, 1]


def test_batches_hold_images_of_one_shape(images: list[tuple[str, str]], tmp_path: Path, painted_runtime: Any) -> None:
    runtime = painted_runtime()
    detector = Detector(runtime, batch_size=2)
    (shard,) = cut_into_shards(Inputs(images), tmp_path, 5)
    detect_shard(detector, shard)
    assert sorted(runtime.batches) == [[(40, 60)], [(40, 60), (40, 60)], [(60, 40)]]


def test_a_tar_that_is_cut_off_gives_its_first_images_and_an_error(
    images: list[tuple[str, str]], tmp_path: Path, painted_runtime: Any
) -> None:
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as archive:
        for file, name in images:
            member = tarfile.TarInfo(name)
            member.size = len(content := Path(file).read_bytes())
            archive.addfile(member, io.BytesIO(content))
            end = archive.offset
    path.write_bytes(path.read_bytes()[: end - 700])
    (shard,) = cut_into_shards(Inputs([], [(str(path), "x")]), tmp_path, 5)
    out = tmp_path / "out"
    (name,) = detect(Detector(painted_runtime()), [shard], out)
    found = read_detections(out / name, NAMES)
    assert [(name, len(image.scores), image.error is None) for name, image in found] == [
        ("x/10.png", 2, True), ("x/11.png", 0, False), ("x/12.png", 0, True), ("x/13.png", 1, True),
        ("", 0, False),
    ]  # fmt: skip
    first = found[0][1]
    assert first.boxes.tolist() == [[2, 3, 20, 30], [30, 5, 50, 25]]
    assert (first.names, first.size, first.is_cut_off) == (("ant", "wasp"), (40, 60), False)
    assert first.image == f"{path}#bytes=512+{len(Path(images[0][0]).read_bytes())}"
    assert [number_images([out / name])(f"{k}.png") for k in (10, 13)] == [10, 13]
    assert "after its first 4 members" in str(found[-1][1].error)


def test_a_shard_without_images_and_a_damaged_file(tmp_path: Path, painted_runtime: Any) -> None:
    with tarfile.open(tmp_path / "empty.tar", "w"):
        pass
    (shard,) = cut_into_shards(Inputs([], [(str(tmp_path / "empty.tar"), "empty")]), tmp_path, 5)
    (name,) = detect(Detector(painted_runtime()), [shard], tmp_path / "out")
    path = tmp_path / "out" / name
    assert read_detections(path, NAMES) == []
    assert number_images([path])("3.jpg") == 3
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ValueError, match=r"is damaged .*remove it and run again"):
        read_detections(path, NAMES)


def test_detections_of_a_data_set_by_path_with_the_labels_of_the_data_set(
    images: list[tuple[str, str]], tmp_path: Path, painted_runtime: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards = cut_into_shards(Inputs(images), tmp_path, 3)
    out = tmp_path / "out"
    detect(Detector(painted_runtime()), shards, out)
    prepare_folder(out, {"classes of the model": NAMES, "score_threshold": 0.05}, shards)
    monkeypatch.chdir(tmp_path)
    samples: Any = [{"image": f"{k}.png", "image_id": f"id {k}"} for k in (13, 10, 11)]
    found, notes = detections_of_images(out, samples, ("wasp", "bee"))
    assert [entry["image_id"] for entry in found] == ["id 13", "id 10", "id 11"]
    assert found[0]["labels"].tolist() == [1]
    assert found[1]["boxes"].tolist() == [[30, 5, 50, 25]], "the data set has no ants"
    assert found[1]["labels"].tolist() == [0]
    assert notes == ["1 images could not be read, and their boxes count as missed"]
    with pytest.raises(DataError, match=r"has no 1 images, such as .*gone\.png"):
        detections_of_images(out, [{"image": "gone.png", "image_id": 1}, *samples], NAMES)
    (tmp_path / "doctor").mkdir()
    prepare_folder(tmp_path / "doctor", {"shard_size": 1000}, [])
    with pytest.raises(ValueError, match="has shards of another command"):
        detections_of_images(tmp_path / "doctor", samples, NAMES)
    (out / shards[1].file_name).unlink()
    with pytest.raises(ValueError, match=f"has no {shards[1].file_name}: run retinanet-detect again"):
        detections_of_images(out, samples, NAMES)


@pytest.mark.parametrize(
    ("names", "ids"),
    [(["a/7.jpg", "8.png"], [7, 8]), (["7.jpg", "b/07.jpg"], [None, None]), (["7.jpg", "x.jpg"], [None, None])],
)
def test_ids_are_the_numbers_of_the_names_where_all_have_one(
    tmp_path: Path, names: list[str], ids: list[int | None]
) -> None:
    paths = []
    for k, name in enumerate(names):
        paths.append(tmp_path / f"{k}.npz")
        np.savez(paths[-1], images=np.frombuffer(json.dumps([[name, name, None, None, False]]).encode(), np.uint8))
    find_id = number_images(paths)
    assert [find_id(name) for name in names] == ids


def test_a_disk_that_is_full_is_reported_with_the_file_that_did_not_fit(
    images: list[tuple[str, str]], tmp_path: Path, painted_runtime: Any
) -> None:
    """Not with `errors.csv`, which is written at the same time."""
    out = tmp_path / "out"
    names = detect(Detector(painted_runtime()), cut_into_shards(Inputs(images), tmp_path, 5), out)
    writer = CocoResults(tmp_path / "found.json", NAMES)

    class FullDisk(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    writer._lines._file.close()
    vars(writer._lines)["_file"] = FullDisk()
    with pytest.raises(WriteError, match=r"found\.json cannot be written: No space left"):
        join_shards(out, names, NAMES, [writer], lambda _: None)
    writer.discard()
    assert not list(tmp_path.glob(".found*"))
    assert not (out / "errors.csv").exists()
