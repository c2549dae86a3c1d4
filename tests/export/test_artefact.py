"""What is refused, and what stands there after a failure."""

from __future__ import annotations

from pathlib import Path

import pytest

from keras_retinanet.config import ExportConfig
from keras_retinanet.export.artefact import check_settings, write_file, write_folder
from keras_retinanet.export.litert_file import converted
from keras_retinanet.framework_internals import litert_converter_error


def fail(path: Path) -> None:
    raise ValueError(f"{path.name} is wrong")


def write(path: Path) -> None:
    (path / "new.txt" if path.is_dir() else path).write_text("new")


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("onnx", {"dtype": "bfloat16"}, "The onnx format is written in float32, float16, int8; got 'bfloat16'."),
        ("saved_model", {"dtype": "int8"}, "got 'int8'. In int8 can be written onnx, openvino, litert."),
        ("saved_model", {"image_size": (64, 64)}, "takes images of any size; omit --image-size"),
        ("onnx", {"image_size": (16, 640)}, r"at least 32 pixels; got \(16, 640\)"),
        ("litert", {"dtype": "int8"}, "needs --representative FOLDER"),
        ("litert", {"representative": "images"}, "needs --representative FOLDER"),
    ],
)
def test_settings_that_a_format_cannot_have(name, settings, message) -> None:
    with pytest.raises(ValueError, match=message):
        check_settings(name, ExportConfig(**settings))


def test_a_wrong_file_never_takes_the_place_of_another(tmp_path: Path) -> None:
    out = tmp_path / "insects.onnx"
    out.write_text("old")
    with pytest.raises(ValueError, match="is wrong"):
        write_file("onnx", out, ExportConfig(), write, fail)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"insects.onnx": "old"}
    assert write_file("onnx", out, ExportConfig(), write, None) == out
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"insects.onnx": "new"}
    with pytest.raises(
        ValueError, match=r"a file that ends in \.tflite; got .*insects\.onnx'\. For \.onnx, choose the onnx format"
    ):
        write_file("litert", out, ExportConfig(), write, None)


def test_a_wrong_folder_never_takes_the_place_of_another(tmp_path: Path) -> None:
    out = tmp_path / "insects"
    out.mkdir()
    (out / "old.txt").write_text("old")
    with pytest.raises(ValueError, match="is wrong"):
        write_folder(out, write, fail)
    assert [path.name for path in tmp_path.rglob("*")] == ["insects", "old.txt"]
    seen = []
    assert write_folder(out, write, lambda path: seen.append([item.name for item in path.iterdir()])) == out
    assert seen == [["new.txt"]]
    assert [path.name for path in tmp_path.rglob("*")] == ["insects", "new.txt"]


def test_what_litert_cannot_run_is_told() -> None:
    class Converter:
        def convert(self) -> bytes:
            raise litert_converter_error()("\nop is neither a custom op nor a flex op\nthe whole graph …")

    with pytest.raises(ValueError, match=r"^LiteRT cannot run this model: op is neither .* Use --format onnx or open"):
        converted(Converter())
