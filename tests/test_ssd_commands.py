"""An SSD by the commands alone: trained, measured, run, exported, and the artefact run on the same images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from keras_retinanet.backbones import ssd_vgg
from keras_retinanet.cli import convert_model, detect, evaluate, train
from keras_retinanet.demo import scenes

ALMOST_ALL = 0.99
"""Share of detections with a partner: two nearly equal scores may change places before suppression."""


def has_partner(box: dict[str, Any], others: list[dict[str, Any]]) -> bool:
    """Whether another model found the same box: same image and class, score to 0.0001, sides to 0.1 px."""
    return any(
        (box["image_id"], box["category_id"]) == (other["image_id"], other["category_id"])
        and abs(box["score"] - other["score"]) < 1e-4
        and max(abs(side - found) for side, found in zip(box["bbox"], other["bbox"], strict=True)) < 0.1
        for other in others
    )


@pytest.mark.slow
def test_from_a_coco_set_to_an_artefact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SSD300 with a few channels in its first blocks. Two steps teach nothing: any score will do."""
    monkeypatch.setattr(ssd_vgg, "BLOCKS", ((8, 1), (8, 1), (8, 1), (16, 1), (16, 1)))
    data = tmp_path / "scenes"
    scenes.write_dataset(data, num_train=4, num_val=2)
    network = ["--architecture", "ssd300_vgg16", "--loss", "focal", "--weights", "none", "--mixed-precision", "none"]
    length = ["--epochs", "1", "--steps", "2", "--batch-size", "2", "--no-cache", "--report", "none"]
    assert train.main(["coco", str(data), *network, *length, "--snapshot-path", str(tmp_path / "runs")]) == 0
    (run,) = (tmp_path / "runs").iterdir()
    snapshot, artefact = run / "last.keras", tmp_path / "ssd.onnx"
    assert evaluate.main(["coco", str(data), str(snapshot), "--report", "none"]) == 0
    assert convert_model.main([str(snapshot), str(artefact), "--format", "onnx"]) == 0
    answers = []
    for model in (snapshot, artefact):
        out = tmp_path / f"{model.stem}.json"
        pictures = ["--score-threshold", "0.01", "--max-detections", "40", "--no-pictures", "--json", str(out)]
        assert detect.main([str(model), str(data / "val2017"), *pictures]) == 0
        answers.append(json.loads(out.read_text()))
    found, wanted = answers
    assert len(found) == len(wanted) > 20
    assert sum(has_partner(box, wanted) for box in found) >= ALMOST_ALL * len(found)
