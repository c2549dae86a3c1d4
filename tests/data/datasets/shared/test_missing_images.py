from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from keras_retinanet.data.datasets import AnnotatedImages, Annotations, BoxRow, CsvDataset, KittiDataset, YoloDataset
from keras_retinanet.data.error_collector import ErrorCollector
from keras_retinanet.data.errors import DataError
from keras_retinanet.data.image_headers import ImageHeader


@pytest.fixture
def listed(tmp_path: Path, write_images: Callable[..., None]) -> Annotations:
    """a, b, c, d (40 × 60) with one, two, one and one boxes."""
    names = ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]
    write_images(tmp_path, dict.fromkeys(names, (40, 60)))
    rows = [BoxRow(image, (1, 2, 3, 4 + image), "cat", f"box {image}") for image in (3, 1, 0, 1, 2)]
    paths = [str(tmp_path / name) for name in names]
    return Annotations("list", images=paths, image_ids=names, boxes=rows, sources=["list"])


def test_boxes_stay_with_their_images(listed: Annotations, tmp_path: Path) -> None:
    (tmp_path / "b.jpg").unlink()
    data = AnnotatedImages(listed)
    assert [sample["image_id"] for sample in data] == ["a.jpg", "c.jpg", "d.jpg"]
    assert [sample["boxes"].tolist() for sample in data] == [[[1, 2, 3, 4]], [[1, 2, 3, 6]], [[1, 2, 3, 7]]]
    assert data.report.notes[0] == "list: 1 images are not there and are left out with their 2 boxes (b.jpg)"
    assert str(tmp_path / "b.jpg") in data.contents.sources
    with pytest.raises(DataError, match=r"b\.jpg' \(number 2 of 4\) is not there\. allowed"):
        AnnotatedImages(listed, on_error="error")
    assert len(AnnotatedImages(listed, on_error=ErrorCollector())) == 4  # the doctor reports them itself


def test_most_images_missing_is_an_error_that_says_where_they_were_looked_for(
    listed: Annotations, tmp_path: Path
) -> None:
    listed.image_folders = [str(tmp_path), str(tmp_path / "gone")]
    for name in "abc":
        (tmp_path / f"{name}.jpg").unlink()
    with pytest.raises(DataError) as caught:
        AnnotatedImages(listed)
    assert "a.jpg' (number 1 of 4) is not there, nor are 2 others" in str(caught.value)
    assert f"allowed: images that exist, in {tmp_path}. fix: add the file" in str(caught.value)


def test_empty_and_unreadable_files_are_left_out(listed: Annotations, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"")
    (tmp_path / "d.jpg").write_bytes(b"no image")
    listed.headers, listed.sizes = None, [(40, 60), None, None, None]
    data = AnnotatedImages(listed)
    assert [sample["image_id"] for sample in data] == ["b.jpg", "c.jpg"]
    note = "list: 2 images cannot be read as images and are left out with their 2 boxes (a.jpg, d.jpg)"
    assert data.report.notes == [note]
    listed.sizes = [None, None, None, (40, 60)]  # its size is known: training reports it when it is decoded
    assert len(AnnotatedImages(listed)) == 3
    (tmp_path / "b.jpg").write_bytes(b"no image")
    (tmp_path / "c.jpg").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"a\.jpg: cannot be read as an image"):
        AnnotatedImages(listed)


def test_images_of_another_size_than_the_reader_relies_on_are_left_out(listed: Annotations, tmp_path: Path) -> None:
    listed.sizes = [(40, 60), (80, 120), None, (60, 40)]
    data = AnnotatedImages(listed)
    assert [sample["image_id"] for sample in data] == ["a.jpg", "c.jpg"]
    assert [sample["boxes"].tolist() for sample in data] == [[[1, 2, 3, 4]], [[1, 2, 3, 6]]]
    what = "images have another size than annotated (such as 60 × 40 pixels, 120 × 80 in the annotations)"
    assert data.report.notes == [f"list: 2 {what} and are left out with their 3 boxes (b.jpg, d.jpg)"]
    assert len(AnnotatedImages(listed, on_error=ErrorCollector())) == 4  # the doctor reports them itself
    where = rf"list, {tmp_path}/b\.jpg: is 60 × 40 pixels, 120 × 80 in the annotations; 2 of 4 images"
    with pytest.raises(DataError, match=where):
        AnnotatedImages(listed, on_error="error")
    listed.sizes[2] = (1, 1)
    with pytest.raises(DataError, match="3 of 4 images have another size"):
        AnnotatedImages(listed)


def test_other_sizes_are_noted_where_the_file_decides(listed: Annotations) -> None:
    listed.annotated_sizes = [(40, 60), (80, 120), (0, 0), None]
    sizes = "60 × 40 pixels, 120 × 80 in the annotations"
    what = f"images have another size than annotated, such as {sizes}: their boxes are used as they are"
    data = AnnotatedImages(listed)
    assert data.report.notes == [f"list: 1 {what} (b.jpg)"]
    assert len(data) == 4
    listed.boxes = [BoxRow(0, (0.1, 0.2, 0.3, 0.4), "cat", "box")]
    listed.is_relative = True  # shares of the sides fit a picture that was scaled
    assert AnnotatedImages(listed).report.notes == []


@pytest.mark.parametrize(("orientation", "count"), [(6, 4), (3, 3)])
def test_the_size_of_a_photo_is_that_of_either_picture(listed: Annotations, orientation: int, count: int) -> None:
    headers = [ImageHeader((40, 60), 1)] * 4
    headers[1] = ImageHeader((40, 60), orientation)
    listed.headers, listed.sizes = headers, [(40, 60), (60, 40), None, None]
    assert len(AnnotatedImages(listed)) == count


def test_a_folder_of_images_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "Photos").mkdir()
    with pytest.raises(DataError, match=r"photos: is not a folder.*there is '.*/Photos'.*correct --image-dir"):
        CsvDataset(tmp_path / "boxes.csv", image_dir=str(tmp_path / "photos"))


@pytest.mark.parametrize("reader", [YoloDataset, KittiDataset])
def test_divided_text_files_with_one_folder_of_images(
    reader: type[YoloDataset], tmp_path: Path, write_images: Callable[..., None]
) -> None:
    """Images without a text file may be of the other set: they are no background."""
    text = "0 0.5 0.5 0.2 0.4\n" if reader is YoloDataset else "Car 0 0 0 24 12 36 28 0 0 0 0 0 0 0\n"
    write_images(tmp_path / "photos", dict.fromkeys(["a.jpg", "b.jpg", "c.jpg"], (40, 60)))
    for name in ("train/a", "val/b"):
        file = tmp_path / "set" / "labels" / f"{name}.txt"
        file.parent.mkdir(parents=True)
        file.write_text(text)
    assert reader.default_sets(tmp_path / "set")[0] == "train"
    for split, name in (("train", "a.jpg"), ("val", "b.jpg")):
        data = reader(tmp_path / "set", split, image_dir=str(tmp_path / "photos"))
        assert [Path(sample["image"]).name for sample in data] == [name]
        np.testing.assert_allclose(data[0]["boxes"], [[24, 12, 36, 28]], rtol=1e-6)
        assert any("2 images have no text file of this set and are left out" in note for note in data.report.notes)
