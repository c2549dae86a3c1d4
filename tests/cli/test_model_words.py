"""Which words are models."""

from __future__ import annotations

from pathlib import Path

import pytest

from keras_retinanet.cli.model_words import find_model, is_exported, is_model, short_names
from keras_retinanet.data.recognition import MODEL_SUFFIXES


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.keras", "", True),
        ("a.onnx", "", True),
        ("a.pth", "", True),
        ("model.xml", "", True),
        ("annotations.xml", "<annotations>", False),
        ("results.json", ' [{"image_id": 1, "score": 0.5}]', True),
        ("results.json", "[\n]", True),
        ("results.json", '[{"image": "a.jpg", "annotations": []}]', False),
        ("instances.json", '{"images": []}', False),
        ("classes.csv", "a,0", False),
        ("run/best.keras", "", True),
        ("saved/saved_model.pb", "", True),
        ("versions/3/saved_model.pb", "", True),
        ("images/a.jpg", "", False),
    ],
)
def test_models_and_data(tmp_path: Path, name: str, content: str, expected: bool):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    word = tmp_path / name.split("/")[0]
    assert is_model(str(word)) is expected
    assert not is_model(str(tmp_path / "none"))


@pytest.mark.parametrize("suffix", MODEL_SUFFIXES)
def test_what_is_a_model_in_place_of_a_data_set_can_be_measured(tmp_path: Path, suffix: str):
    (tmp_path / f"a{suffix}").touch()
    assert is_model(str(tmp_path / f"a{suffix}"))


def test_what_is_opened(tmp_path: Path):
    for name in ("run/last.keras", "openvino/model.xml"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    assert find_model(tmp_path / "openvino" / "model.xml") == tmp_path / "openvino"
    assert find_model(tmp_path / "openvino") == tmp_path / "openvino"
    assert find_model(tmp_path / "run") == tmp_path / "run" / "last.keras"
    assert is_exported(tmp_path / "openvino")
    assert not is_exported(tmp_path / "run")
    with pytest.raises(ValueError, match=r"has no best\.keras or last\.keras"):
        find_model(tmp_path)


def test_names_tell_models_apart():
    paths = ["runs/a/best.keras", "x/m.onnx", "y/m.onnx", "c.json", "c.json"]
    assert short_names([Path(path) for path in paths]) == [
        "a/best.keras",
        "x/m.onnx",
        "y/m.onnx",
        "c.json (1)",
        "c.json (2)",
    ]
