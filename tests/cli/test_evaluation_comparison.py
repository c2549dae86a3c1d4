"""Several models on one command line: files of detections, and exported models through a runtime of the test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from keras_retinanet.cli import evaluate
from keras_retinanet.config import FilterConfig, ResizeConfig
from keras_retinanet.runtimes import Description, Runtime

BOX = {"bbox": [10, 10, 40, 40], "category_id": 2}  # a pear


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three images of 100 × 80 pixels with a pear each; the colour tells them apart."""
    for number, name in enumerate("abc"):
        Image.new("RGB", (100, 80), (10 * number, 0, 0)).save(tmp_path / f"{name}.png")
    rows = [f"{name}.png,10,10,50,50,pear\n" for name in "abc"]
    (tmp_path / "boxes.csv").write_text("".join(rows) + "a.png,60,60,90,80,fig\n")
    (tmp_path / "one.json").write_text(json.dumps([{**BOX, "image_id": "a.png", "score": 0.9}]))
    both = [
        {**BOX, "image_id": f"{name}.png", "score": score} for name, score in zip("abc", (0.9, 0.8, 0.7), strict=True)
    ]
    (tmp_path / "two.json").write_text("[\n" + ",\n".join(map(json.dumps, both)) + "\n]")
    return tmp_path


class FindsPears(Runtime):
    """Finds the pear of every image but the second, and a kiwi."""

    def __init__(self, names: tuple[str, ...] = ("kiwi", "pear", "fig")) -> None:
        super().__init__(Description(names, ResizeConfig(), (0.0, 0.0, 0.0), FilterConfig(0.1)))

    def detect(self, images: Any, fits: Any = None, *, batch_size: Any = None) -> Any:
        boxes, scores = np.array([[10, 10, 50, 50], [0, 0, 9, 9]], np.float32), np.array([0.9, 0.3], np.float32)
        full = {"boxes": boxes, "scores": scores, "labels": np.array([1, 0], np.int32)}
        none = {name: value[:0] for name, value in full.items()}
        return [none if image[0, 0, 0] == 10 else full for image in images]

    def raw_outputs(self, images: Any) -> Any:
        raise NotImplementedError


def test_files_of_detections(data: Path, capsys: pytest.CaptureFixture[str]):
    """Of three pears the first file has one (34 of 101 recalls), the second all; nobody finds the fig."""
    words = ["csv", str(data / "boxes.csv"), str(data / "one.json"), str(data / "two.json")]
    assert evaluate.main([*words, "--json", str(data / "out.json")]) == 0
    text = capsys.readouterr().out
    assert f"report    {data / 'report.html'}" in text
    page = (data / "report.html").read_text(encoding="utf-8")  # next to --json
    assert "two.json against one.json" in page
    assert '"Better by two.json"' in page
    assert "two.json against one.json: difference in percentage points ± standard deviation" in text
    assert "\nAP    +33.2 ± " in text  # (1 - 34 / 101) / 2
    assert "\npear  +66.3 ± " in text
    assert "images: 2 with fewer errors, 0 with more, 1 with as many" in text
    assert "note: one.json has no detections in 2 images in which another model has some" in text
    content = json.loads((data / "out.json").read_text())
    assert content["paths"] == words[2:]
    assert content["models"][1]["stats"]["AP50"] == pytest.approx(0.5)
    assert [row["image_id"] for row in content["models"][1]["images"]] == ["b.png", "c.png"]
    assert evaluate.main([*words, "--metric", "f1", "--json", str(data / "f1.json")]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("F1 ")]
    assert lines[0].split()[1:3] == ["0.400", "0.857"]
    assert lines[1].split()[1] == "+0.457"
    difference = json.loads((data / "f1.json").read_text())["models"][1]["differences"]["F1"]
    assert difference["value"] == pytest.approx(0.857 - 0.4, abs=1e-3)
    assert difference["share_worse"] == 0


def test_exported_models(data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr("keras_retinanet.runtimes.open_runtime", lambda path: FindsPears())
    (data / "model.onnx").touch()
    words = ["csv", "--report=none", str(data / "boxes.csv")]
    assert evaluate.main([*words, str(data / "model.onnx"), "--save-detections", str(data / "own.json")]) == 0
    text = capsys.readouterr().out
    assert "model.onnx: 3 classes, sides 800 to 1333 px, score above 0.1" in text
    assert "detected  4 boxes" in text
    assert len(json.loads((data / "own.json").read_text())) == 4
    assert evaluate.main([*words, str(data / "two.json"), str(data / "model.onnx")]) == 0
    text = capsys.readouterr().out
    assert "note      the data set does not have 'kiwi': such detections are left out" in text
    assert "images: 0 with fewer errors, 1 with more, 2 with as many" in text
    assert "b.png: 0 → 1 errors (1 boxes: right 1 → 0, wrong 0 → 0)" in text
    assert evaluate.main([*words, str(data / "model.onnx"), "--class-threshold", "kiwi=0.3"]) == 0
    text = capsys.readouterr().out
    assert "detected  2 boxes" in text
    assert "note      the classes have thresholds of 0.1 to 0.3, and only what scores above counts" in text


def test_a_broken_image_has_no_objects(data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr("keras_retinanet.runtimes.open_runtime", lambda path: FindsPears())
    (data / "model.tflite").touch()
    Image.fromarray(np.random.default_rng(0).integers(0, 99, (80, 100, 3), np.uint8)).save(data / "c.png")
    (data / "c.png").write_bytes((data / "c.png").read_bytes()[:9000])
    words = ["csv", "--report=none", str(data / "boxes.csv"), str(data / "model.tflite")]
    assert evaluate.main(words) == 0
    text = capsys.readouterr().out
    assert "detected  2 boxes" in text
    assert "c.png; their boxes count as missed" in text
    assert evaluate.main([*words, "--bad-data", "error"]) == 2
    assert "c.png" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["{}/one.json", "{}/odd.json"], "odd.json, line 2, entry 1: image 'z.png' is not in the data set"),
        (["{}/two.json", "{}/model.onnx"], "model.onnx: class names: the model does not know 'fig' (1 boxes)"),
        (
            ["{}/one.json", "{}/two.json", "--choose-thresholds", "f1"],
            "--choose-thresholds is for one model",
        ),
        (
            ["{}/one.json", "{}/two.json", "--metric", "voc", "--report", "{}/a.html"],
            "a.html: several models have a report with --metric coco only, not with voc",
        ),
        (["{}/model.onnx", "--image-min-side", "99"], "--image-min-side needs a snapshot"),
        (["{}/model.onnx", "--score-threshold", "0.05"], "score_threshold 0.05 is not possible: 0.1 is built into"),
        (["{}/one.json", "{}/none.keras"], "no snapshot"),
    ],
)
def test_what_does_not_fit_is_named(data: Path, words, said, monkeypatch, capsys):
    monkeypatch.setattr("keras_retinanet.runtimes.open_runtime", lambda path: FindsPears(("kiwi", "pear")))
    if "--image-min-side" in words or "--score-threshold" in words:
        monkeypatch.setattr("keras_retinanet.runtimes.open_runtime", lambda path: FindsPears())
    (data / "model.onnx").touch()
    (data / "odd.json").write_text("[\n" + json.dumps({**BOX, "image_id": "z.png", "score": 0.9}) + "]")
    assert evaluate.main(["csv", "--report=none", str(data / "boxes.csv"), *(word.format(data) for word in words)]) == 2
    assert said in capsys.readouterr().err


def test_all_models_are_opened_before_one_detects(data: Path, monkeypatch, capsys):
    names = {"good.onnx": ("kiwi", "pear", "fig"), "other.onnx": ("kiwi", "pear")}
    monkeypatch.setattr("keras_retinanet.runtimes.open_runtime", lambda path: FindsPears(names[Path(path).name]))
    for name in names:
        (data / name).touch()
    words = ["csv", "--report=none", str(data / "boxes.csv"), str(data / "good.onnx"), str(data / "other.onnx")]
    assert evaluate.main(words) == 2
    written = capsys.readouterr()
    assert "other.onnx: class names: the model does not know 'fig'" in written.err
    assert "detected" not in written.out


def test_a_folder_for_the_report(data: Path):
    (data / "pages").mkdir()
    assert evaluate.main(["csv", str(data / "boxes.csv"), str(data / "one.json"), "--report", str(data / "pages")]) == 0
    assert "one.json" in (data / "pages" / "report.html").read_text(encoding="utf-8")
