import argparse
import contextlib
import dataclasses
import fcntl
import io
import json
import os
import re
import shutil
import subprocess
import sys
import types
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from keras_retinanet import build, load_model
from keras_retinanet.cli import evaluate, evaluation_report, report_file
from keras_retinanet.cli.dataset_arguments import parse_arguments
from keras_retinanet.cli.exported_run import open_exported
from keras_retinanet.config import AnchorConfig, FilterConfig, ModelConfig, ResizeConfig
from keras_retinanet.data.tiling import cut_tiles
from keras_retinanet.demo import scenes
from keras_retinanet.evaluation import coco
from keras_retinanet.model.detection_model import DetectionModel
from keras_retinanet.runtimes import Runtime
from keras_retinanet.runtimes.keras_file import KerasRuntime
from keras_retinanet.snapshots.run_folder import find_snapshot

NAMES = tuple(reversed(scenes.CLASS_NAMES))
"""Another order than the data's, so that only matching by name is right."""


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    scenes.write_dataset(folder, num_train=1, num_val=7)
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Folder of a run whose model finds random boxes."""
    folder = tmp_path_factory.mktemp("run")
    keras.utils.set_random_seed(7)
    settings = ModelConfig("resnet10_050", "none", max_level=5, fpn_width=16, head_width=16, head_depth=1)
    model = build(
        settings,
        class_names=NAMES,
        anchors=AnchorConfig(sizes=(16.0, 32.0, 64.0), strides=(8, 16, 32)),
        resize=ResizeConfig(max_side=160, is_square=True),  # one canvas: one trace a test
    )
    model.save(folder / "last.keras")
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Folder of interrupted evaluations."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "keras_retinanet" / "evaluations"


def test_the_numbers_are_those_of_pycocotools_on_the_saved_detections(demo, run, tmp_path, capsys):
    argv = ["--score-threshold", "0.001", "demo", str(demo), "--json", str(tmp_path / "new" / "numbers.json"), str(run)]
    argv += ["--save-detections", str(tmp_path / "found.json"), "--batch-size", "2", "--max-detections", "100"]
    assert evaluate.main(argv) == 0
    text = capsys.readouterr().out
    assert f"{run / 'last.keras'}: 6 classes, 160 px square, score above 0.001, NMS 0.5" in text
    assert "val2017: 7 images" in text
    lines = text.splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith("AP "))
    assert [line.split()[0] for line in lines[start : start + 12]] == list(coco.STATS)
    assert [line.split()[0] for line in lines[start + 14 : -2]] == list(NAMES)
    assert lines[-1] == f"report    {run / 'report.html'}"
    assert all(name in (run / "report.html").read_text(encoding="utf-8") for name in ("images/s", "0.001", *NAMES))
    assert lines[start].endswith("COCO leaderboard")

    numbers = json.loads((tmp_path / "new" / "numbers.json").read_text())
    stats = run_pycocotools(demo / "annotations" / "instances_val2017.json", tmp_path / "found.json")
    assert stats["AR100"] > 0
    np.testing.assert_allclose(list(numbers["stats"].values()), list(stats.values()), rtol=0, atol=1e-9)
    assert list(numbers["classes"]) == list(NAMES)
    assert numbers["filter"]["score_threshold"] == 0.001
    assert numbers["resize"]["max_side"] == 160

    results = ["demo", str(demo), str(tmp_path / "found.json"), "--json", str(tmp_path / "again.json")]
    assert evaluate.main(results) == 0
    again = json.loads((tmp_path / "again.json").read_text())
    np.testing.assert_allclose(list(again["stats"].values()), list(stats.values()), rtol=0, atol=1e-9)
    assert again["results"] == str(tmp_path / "found.json")
    assert evaluate.main([*results, "--iou-thresholds", "0.7,0.3", "--metric", "voc", "--score-threshold=0.9"]) == 0
    assert "mAP@0.30" in capsys.readouterr().out
    assert evaluate.main([*results, "--nms-threshold", "0.3"]) == 2
    assert "--nms-threshold needs a snapshot" in capsys.readouterr().err


def test_label_errors_of_two_folds(demo, tmp_path, capsys):
    """Perfect detections except for one box, in one result file per fold."""
    truth = json.loads((demo / "annotations" / "instances_val2017.json").read_text())
    boxes = [{**box, "score": 0.9} for box in truth["annotations"]]
    boxes[0]["category_id"] = truth["categories"][-1]["id"]
    half = truth["images"][3]["id"]
    for number, part in ((1, [box for box in boxes if box["image_id"] < half]), (2, boxes)):
        own = [box for box in part if number == 1 or box["image_id"] >= half]
        (tmp_path / f"{number}.json").write_text(json.dumps(own))
    argv = ["demo", str(demo), str(tmp_path / "1.json"), "--more-results", str(tmp_path / "2.json")]
    argv += ["--label-errors", str(tmp_path / "errors.csv"), "--label-errors", str(tmp_path / "errors.coco.json")]
    assert evaluate.main(argv) == 0
    assert f"1 suggestions, most likely first: {tmp_path / 'errors.csv'}, " in capsys.readouterr().out
    lines = (tmp_path / "errors.csv").read_text().splitlines()
    assert len(lines) == 2
    assert ",wrong_class," in lines[1]
    written = json.loads((tmp_path / "errors.coco.json").read_text())
    boxes = [[box["bbox"] for box in content["annotations"]] for content in (written, truth)]
    np.testing.assert_allclose(*boxes, atol=2e-3)
    suspects = [box["attributes"]["suspect"] for box in written["annotations"] if "attributes" in box]
    assert suspects == ["wrong_class"]
    assert evaluate.main([*argv, "--label-errors", "errors.txt"]) == 2
    assert "must end with one of .csv, .coco.json" in capsys.readouterr().err


def test_set_names_the_images_that_are_divided_into_folds(demo, tmp_path, capsys):
    nothing = tmp_path / "nothing.json"
    nothing.write_text("[]")
    counts = []
    for fold in ("1/2", "2/2"):
        assert evaluate.main(["demo", str(demo), str(nothing), "--set", "val2017", "--val-fold", fold]) == 0
        counts.append(int(re.search(r"images    val: (\d+) images", capsys.readouterr().out)[1]))
    assert sorted(counts) == [3, 4]
    assert evaluate.main(["demo", str(demo), str(nothing), "--set", "train2017"]) == 0
    assert "train2017: 1 images" in capsys.readouterr().out


def run_pycocotools(annotations, results):
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(annotations))
        evaluator = COCOeval(truth, truth.loadRes(str(results)), "bbox")
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return dict(zip(coco.STATS, evaluator.stats, strict=True))


def test_what_the_flags_change(demo, run, capsys):
    argv = ["coco", str(demo), str(run / "last.keras"), "--set=val2017", "--limit=2", "--metric", "voc"]
    argv += ["--image-min-side=48", "--image-max-side=64", "--nms-threshold=0.25", "--score-threshold=1", "--workers=1"]
    assert evaluate.main(argv) == 0
    text = capsys.readouterr().out
    assert "64 px square, score above 1, NMS 0.25, at most 300 detections" in text
    assert "val2017: 2 images" in text
    assert "detected  0 boxes" in text
    assert "mAP           0.000" in text


def test_open_images_with_a_hierarchy(tmp_path, capsys):
    """A result file of one pear, found; and nothing found of the class above it."""
    Image.new("RGB", (100, 100)).save(tmp_path / "a.png")
    (tmp_path / "boxes.csv").write_text("a.png,10,10,50,50,pear\na.png,60,60,90,90,food\n")
    (tmp_path / "tree.json").write_text(json.dumps({"LabelName": "food", "Subcategory": [{"LabelName": "pear"}]}))
    found = [{"image_id": "a.png", "category_id": 2, "bbox": [10, 10, 40, 40], "score": 0.9}]
    (tmp_path / "found.json").write_text(json.dumps(found))
    argv = ["csv", str(tmp_path / "boxes.csv"), str(tmp_path / "found.json"), "--metric=open_images", "--report=none"]
    assert evaluate.main([*argv, "--hierarchy", str(tmp_path / "tree.json")]) == 0
    assert [line.split()[:3] for line in capsys.readouterr().out.splitlines()[-2:]] == [
        ["food", "2", "0.000"], ["pear", "1", "1.000"],
    ]  # fmt: skip
    (tmp_path / "found.json").write_text(json.dumps([{**found[0], "image_id": "b.png"}]))
    assert evaluate.main(argv) == 2
    said = f"{tmp_path}/found.json, line 1, entry 1: image 'b.png' is not in the data set"
    assert_one_line(capsys.readouterr().err, said)


def test_thresholds_in_the_snapshot(demo, run, tmp_path, capsys):
    snapshot, found = tmp_path / "best.keras", tmp_path / "found.json"
    shutil.copy(run / "last.keras", snapshot)
    argv = ["demo", str(demo), str(snapshot), "--score-threshold", "0.001", "--limit=3", "--report=none"]
    decision = ["--choose-thresholds", "recall=0.5", "--store-thresholds"]
    assert evaluate.main([*argv, *decision, "--save-detections", str(found)]) == 0
    assert "thresholds for recall=0.5 at IoU 0.5, chosen on 3 images" in capsys.readouterr().out
    stored, former = load_model(snapshot).filter_config, load_model(run / "last.keras").filter_config
    assert len(stored.class_thresholds) == len(NAMES)
    assert max(stored.class_thresholds) > 0.001
    assert dataclasses.replace(stored, class_thresholds=()) == former
    assert evaluate.main([*argv[:3], str(found), *argv[3:], "--iou-thresholds", "0.3"]) == 0
    assert re.search(r"\nAP +\+0\.0 ± 0\.0", capsys.readouterr().out)  # the command line replaces all thresholds


def test_open_images_reads_the_files_of_its_folder(tmp_path, capsys):
    """Nobody looked for pears in image b, where one is detected; a pear is food, of which nothing is detected."""
    (tmp_path / "validation").mkdir()
    for name in "ab":
        Image.new("RGB", (100, 100)).save(tmp_path / "validation" / f"{name}.jpg")
    head = (
        "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside"
    )
    boxes = f"{head}\na,xclick,/m/p,1,0.1,0.5,0.1,0.5,0,0,0,0,0\nb,xclick,/m/f,1,0.6,0.9,0.6,0.9,0,0,0,0,0\n"
    (tmp_path / "validation-annotations-bbox.csv").write_text(boxes)
    (tmp_path / "class-descriptions-boxable.csv").write_text("/m/f,food\n/m/p,pear\n")
    tree = {"LabelName": "/m/f", "Subcategory": [{"LabelName": "/m/p"}]}
    (tmp_path / "bbox_labels_600_hierarchy.json").write_text(json.dumps(tree))
    record = {"image_id": "b", "category_id": 2, "bbox": [10, 10, 40, 40], "score": 0.9}
    found = [record, {**record, "image_id": "a", "score": 0.5}]
    (tmp_path / "found.json").write_text(json.dumps(found))
    argv = ["oid", str(tmp_path), str(tmp_path / "found.json"), "--metric", "open_images"]

    def numbers():
        assert evaluate.main(argv) == 0
        text = capsys.readouterr().out
        return [line.split()[:3] for line in text.splitlines() if line.startswith(("food", "pear"))], text

    rows, text = numbers()
    assert rows == [["food", "2", "0.000"], ["pear", "1", "0.500"]]
    assert "note: no image-level labels" in text
    labels = "ImageID,Source,LabelName,Confidence\nb,verification,/m/f,1\n"
    (tmp_path / "validation-annotations-human-imagelabels-boxable.csv").write_text(labels)
    rows, text = numbers()
    assert rows == [["food", "2", "0.000"], ["pear", "1", "1.000"]]
    assert "note: no image-level labels" not in text


class FullTiles(Runtime):
    """Finds one object that fills its tile, whatever the image."""

    def with_filter(self, filter):
        assert filter.score_threshold == 0.4  # half of what is asked: it shows what is a fragment
        return self

    def detect(self, images, fits=None, *, batch_size=None):
        arrays = {"scores": np.array([0.9, 0.7], np.float32), "labels": np.zeros(2, np.int32)}
        sizes = [image.shape[:2] for image in images]
        return [{"boxes": np.array([[0, 0, w, h], [2, 2, 9, 9]], np.float32), **arrays} for h, w in sizes]

    def raw_outputs(self, images):
        raise NotImplementedError


def test_large_images_in_tiles(demo, run, tmp_path, monkeypatch, capsys):
    """The fragments of each image are joined to one box around it; boxes that score 0.7 are not counted."""
    opened = "keras_retinanet.runtimes.open_model.open_model"
    monkeypatch.setattr(opened, lambda network: FullTiles(KerasRuntime(DetectionModel(network)).description))
    argv = ["demo", str(demo), str(run), "--limit=2", "--tile=100", "--overlap=0.3", "--score-threshold=0.8"]
    argv += ["--json", str(tmp_path / "numbers.json"), "--save-detections", str(tmp_path / "found.json")]
    assert evaluate.main([*argv, "--metric=voc", "--no-whole-pass"]) == 0
    text = capsys.readouterr().out
    assert text.index("boxes of tiles before merging:") < text.index("boxes of tiles after merging:")
    numbers = json.loads((tmp_path / "numbers.json").read_text())
    annotations = json.loads((demo / "annotations" / "instances_val2017.json").read_text())
    sizes = [(image["height"], image["width"]) for image in annotations["images"][:2]]
    tiles = sum(len(cut_tiles(*size, 100, 0.3)) for size in sizes)
    assert (numbers["before_merging"]["detections"], numbers["detections"]) == (tiles, 2)
    assert set(numbers["before_merging"]["comparable_with"].values()) == {"own extension"}
    assert set(numbers["comparable_with"].values()) == {"Pascal VOC 2010-2012"}
    found = json.loads((tmp_path / "found.json").read_text())
    assert [record["bbox"] for record in found] == [[0, 0, width, height] for height, width in sizes]


def test_several_views_of_an_image(demo, run, tmp_path, monkeypatch, capsys):
    """Both sides of each image show one box around it, which is found once; another size needs `--tta`'s own scales."""
    opened = "keras_retinanet.runtimes.open_model.open_model"
    monkeypatch.setattr(opened, lambda network: FullTiles(KerasRuntime(DetectionModel(network)).description))
    argv = ["demo", str(demo), str(run), "--limit=2", "--tta=1", "--score-threshold=0.8", "--metric=voc"]
    assert evaluate.main([*argv, "--save-detections", str(tmp_path / "found.json")]) == 0
    annotations = json.loads((demo / "annotations" / "instances_val2017.json").read_text())
    sizes = [(image["height"], image["width"]) for image in annotations["images"][:2]]
    found = json.loads((tmp_path / "found.json").read_text())
    assert [record["bbox"] for record in found] == [[0, 0, width, height] for height, width in sizes]
    for wrong in ("--tta=0", "--tta=1,x", "--tta=1", "--image-min-side=9"):
        with pytest.raises(SystemExit):
            evaluate.main(["demo", str(demo), str(run), "--image-max-side=99", "--tta=1", wrong])
    assert "not a list of scales from 0.1 to 10" in capsys.readouterr().err


class HalfSeen(FullTiles):
    """Finds an object of each of two classes, with a lower score in every second view."""

    calls = 0

    def with_filter(self, filter):
        return None  # thresholds are part of the graph

    def detect(self, images, fits=None, *, batch_size=None):
        scores = np.array([(0.5, 0.5), (0.1, 0.3)][self.calls % 2], np.float32)
        self.calls += 1
        boxes = np.array([[0, 0, 20, 20], [100, 0, 120, 20]], np.float32)
        mirrored = np.array([[w - 20, 0, w, 20] for w in (images[0].shape[1], images[0].shape[1] - 100)], np.float32)
        own = mirrored if self.calls % 2 == 0 else boxes
        return [{"boxes": own, "scores": scores, "labels": np.array([0, 1])} for _ in images]


BY_CLASS = [((0.29, 0.39), [0, 1]), ((0.31, 0.39), [1]), ((0.29, 0.41), [0])]
"""Thresholds of two classes, and those of which `HalfSeen` finds an object: fused, the scores are 0.3 and 0.4."""


@pytest.mark.parametrize(("thresholds", "expected"), BY_CLASS)
def test_thresholds_of_classes_apply_to_fused_scores(demo, run, tmp_path, monkeypatch, thresholds, expected):
    runtime = HalfSeen(KerasRuntime(DetectionModel(load_model(find_snapshot(run)))).description)
    monkeypatch.setattr("keras_retinanet.runtimes.open_model.open_model", lambda network: runtime)
    found = tmp_path / "found.json"
    argv = ["demo", str(demo), str(run), "--limit=1", "--tta=1", "--metric=voc", "--save-detections", str(found)]
    argv += [f"--class-threshold={name}={least}" for name, least in zip(NAMES, thresholds, strict=False)]
    assert evaluate.main(argv) == 0
    records = json.loads(found.read_text())
    scores = {record["category_id"]: record["score"] for record in records}
    assert scores == pytest.approx({len(NAMES) - number: (0.3, 0.4)[number] for number in expected})


@pytest.mark.parametrize(("thresholds", "expected"), BY_CLASS)
def test_thresholds_of_classes_apply_to_fused_scores_of_an_export(run, monkeypatch, thresholds, expected):
    opened = HalfSeen(KerasRuntime(DetectionModel(load_model(find_snapshot(run)))).description)
    monkeypatch.setattr("keras_retinanet.runtimes.open_runtime", lambda path: opened)
    flags = argparse.Namespace(
        **dict.fromkeys(("image_min_side", "image_max_side", "config", "thresholds", "score_threshold")),
        **dict.fromkeys(("nms_threshold", "max_detections", "tile")),
        tta=(1.0,), class_threshold=list(zip(NAMES, thresholds, strict=False)),
    )  # fmt: skip
    (found,) = open_exported(Path("model.onnx"), flags).detect([np.zeros((50, 200, 3), np.uint8)])
    assert sorted(found["labels"].tolist()) == expected
    assert sorted(found["scores"].tolist()) == pytest.approx([(0.3, 0.4)[k] for k in expected])


class MeanDetector:
    """Finds two boxes whose places depend on the pixels of the image; `dies_at` counts batches from 1."""

    class_names = NAMES
    filter_config = FilterConfig()
    network = types.SimpleNamespace(resize_config=ResizeConfig(max_side=160, is_square=True), pad_value=(0, 0, 0))

    def __init__(self, dies_at=None):
        self.dies_at, self.batches = dies_at, 0

    def predict_on_batch(self, inputs):
        self.batches += 1
        if self.batches == self.dies_at:
            raise KeyboardInterrupt
        mean = inputs["images"].mean(axis=(1, 2, 3))
        boxes = np.stack([mean / 9, mean / 8, mean / 2, mean / 3, *[mean / 7] * 2, *[mean] * 2], 1).reshape(-1, 2, 4)
        scores = np.stack([mean / 256, mean / 300], 1)
        labels = np.stack([mean % 6, mean % 5], 1).astype(int)
        return {"boxes": boxes, "scores": scores, "labels": labels, "num_detections": np.full(len(mean), 2)}


@pytest.fixture
def start(run, monkeypatch, capsys):
    """Runs the command with a `MeanDetector`; answers that, and what was printed."""

    def start(*argv, dies_at=None, error=None):
        detector = MeanDetector(dies_at)
        monkeypatch.setattr(evaluate, "open_detector", lambda *_: detector)
        with pytest.raises(error) if error else contextlib.nullcontext():
            assert evaluate.main([*argv, str(run)]) == 0
        return detector, capsys.readouterr().out

    return start


def test_an_evaluation_that_was_killed_goes_on(demo, start, tmp_path, cache):
    """Of four batches of at most two images, the second never ends; then a half-written record follows."""
    argv = ["demo", str(demo), "--batch-size=2"]

    def written(name):
        return ["--save-detections", str(tmp_path / f"{name}.json"), "--json", str(tmp_path / f"{name}_numbers.json")]

    detector, text = start(*argv, *written("whole"))
    assert (detector.batches, "resumed" in text) == (4, False)
    assert not list(cache.iterdir())
    start(*argv, dies_at=2, error=KeyboardInterrupt)
    (left,) = cache.iterdir()
    with left.open("ab") as file:
        file.write(b"half a record")
    assert "resumed" not in start(*argv, "--image-max-side=96")[1]
    assert left.exists()
    detector, text = start(*argv, *written("resumed"))
    assert detector.batches == 3
    assert "resumed   2 of 7 images were searched before; --no-resume starts afresh" in text
    assert not list(cache.iterdir())
    for name in ("resumed", "resumed_numbers"):
        whole = (tmp_path / f"{name.replace('resumed', 'whole')}.json").read_text()
        assert (tmp_path / f"{name}.json").read_text() == whole
        assert len(whole) > 500

    start(*argv, dies_at=2, error=KeyboardInterrupt)
    assert start(*argv, "--no-resume")[0].batches == 4
    assert not list(cache.iterdir())


def test_what_was_broken_is_known_to_the_process_that_goes_on(start, tmp_path, cache, monkeypatch):
    """Here the first process fails after the last image; old files are removed."""
    argv = ["csv", write_csv(tmp_path, NAMES[0], is_broken=True), "--batch-size=1"]
    with monkeypatch.context() as patch:
        patch.setattr(evaluate, "publish", lambda *_: 1 / 0)
        start(*argv, error=ZeroDivisionError)
    (left,) = cache.iterdir()
    with left.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        detector, text = start(*argv)
    assert detector.batches == 2
    assert "cannot be continued if it is interrupted (another process runs the same)" in text
    (cache / "old.detections").touch()
    os.utime(cache / "old.detections", (0, 0))
    detector, text = start(*argv)
    assert detector.batches == 0
    assert "resumed   2 of 2 images" in text
    assert "warning   1 broken images were replaced by grey ones without boxes: " in text
    assert "two.png; their boxes count as missed" in text
    assert not list(cache.iterdir())


def test_the_best_snapshot_of_a_run_is_taken(tmp_path):
    (tmp_path / "last.keras").touch()
    assert find_snapshot(tmp_path).name == "last.keras"
    (tmp_path / "best.keras").touch()
    assert find_snapshot(tmp_path).name == "best.keras"
    assert find_snapshot(tmp_path / "last.keras").name == "last.keras"


def write_csv(folder, class_name, is_broken=False):
    """Two images; the second's header is sound, its pixels may not be."""
    for name in ("one.png", "two.png"):
        pixels = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
        Image.fromarray(pixels).save(folder / name)
    if is_broken:
        content = (folder / "two.png").read_bytes()
        (folder / "two.png").write_bytes(content[: len(content) // 2])
    (folder / "boxes.csv").write_text(f"one.png,1,2,30,40,{class_name}\ntwo.png,,,,,\n")
    return str(folder / "boxes.csv")


def prepare(argv):
    flags, data, (snapshot,) = parse_arguments(evaluate.build_parser(), argv)
    return evaluate.prepare(flags, dataclasses.replace(data, val_annotations=data.annotations), Path(snapshot))


def test_csv_with_and_without_classes(run, tmp_path, capsys):
    annotations = write_csv(tmp_path, NAMES[2])
    (tmp_path / "classes.csv").write_text(f"{NAMES[2]},0\nnever seen,1\n")
    for words in ([annotations, str(run)], [annotations, str(tmp_path / "classes.csv"), str(run)]):
        evaluation = prepare(["csv", *words])
        assert "2 images (1 empty), 1 boxes" in evaluate.describe(evaluation)
        assert evaluation.samples[0]["labels"].tolist() == [2]
    assert evaluate.main(["csv", *words]) == 0
    assert f"\n{NAMES[2]} " in capsys.readouterr().out


def test_photos_that_show_no_frame_are_seen_as_the_snapshot_sees_them(run, tmp_path, monkeypatch):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (80, 60)).save(tmp_path / "a.jpg", exif=exif)
    (tmp_path / "boxes.csv").write_text(f"a.jpg,5,5,40,40,{NAMES[2]}\n")
    words = ["csv", str(tmp_path / "boxes.csv"), str(run), "--no-index-cache"]
    evaluation = prepare(words)
    assert (evaluation.samples[0]["orientation"], evaluation.samples[0]["size"]) == (6, (80, 60))
    monkeypatch.setattr(evaluate, "read_settings", lambda path: {"resize.exif": "ignore"})
    assert prepare(words).samples[0]["size"] == (60, 80)
    assert prepare([*words, "--exif", "apply", "--bit-depth", "10"]).samples[0]["size"] == (80, 60)
    assert prepare([*words, "--bit-depth", "10"]).resize.bit_depth == 10
    assert evaluation.resize.bit_depth == 16


def test_an_unreadable_image_is_named(run, tmp_path, capsys):
    annotations = write_csv(tmp_path, NAMES[0], is_broken=True)
    assert evaluate.main(["csv", annotations, str(run), "--bad-data", "error"]) == 2
    assert_one_line(capsys.readouterr().err, "two.png")
    assert evaluate.main(["csv", annotations, str(run)]) == 0
    text = capsys.readouterr().out
    assert "warning   1 broken images were replaced by grey ones without boxes: " in text
    assert "two.png; their boxes count as missed" in text


def test_classes_that_the_snapshot_does_not_know_are_named(run, tmp_path, capsys):
    assert evaluate.main(["csv", write_csv(tmp_path, "zebra"), str(run)]) == 2
    assert_one_line(capsys.readouterr().err, "the model does not know 'zebra' (1 boxes)", repr(NAMES[0]))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["coco", "{demo}", "{tmp}/none.keras"], "no snapshot '{tmp}/none.keras'"),
        (["coco", "{demo}", "{tmp}"], "{tmp}: has no best.keras or last.keras"),
        (["coco", "{demo}", "{tmp}/text.keras"], "'{tmp}/text.keras' is not a snapshot, or is damaged"),
        (["coco", "{tmp}", "{run}"], "{tmp}: has no COCO annotations"),
        (
            ["coco", "{demo}", "{run}", "--set", "test2017"],
            "sets there: train2017 (annotations/instances_train2017.json), val2017",
        ),
        (["pascal", "{tmp}", "{run}"], "allowed: ImageSets/Main/<set>.txt, or a folder of XML files and images"),
        (["csv", "{tmp}/none.csv", "{run}"], "{tmp}/none.csv: cannot be read"),
    ],
)
def test_what_is_missing_is_said_in_one_line(words, said, demo, run, tmp_path, capsys):
    (tmp_path / "text.keras").write_text("not a snapshot")
    places = {"demo": demo, "run": run, "tmp": tmp_path}
    assert evaluate.main([word.format(**places) for word in words]) == 2
    assert_one_line(capsys.readouterr().err, said.format(**places))


def assert_one_line(text, *said):
    lines = [line for line in text.splitlines() if line.startswith("retinanet-evaluate: error: ")]
    assert len(lines) == 1
    assert "Traceback" not in text
    for words in said:
        assert words in lines[0]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["csv", "a.csv", "s.keras", "--set", "val"], "--set names a split; for csv, give the annotation file"),
        (["coco", "d", "s.keras", "--batch-size", "0"], "0 is less than 1"),
        (["coco", "d", "s.keras", "--score-threshold", "1.5"], "1.5 is not between 0 and 1"),
        (["coco", "d", "s.keras", "--nms-threshold", "half"], "invalid number value: 'half'"),
        (["coco", "d", "s.keras", "--iou-thresholds", "0.5,1"], "'0.5,1' is not a list X,X,… of numbers above 0 and"),
        (["coco", "d", "s.keras", "--iou-thresholds", "half"], "'half' is not a list"),
        (["coco", "d", "s.keras", "--overlap", "0.1"], "--overlap and --no-whole-pass need --tile"),
        (["coco", "d", "s.keras", "--tile=9", "--image-min-side=9"], "--image-min-side and --image-max-side resize"),
        (["coco", "d", "s.keras", "--limit", "1.5"], "invalid whole number value: '1.5'"),
        (["coco", "d"], "expected `coco PATH SNAPSHOT`, got d"),
    ],
)
def test_words_that_do_not_fit_end_with_status_2(argv, said, capsys):
    with pytest.raises(SystemExit) as error:
        evaluate.main(argv)
    assert error.value.code == 2
    assert said in capsys.readouterr().err


def test_help_answers_without_keras():
    code = (
        "import sys, time; start = time.process_time()\n"
        "from keras_retinanet.cli.evaluate import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as end: assert not end.code\n"
        "assert not {'keras', 'tensorflow', 'matplotlib'} & set(sys.modules)\n"
        "assert time.process_time() - start < 1"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    answer = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True)
    assert "SNAPSHOT" in answer.stdout


def test_ids_of_classes():
    dataset = types.SimpleNamespace(class_names=("cat", "dog"), category_ids=(17, 18))
    assert evaluation_report.category_ids(dataset, ["dog", "ant", "cat", "bee"]) == [18, 20, 17, 22]
    assert evaluation_report.category_ids(types.SimpleNamespace(class_names=("cat", "dog")), ["dog", "cat"]) == [2, 1]


@pytest.mark.parametrize(
    ("words", "source", "path"),
    [
        ([], "run/best.keras", "run/report.html"),
        (["--json", "out/a.json"], "run/last.keras", "run/report.html"),
        (["--json", "out/a.json"], "mine.keras", "out/report.html"),
        ([], "found/detections.json", "found/report.html"),
        ([], "mine.keras", "report.html"),
        (["--report", "here.html", "--json", "out/a.json"], "run/best.keras", "here.html"),
        (["--report", "none"], "run/best.keras", None),
    ],
)
def test_where_the_report_is(words, source, path):
    flags = evaluate.build_parser().parse_args([*words, "demo", source])
    assert report_file.choose_path(flags, Path(source)) == (path and Path(path))


def test_a_report_that_cannot_be_written_is_a_warning(demo, run, tmp_path, capsys):
    (tmp_path / "file").write_text("no folder")
    assert evaluate.main(["demo", str(demo), str(run), "--limit=1", "--report", str(tmp_path / "file" / "r.html")]) == 0
    assert "\nwarning   the report cannot be written: " in capsys.readouterr().out
