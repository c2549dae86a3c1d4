"""Thresholds and calibration from the command line."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest
import yaml
from PIL import Image

from keras_retinanet.cli import evaluate
from keras_retinanet.cli.evaluation_decision import decide
from keras_retinanet.config import FilterConfig
from keras_retinanet.snapshots.threshold_file import read_threshold_file


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Four images of a pear: found with .9, .8 and .3, missed once; wrong detections of .5 and .2."""
    rows, found = [], []
    for name, score, wrong in (("a", 0.9, 0.5), ("b", 0.8, 0.2), ("c", 0.3, None), ("d", None, None)):
        Image.new("RGB", (100, 80)).save(tmp_path / f"{name}.png")
        rows.append(f"{name}.png,10,10,50,50,pear\n")
        for corner, value in ((10, score), (60, wrong)):
            if value is not None:
                box = {"image_id": f"{name}.png", "category_id": 1, "bbox": [corner, 10, 40, 40], "score": value}
                found.append(box)
    (tmp_path / "boxes.csv").write_text("".join(rows))
    (tmp_path / "found.json").write_text(json.dumps(found))
    return tmp_path


def test_thresholds_are_printed_and_written(data: Path, capsys: pytest.CaptureFixture[str]):
    """F1 of 2 right: 4/6; of 3 right and 1 wrong: 6/8. The threshold lies between .3 and .2."""
    words = ["csv", "--report=none", str(data / "boxes.csv"), str(data / "found.json"), "--choose-thresholds", "f1"]
    assert evaluate.main([*words, "--save-thresholds", str(data / "new" / "t.yaml")]) == 0
    text = capsys.readouterr().out
    assert "thresholds for f1 at IoU 0.5, chosen on 4 images" in text
    line = next(line for line in text.splitlines() if line.startswith("pear              0.25      4  0.750 ("))
    assert line.count("…") == 3
    assert "all classes" in text
    content = yaml.safe_load((data / "new" / "t.yaml").read_text())
    assert (content["goal"], content["images"], content["iou"]) == ("f1", 4, 0.5)
    pear = content["classes"]["pear"]
    assert [pear[name] for name in ("threshold", "boxes", "found", "right", "F1")] == [0.25, 4, 4, 3, 0.75]
    assert pear["recall_interval"][0] < 0.75 < pear["recall_interval"][1]
    assert read_threshold_file(data / "new" / "t.yaml").by_class == {"pear": 0.25}
    assert evaluate.main(words) == 0
    assert "note: --save-thresholds FILE writes them" in capsys.readouterr().out


def test_a_calibration_is_on_top_of_that_of_the_model(data: Path, capsys: pytest.CaptureFixture[str]):
    """Scores of 0.8 (3 of 4 right) and 0.2 (1 of 2), of a model with temperature 2 and bias 1."""
    samples = [{"image": "", "image_id": 0, "boxes": [[0, 0, 9, 9 + k] for k in range(0, 80, 20)], "labels": [0] * 4}]
    samples[0]["ignore"] = [False] * 4
    boxes = [*samples[0]["boxes"], [50, 50, 60, 60], [50, 50, 60, 60]]
    found = [{"image_id": 0, "boxes": boxes, "scores": [0.8, 0.8, 0.8, 0.2, 0.8, 0.2], "labels": [0] * 6}]
    flags = argparse.Namespace(
        choose_thresholds=None, calibrate="temperature", iou_thresholds=None,
        save_thresholds=str(data / "t.json"), store_thresholds=False,
    )  # fmt: skip
    decide(samples, found, ["pear"], flags, Path("m.keras"), FilterConfig(0.2, temperature=2.0, score_bias=1.0))
    text = capsys.readouterr().out
    content = json.loads((data / "t.json").read_text())
    fitted = content["temperature"] / 2
    assert f"temperature {fitted:.3f}, from 6 detections, of which 0.667 are right" in text
    assert content["score_bias"] == pytest.approx(1 / fitted, rel=1e-5)
    odds = (0.2 / 0.8) ** (1 / fitted)
    assert content["score_threshold"] == pytest.approx(odds / (1 + odds), abs=1e-5)
    assert "classes" not in content


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--save-thresholds", "t.yaml"], "--save-thresholds needs --choose-thresholds or --calibrate"),
        (["--choose-thresholds", "best"], "'best' is not a goal of thresholds; allowed are f1"),
    ],
)
def test_flags_that_do_not_fit(data: Path, flags: list[str], said: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as error:
        evaluate.main(["csv", "--report=none", str(data / "boxes.csv"), str(data / "found.json"), *flags])
    assert error.value.code == 2
    assert said in capsys.readouterr().err


def test_only_a_snapshot_stores_thresholds(data: Path, capsys: pytest.CaptureFixture[str]):
    words = [
        "csv",
        "--report=none",
        str(data / "boxes.csv"),
        str(data / "found.json"),
        "--choose-thresholds=f1",
        "--store-thresholds",
    ]
    assert evaluate.main(words) == 2
    assert "--store-thresholds needs a snapshot (.keras), got" in capsys.readouterr().err
