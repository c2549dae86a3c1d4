import json

import pytest

from keras_retinanet.data.errors import DataError
from keras_retinanet.evaluation.report import coco_results
from keras_retinanet.evaluation.result_file import read_coco_results, read_result_files

LABELS = {1: 0, 18: 1}
RIGHT = {"image_id": 7, "category_id": 18, "bbox": [1, 2, 3.5, 4], "score": 0.5}


def write(path, *records):
    path.write_text("[\n" + ",\n".join(json.dumps(record) for record in records) + "\n]\n")
    return path


def test_what_the_report_writes_is_read(tmp_path):
    better = {**RIGHT, "category_id": 1, "score": 0.75}
    found = read_coco_results(write(tmp_path / "a.json", RIGHT, better), ["b", 7], LABELS)
    assert [(entry["image_id"], len(entry["scores"])) for entry in found] == [("b", 0), (7, 2)]
    assert found[1]["boxes"].tolist() == [[1, 2, 4.5, 6]] * 2
    assert (found[1]["scores"].tolist(), found[1]["labels"].tolist()) == ([0.75, 0.5], [0, 1])
    assert list(coco_results(found, [1, 18])) == [better, RIGHT]
    assert read_coco_results(write(tmp_path / "none.json"), [7], LABELS)[0]["boxes"].shape == (0, 4)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"image_id": 8}, "image 8 is not in the data set. allowed: ids such as 7, 'b'"),
        ({"image_id": "7"}, "image '7' is not in the data set"),
        ({"image_id": [7]}, r"image \[7\] is not in the data set"),
        ({"category_id": 2}, "class 2 is not in the data set. allowed: category ids 1, 18"),
        ({"category_id": "cat"}, "class 'cat' is not in the data set"),
        ({"bbox": [1, 2, 3]}, r"bbox is \[1, 2, 3\], score 0.5"),
        ({"bbox": [1, 2, 3, None]}, r"bbox is \[1, 2, 3, None\], score 0.5. allowed: four finite numbers"),
        ({"score": float("nan")}, r"bbox is \[1, 2, 3.5, 4\], score nan"),
        ({"bbox": [1, 2, -3, 4]}, r"bbox is \[1, 2, -3, 4\], with a negative width or height"),
    ],
)
def test_a_record_that_does_not_fit_is_named_with_its_line(tmp_path, change, said):
    path = write(tmp_path / "a.json", RIGHT, RIGHT, {**RIGHT, **change}, RIGHT)
    with pytest.raises(DataError, match=f"a.json, line 4, entry 3: {said}"):
        read_coco_results(path, [7, "b"], LABELS)


def test_lines_are_counted_in_any_layout(tmp_path):
    path = tmp_path / "a.json"
    wrong = {**RIGHT, "image_id": 9}
    path.write_text(json.dumps([RIGHT, wrong], indent=1))  # the second record begins in line 13
    with pytest.raises(DataError, match=r"a\.json, line 13, entry 2: image 9"):
        read_coco_results(path, [7], LABELS)
    path.write_text(json.dumps([RIGHT, wrong]))
    with pytest.raises(DataError, match=r"a\.json, line 1, entry 2: image 9"):
        read_coco_results(path, [7], LABELS)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[\n{},", "line 2: is not JSON"),
        ("[{}]", "line 1, entry 1: is {}"),
        ('{"annotations": []}', "is {'annotations'.*give the result file, not the annotations"),
    ],
)
def test_other_files_are_refused(tmp_path, text, said):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DataError, match=said):
        read_coco_results(tmp_path / "a.json", [7], LABELS)
    with pytest.raises(DataError, match=r"b.json: cannot be read \(No such file"):
        read_coco_results(tmp_path / "b.json", [7], LABELS)


def test_files_of_several_folds_are_joined(tmp_path):
    one = write(tmp_path / "one.json", RIGHT)
    two = write(tmp_path / "two.json", {**RIGHT, "image_id": "b", "score": 0.25})
    found = read_result_files([one, two], ["b", 7, "c"], LABELS)
    assert [(entry["image_id"], entry["scores"].tolist()) for entry in found] == [("b", [0.25]), (7, [0.5]), ("c", [])]
    again = write(tmp_path / "again.json", RIGHT)
    with pytest.raises(DataError, match=r"again.json: has detections of image 7, and so has .*one.json"):
        read_result_files([one, two, again], ["b", 7, "c"], LABELS)
