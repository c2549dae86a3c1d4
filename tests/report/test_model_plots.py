"""Two models on two images: the first misses a box, the second finds it in another class."""

from __future__ import annotations

from typing import Any

import pytest

from keras_retinanet.report import model_plots

SAMPLES: Any = [
    {"image": f"{k}.png", "image_id": k, "boxes": [[0, 0, 10, 10]], "labels": [0], "ignore": [False]} for k in range(2)
]


def found(image_id: int, score: float, label: int) -> Any:
    return {"image_id": image_id, "boxes": [[0, 0, 10, 10]], "scores": [score], "labels": [label]}


def test_models_side_by_side():
    detections = [[found(0, 0.9, 0)], [found(0, 0.9, 0), found(1, 0.6, 1)]]
    plots = model_plots.describe_models(["a", "b"], SAMPLES, detections, ["ant", "bee"])
    first, second = plots["models"]
    assert (first["name"], second["name"]) == ("a", "b")
    ants = first["groups"][1]
    assert [ants["precision"][k] for k in (0, 50, 51)] == [1, 1, 0]  # half of the ants are found
    assert ants["f1"][0] == pytest.approx(2 / 3, abs=1e-4)
    assert ants["f1"][-1] == 0
    assert first["groups"][2] == {"precision": None, "f1": None}  # nobody annotates bees
    assert second["groups"][0]["f1"][0] == pytest.approx(0.5)  # of two boxes and two detections, one match
    errors = {row["name"]: (row["values"], row["counts"]) for row in plots["errors"]}
    assert errors["Missed"] == ([pytest.approx(1 - 51 / 101, abs=1e-5), 0], [1, 0])
    assert errors["Wrong class"][1] == [0, 1]
    assert errors["Wrong class"][0][1] > 0.2
    assert plots["errors"][0]["name"] in ("Missed", "Wrong class")


def test_many_images_are_a_sample(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(model_plots, "choose_images", lambda count: [1])
    plots = model_plots.describe_models(["a"], SAMPLES, [[found(0, 0.9, 0), found(1, 0.8, 0)]], ["ant"])
    assert plots["models"][0]["groups"][0]["f1"][85] == 0
    assert plots["models"][0]["groups"][0]["f1"][0] == 1
