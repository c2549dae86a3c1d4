"""Which picture boxes refer to: decided by boxes, then by sizes, per image and by majority."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from keras_retinanet.config import DataConfig, ResizeConfig
from keras_retinanet.data.datasets import CocoDataset, TfRecordDataset, YoloDataset
from keras_retinanet.data.datasets.shared.frames import FrameRule, weigh_evidence
from keras_retinanet.data.image_headers import ImageHeader
from keras_retinanet.data.image_rule import exif_frame, learn_image_rule
from keras_retinanet.data.open_dataset import open_dataset
from keras_retinanet.data.sample_table import SampleTable

STORED, SHOWN = (60, 100), (100, 60)  # height and width of a photo of orientation 6


def save_photo(path, orientation=6):
    """Lies as stored, with one bright pixel at the top left of the picture as shown."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shown = np.zeros((*SHOWN, 3), np.uint8)
    shown[:8, :8] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = {6: Image.Transpose.ROTATE_90, 3: Image.Transpose.ROTATE_180, 1: None}[orientation]
    image = Image.fromarray(shown)
    (image if turned is None else image.transpose(turned)).save(path, quality=95, exif=exif)


def write_coco(folder, images):
    """`images`: (orientation, annotated (height, width), boxes x1, y1, x2, y2)."""
    content = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "cow"}]}
    for number, (orientation, (height, width), boxes) in enumerate(images, start=1):
        save_photo(folder / "train2017" / f"{number}.jpg", orientation)
        content["images"].append({"id": number, "file_name": f"{number}.jpg", "height": height, "width": width})
        for x1, y1, x2, y2 in boxes:
            box = {"image_id": number, "category_id": 1, "bbox": [x1, y1, x2 - x1, y2 - y1], "iscrowd": 0}
            content["annotations"].append({"id": len(content["annotations"]) + 1, **box})
    (folder / "annotations").mkdir()
    (folder / "annotations" / "instances_train2017.json").write_text(json.dumps(content))
    return folder


def decisions(dataset):
    return [(sample.get("orientation"), sample["size"]) for sample in dataset]


def test_annotated_sizes_decide(tmp_path):
    small = [(4, 4, 20, 20)]
    shown = CocoDataset(write_coco(tmp_path / "shown", [(6, SHOWN, small), (1, SHOWN, small)]))
    assert decisions(shown) == [(6, SHOWN), (None, SHOWN)]
    assert shown.report.notes == [
        "1 of 2 images have an EXIF orientation; boxes refer to them turned upright (sizes of 1 agree); "
        "--exif ignore if that is wrong"
    ]
    stored = CocoDataset(write_coco(tmp_path / "stored", [(6, STORED, small), (3, SHOWN, small)]))
    assert decisions(stored) == [(1, STORED), (1, SHOWN)]  # a half turn shows nothing and follows the majority
    assert "as stored (sizes of 1 agree); --exif apply" in stored.report.notes[0]


def test_boxes_outside_one_of_the_two_pictures_weigh_more_than_sizes(tmp_path):
    low = [(4, 70, 20, 90)]  # below the stored picture, inside of the shown one
    data = CocoDataset(write_coco(tmp_path, [(6, STORED, low), (6, STORED, [(4, 4, 9, 9)])]))
    assert decisions(data) == [(6, SHOWN), (6, SHOWN)]  # the sizes are from a program that saw the stored pixels
    assert np.concatenate([sample["boxes"] for sample in data]).tolist() == [[4, 70, 20, 90], [4, 4, 9, 9]]
    assert "boxes of 1 exceed the other picture" in data.report.notes[0]


def test_a_mixed_set_is_decided_image_by_image(tmp_path):
    images = [(6, SHOWN, [(4, 70, 20, 90)]), (6, SHOWN, []), (6, STORED, [(70, 4, 90, 20)])]
    data = CocoDataset(write_coco(tmp_path, images))
    assert decisions(data) == [(6, SHOWN), (6, SHOWN), (1, STORED)]
    assert "but to 1 images as stored: 3.jpg; --exif ignore if that is wrong" in data.report.notes[0]
    assert exif_frame(data) == "apply"


@pytest.mark.parametrize("exif", ["apply", "ignore"])
def test_the_flag_decides_for_all(tmp_path, exif):
    images = [(6, SHOWN, [(4, 70, 20, 90)]), (6, STORED, [(70, 4, 90, 20)])]
    data = CocoDataset(write_coco(tmp_path, images), frame=FrameRule(exif))
    assert decisions(data) == ([(6, SHOWN)] * 2 if exif == "apply" else [(1, STORED)] * 2)
    odd = {"apply": "2.jpg", "ignore": "1.jpg"}[exif]
    assert data.report.notes[0].endswith(f"(--exif {exif}), although sizes or boxes of 1 show the opposite: {odd}")


def write_yolo(folder):
    for name in "ab":
        save_photo(folder / "images" / "train" / f"{name}.jpg")
        (folder / "labels" / "train").mkdir(parents=True, exist_ok=True)
        (folder / "labels" / "train" / f"{name}.txt").write_text("0 0.5 0.25 0.5 0.1\n")
    (folder / "data.yaml").write_text("train: images/train\nval: images/train\nnames: [cow]\n")
    return folder


def test_without_evidence_photos_are_turned_as_tools_show_them(tmp_path):
    data = YoloDataset(write_yolo(tmp_path))
    assert decisions(data) == [(6, SHOWN)] * 2
    assert data[0]["boxes"].tolist() == [[15, 20, 45, 30]]  # shares of the picture as shown
    assert "as labelling tools show them; neither sizes nor boxes show otherwise, --exif ignore" in data.report.notes[0]
    config = DataConfig("yolo", str(tmp_path), use_index_cache=False)
    same = open_dataset(config, "val", exif_fallback="ignore")
    assert decisions(same) == [(1, STORED)] * 2
    assert same[0]["boxes"].tolist() == [[25, 12, 75, 18]]


def test_pixels_follow_the_decision_through_the_table(tmp_path):
    data = list(CocoDataset(write_coco(tmp_path, [(6, SHOWN, []), (6, STORED, []), (1, SHOWN, [])])))
    table = SampleTable(data, ResizeConfig(60, 100))
    corners = [np.asarray(table.load_image(row))[:4, :4].mean() > 200 for row in range(3)]
    assert corners == [True, False, True]
    assert [tuple(np.asarray(table.original_size(row))) for row in range(3)] == [SHOWN, STORED, SHOWN]
    assert SampleTable(data[2:], ResizeConfig(60, 100))._orientations is None  # no operation where nothing is turned


def test_records_hold_shares_of_the_picture_that_was_annotated(tmp_path):
    from keras_retinanet.data.conversion import write_dataset

    source = YoloDataset(write_yolo(tmp_path / "yolo"))
    plain = [{name: value for name, value in sample.items() if name != "orientation"} for sample in source]

    class AsStored:
        class_names, report, category_ids = source.class_names, source.report, None

        def __len__(self):
            return len(plain)

        def __iter__(self):
            return iter(plain)

    write_dataset({"train": AsStored()}, tmp_path / "out", "tfrecord")  # as other tools write them: with the tag
    data = TfRecordDataset(tmp_path / "out")
    assert decisions(data) == [(6, SHOWN)] * 2
    assert np.allclose(data[0]["boxes"], [[15, 20, 45, 30]])


def test_evidence_of_single_images():
    def votes(orientation, size, annotated, boxes):
        boxes = np.array(boxes, np.float64).reshape(-1, 4)
        owner = np.zeros(len(boxes), np.int64)
        return weigh_evidence([ImageHeader(size, orientation)], [annotated], boxes, owner).votes.tolist()

    assert votes(6, STORED, None, [[0, 0, 40, 100]]) == [1]
    assert votes(6, STORED, None, [[0, 0, 100, 40]]) == [-1]
    assert votes(6, STORED, None, [[0, 0, 61.2, 61.2]]) == [0]  # sloppy by two per cent
    assert votes(6, STORED, None, [[0, 0, 300, 300]]) == [0]  # outside of both
    assert votes(6, (50, 50), (50, 50), [[0, 0, 50, 50]]) == [0]
    assert votes(3, STORED, STORED, [[0, 0, 100, 60]]) == [0]


def test_the_rule_of_a_snapshot_is_that_of_most_images():
    def rule(orientations, exif="auto"):
        samples = [{"orientation": value} for value in orientations] + [{}]
        return learn_image_rule(samples, DataConfig(exif=exif), ResizeConfig()).exif

    assert rule([]) == rule([6, 1]) == rule([6]) == "apply"
    assert rule([1, 1, 8]) == rule([], "ignore") == "ignore"
    depths = [{"bit_depth": 12}, {"bit_depth": 10}]
    assert learn_image_rule(depths, DataConfig(), ResizeConfig()).bit_depth == 12
    assert learn_image_rule(depths, DataConfig(bit_depth=14), ResizeConfig()).bit_depth == 14
    assert learn_image_rule([{}], DataConfig(), ResizeConfig(bit_depth=11)).bit_depth == 11
