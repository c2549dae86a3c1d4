"""Folders of versions, with stand-ins for the artefacts: only names are looked at."""

from __future__ import annotations

from pathlib import Path

import pytest

from keras_retinanet.serving import model_versions
from keras_retinanet.serving.model_versions import artefact_of, model_source, name_and_version, path_of


def put(folder: Path, *places: str) -> None:
    for place in places:
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_bytes(b"x")


def test_a_version_is_any_artefact_in_a_folder_called_by_a_number(tmp_path: Path) -> None:
    put(tmp_path, "m/1/saved_model.pb", "m/2/model.onnx", "m/10/model.xml", "m/notes/saved_model.pb")
    put(tmp_path, "m/11/config.pbtxt", "m/12/a.onnx", "m/12/b.onnx")
    assert artefact_of(tmp_path / "m") == tmp_path / "m/10"
    assert name_and_version(tmp_path / "m") == ("m", 10)
    (tmp_path / "m/10/model.xml").unlink()
    assert artefact_of(tmp_path / "m") == tmp_path / "m/2/model.onnx"
    assert artefact_of(tmp_path / "m/2") == tmp_path / "m/2/model.onnx"
    assert name_and_version(tmp_path / "m/2") == ("m", 2)
    assert artefact_of(tmp_path / "absent") == tmp_path / "absent"


def test_names(tmp_path: Path) -> None:
    put(tmp_path, "m/2/model.onnx", "a=b.onnx", "bad name.onnx")
    assert model_source(f"bees={tmp_path}/m").name == "bees"
    assert model_source(f"{tmp_path}/m").name == "m"
    assert model_source(f"bees={tmp_path}/m", name="ants").name == "ants"
    assert path_of(f"bees={tmp_path}/m") == tmp_path / "m"
    assert path_of(f"{tmp_path}/a=b.onnx") == tmp_path / "a=b.onnx"
    with pytest.raises(ValueError, match="The name 'bad name' is not valid in a URL; give --name of letters"):
        model_source(f"{tmp_path}/bad name.onnx")


def test_the_newest_version_and_the_stamp_of_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Path] = []
    monkeypatch.setattr(model_versions, "open_model", opened.append)
    put(tmp_path, "m/2/model.onnx", "single.onnx")
    source = model_source(f"{tmp_path}/m")
    first = source.newest()
    assert (first.number, first) == (2, source.newest()) or first.stamp == source.newest().stamp
    first.open()
    put(tmp_path, "m/3/model.onnx")
    assert source.newest().number == 3
    (tmp_path / "m/3/model.onnx").write_bytes(b"longer")
    assert source.newest().stamp != first.stamp
    source.newest().open()
    assert opened == [tmp_path / "m/2/model.onnx", tmp_path / "m/3/model.onnx"]
    alone = model_source(f"{tmp_path}/single.onnx").newest()
    assert (alone.number, alone.stamp) == (1, None)
