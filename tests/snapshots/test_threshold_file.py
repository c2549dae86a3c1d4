"""Files of thresholds, and thresholds inside a snapshot."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from keras_retinanet.config import FilterConfig
from keras_retinanet.snapshots.threshold_file import (
    StoredThresholds,
    read_threshold_file,
    store_thresholds,
    write_threshold_file,
)

CONTENT = {
    "goal": "f1",
    "temperature": 1.5,
    "score_bias": -0.25,
    "classes": {"ant: red": {"threshold": 0.4, "boxes": 3}, "bee": {"threshold": 0.55, "recall_interval": [0.1, 0.2]}},
}


@pytest.mark.parametrize("name", ["thresholds.yaml", "new/thresholds.json"])
def test_written_and_read(tmp_path: Path, name: str):
    write_threshold_file(tmp_path / name, CONTENT)
    stored = read_threshold_file(tmp_path / name)
    assert stored.by_class == {"ant: red": 0.4, "bee": 0.55}
    assert (stored.temperature, stored.score_bias, stored.score_threshold) == (1.5, -0.25, None)
    filter = stored.applied_to(FilterConfig(0.1, max_detections=7), ("wasp", "bee", "ant: red"))
    assert filter == FilterConfig(
        0.1, max_detections=7, class_thresholds=(0.1, 0.55, 0.4), temperature=1.5, score_bias=-0.25
    )


def test_what_people_write(tmp_path: Path):
    path = tmp_path / "a.yaml"
    path.write_text("# mine\nscore_threshold: 0.2\nclasses:\n  ant: 0.4\n")
    stored = read_threshold_file(path)
    assert stored.applied_to(FilterConfig(class_thresholds=(0.6, 0.7)), ("ant", "bee")).class_thresholds == (0.4, 0.2)
    with pytest.raises(ValueError, match=r"a.yaml, line 4: the model has no class 'ant'; did you mean 'ants'\?"):
        stored.applied_to(FilterConfig(), ("ants", "bee"))
    only = StoredThresholds(score_threshold=0.3).applied_to(FilterConfig(class_thresholds=(0.6, 0.7)), ("a", "b"))
    assert only == FilterConfig(0.3)
    assert StoredThresholds(temperature=2.0).applied_to(FilterConfig(class_thresholds=(0.6,)), ("a",)) == FilterConfig(
        class_thresholds=(0.6,), temperature=2.0
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("classes: [ant, bee]", "line 1: classes need names"),
        ("classes:\n  ant: 0.2\n  bee: high\n", "line 3: the threshold of 'bee' is 'high'; allowed are numbers from 0"),
        ("classes:\n  ant: 1.2\n", "line 2: the threshold of 'ant' is 1.2"),
        ('{"classes":\n{"a": {"threshold": true}}}', "line 2: the threshold of 'a' is True"),
        ("classes: {}\ntemperature: 0\n", "line 2: temperature is 0; allowed are numbers from 1e-06"),
        ("- 1\n", "line 1: this is not a file of thresholds"),
        ("[1", "is neither YAML nor JSON"),
    ],
)
def test_broken_files_are_named_with_the_line(tmp_path: Path, text: str, said: str):
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=said):
        read_threshold_file(path)


@pytest.mark.parametrize("argument", ["filter_config", "filter"])  # the name now, and an earlier one
def test_a_snapshot_gets_thresholds_and_keeps_all_else(tmp_path: Path, argument: str):
    path = tmp_path / "best.keras"
    with zipfile.ZipFile(path, "w") as archive:
        config = {argument: {"max_detections": 7}, "name": "n"}
        archive.writestr("config.json", json.dumps({"class_name": "RetinaNet", "config": config}))
        archive.writestr("model.weights.h5", b"weights")
        archive.writestr("run_state.json", "{}")
    stored = StoredThresholds({"bee": 0.5}, temperature=1.25)
    store_thresholds(path, stored, ("ant", "bee"))
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["config.json", "model.weights.h5", "run_state.json"]
        assert archive.read("model.weights.h5") == b"weights"
        config = json.loads(archive.read("config.json"))["config"]
    assert config["name"] == "n"
    expected = FilterConfig(max_detections=7, class_thresholds=(0.05, 0.5), temperature=1.25)
    assert FilterConfig(**config["filter_config"]) == expected
    assert "filter" not in config
    path.write_bytes(b"none")
    with pytest.raises(ValueError, match="is not a snapshot"):
        store_thresholds(path, stored, ("ant", "bee"))
    assert [entry.name for entry in tmp_path.iterdir()] == ["best.keras"]


def test_a_missing_file(tmp_path: Path):
    with pytest.raises(ValueError, match=r"none\.yaml does not exist; retinanet-evaluate --save-thresholds writes"):
        read_threshold_file(tmp_path / "none.yaml")
