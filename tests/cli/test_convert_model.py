"""The command on a small snapshot: what it writes answers as the snapshot does."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_retinanet
from keras_retinanet import DetectionModel, build, export
from keras_retinanet.cli import convert_model, snapshot_arguments
from keras_retinanet.config import AnchorConfig, FilterConfig, ModelConfig, ResizeConfig
from keras_retinanet.export import FORMATS, export_litert, folding
from keras_retinanet.export.input_size import InputSize
from keras_retinanet.runtimes import open_runtime
from keras_retinanet.snapshots.training_shapes import with_shapes

IMAGES = np.random.default_rng(1).uniform(0, 255, (1, 64, 96, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a run with one snapshot, whose scores spread around one half."""
    keras.utils.set_random_seed(2)
    model = build(
        ModelConfig("resnet10_050", "none", 3, 5, fpn_width=32, head_width=32, head_depth=1),
        class_names=["ant", "bee"],
        anchors=AnchorConfig((16.0, 32.0, 64.0), (8, 16, 32)),
        resize=ResizeConfig(64, 96),
    )
    final = model.class_head.predictors[0]
    kernel, bias = final.get_weights()
    final.set_weights([np.random.default_rng(5).normal(0, 0.3, kernel.shape), 0 * bias])
    folder = tmp_path_factory.mktemp("run")
    model.save(folder / "last.keras")
    return folder


@pytest.fixture(scope="module")
def snapshot(run: Path) -> Any:
    """That snapshot, opened."""
    return keras_retinanet.load_model(run / "last.keras")


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ([], FilterConfig()),
        (
            ["--score-threshold", "0.5", "--max-detections", "7", "--no-nms", "--class-threshold", "bee=0.4"],
            FilterConfig(score_threshold=0.5, max_detections=7, nms="none", class_thresholds=(0.5, 0.4)),
        ),
        (["--no-class-specific-filter", "--nms-threshold", "0.25"], FilterConfig(nms="agnostic", nms_threshold=0.25)),
    ],
)
def test_a_keras_file_detects_as_the_snapshot(
    run: Path,
    snapshot: Any,
    tmp_path: Path,
    flags: list[str],
    expected: FilterConfig,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "new" / "insects.keras"
    assert convert_model.main([*flags, str(run), str(out)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"wrote {out}; compared with the snapshot: raw outputs differ by ")
    assert printed.count("\n") == 1
    written = keras_retinanet.load_model(out)
    assert isinstance(written, DetectionModel)
    assert written.filter_config == expected
    answer = written(IMAGES)
    wanted = DetectionModel(snapshot, expected)(IMAGES)
    assert wanted["num_detections"][0] > 3
    for name in wanted:
        np.testing.assert_allclose(answer[name], wanted[name], rtol=1e-6, atol=1e-6)
    assert [path.name for path in out.parent.iterdir()] == ["insects.keras"]


def test_a_saved_model_becomes_a_version(run: Path, snapshot: Any, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "insects"
    assert convert_model.main([str(run / "last.keras"), str(folder), "--format", "saved_model"]) == 0
    loaded = tf.saved_model.load(str(folder / "1"))
    answer = loaded.signatures["raw_outputs"](images=tf.constant(IMAGES))
    wanted = snapshot(IMAGES)
    np.testing.assert_allclose(answer["logits"], wanted["logits"], rtol=0, atol=1e-4 * np.abs(wanted["logits"]).max())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{}/missing.keras", "{}/out.keras"], "There is no snapshot"),
        (["{}", "{}/out.keras"], "has no best.keras or last.keras"),
        (["{run}", "{}/out.h5"], "ends in .keras"),
        (["{run}", "{run}/last.keras"], "OUT is the snapshot itself, which would be overwritten"),
        (["{run}", "{}/my model", "--format=saved_model", "--serving-kit={}/kit"], "folder is called 'my model'"),
        (["{run}", "{}/out.keras", "--class-threshold", "bea=0.5"], "no class is named 'bea'; did you mean 'bee'?"),
        (["{run}", "{}/out.keras", "--class-threshold", "xyz=0.5"], "no class is named 'xyz'; there are ant, bee."),
        (["{run}", "{}/out.keras", "--precision", "int8"], "is written in float32, float16, bfloat16; got 'int8'"),
        (["{run}", "{}/out.keras", "--image-size", "64", "96"], "takes images of any size; omit --image-size"),
        (["{run}", "{}/out.keras", "--with-resize"], "is opened by this package, which resizes; omit --with-resize"),
        (["{run}", "{}/out", "--format", "onnx"], "a file that ends in .onnx"),
        (["{run}", "{}/out.xml", "--format", "openvino"], "a folder of its own, without an ending"),
        (["{run}", "{}/o.pth", "--format=torchvision"], "model.backbone is 'resnet10_050', not 'resnet50'"),
        (["{run}", "{}/o.pth", "--format=torchvision", "--exif=ignore"], "writes weights, to which --exif does not"),
        (["{run}", "{}/out.keras", "--samples", "{}/none"], "There is no folder"),
        (["{run}", "{}/o.onnx", "--format=onnx", "--precision=int8", "--representative={}/none"], "There is no folder"),
    ],
)
def test_mistakes_are_told_in_one_line(
    run: Path, tmp_path: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert convert_model.main([word.format(tmp_path, run=run) for word in words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("word", ["bee", "bee=", "bee=x", "bee=1.5"])
def test_a_class_threshold_is_a_name_and_a_share(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        convert_model.main(["a.keras", "b.keras", "--class-threshold", word])
    assert f"{word!r} is not NAME=X with a number X from 0 to 1" in capsys.readouterr().err


def test_thresholds_of_classes_and_of_all(run: Path) -> None:
    """A threshold for all takes back stored ones; names may contain an equals sign."""
    stored = FilterConfig(score_threshold=0.1, class_thresholds=(0.2, 0.3))

    def after(*words: str) -> tuple[float, ...]:
        flags = convert_model.build_parser().parse_args(["a", "b", *words])
        return snapshot_arguments.class_thresholds(stored, flags, ("ant", "bee=big"))

    assert after() == (0.2, 0.3)
    assert after("--class-threshold", "bee=big=0.9") == (0.2, 0.9)
    assert after("--score-threshold", "0.5") == ()
    assert after("--score-threshold", "0.5", "--class-threshold", "ant=0.7") == (0.7, 0.5)


def test_a_file_of_thresholds(tmp_path: Path) -> None:
    """Single classes of the command line come after the file; one threshold for all contradicts it."""
    (tmp_path / "t.yaml").write_text("temperature: 2\nclasses: {bee: 0.5}\n")

    def after(*words: str) -> FilterConfig:
        flags = convert_model.build_parser().parse_args(["a", "b", "--thresholds", str(tmp_path / "t.yaml"), *words])
        filter = snapshot_arguments.with_flagged_file(FilterConfig(0.1), flags, ("ant", "bee"))
        by_class = snapshot_arguments.class_thresholds(filter, flags, ("ant", "bee"))
        return dataclasses.replace(filter, class_thresholds=by_class)

    assert after() == FilterConfig(0.1, class_thresholds=(0.1, 0.5), temperature=2.0)
    assert after("--class-threshold", "ant=0.7").class_thresholds == (0.7, 0.5)
    with pytest.raises(ValueError, match="--thresholds has the score threshold of each class: leave out"):
        after("--score-threshold", "0.5")


def test_an_artefact_that_answers_something_else_is_not_kept(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folding that forgets the shift is found out."""
    folded = folding.folded_weights
    monkeypatch.setattr(folding, "folded_weights", lambda *pair: [folded(*pair)[0], folded(*pair)[1] + 0.1])
    out = tmp_path / "insects.keras"
    out.write_text("the old one")
    assert convert_model.main([str(run), str(out), "--fold-batch-norm"]) == 2
    error = capsys.readouterr().err
    assert "differs from its snapshot and was not kept: raw outputs differ by" in error
    assert error.count("\n") == 1
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("insects.keras", "the old one")]


def test_samples_of_ones_own(run: Path, snapshot: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "photos").mkdir()
    keras.utils.save_img(tmp_path / "photos" / "a.png", IMAGES[0])
    assert convert_model.main([str(run), str(tmp_path / "a.keras"), "--samples", str(tmp_path / "photos")]) == 0
    wanted = DetectionModel(snapshot)(IMAGES)
    count = 2 * int((np.asarray(wanted["scores"]) > 0.3).sum())
    assert f"{count} of {count} detections above 0.3" in capsys.readouterr().out


@pytest.fixture(scope="module")
def trained(snapshot: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That snapshot, as after a training on landscape photos and a few portraits."""
    metadata = with_shapes(snapshot.metadata, snapshot.resize_config, [(64, 96, 97), (96, 64, 3)])
    path = tmp_path_factory.mktemp("trained") / "last.keras"
    snapshot.replaced(metadata=metadata).save(path)
    return path


def test_litert_takes_the_size_of_the_training_images(
    run: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = []
    monkeypatch.setitem(FORMATS, "litert", lambda model, out, settings, check: sizes.append(settings.image_size) or out)

    def first_line(snapshot: Path, *flags: str) -> str:
        assert convert_model.main([str(snapshot), str(tmp_path / "a.tflite"), "--format=litert", *flags]) == 0
        printed = capsys.readouterr()
        assert printed.err == ""  # nothing looks at the padding
        return printed.out.splitlines()[0]

    held = "the smallest that holds 97% of the training images; what is larger is reduced until it fits"
    assert first_line(trained) == f"input 64 x 96: {held}"
    assert first_line(run).startswith("input 96 x 96: the square that holds every image: the snapshot has no shapes")
    assert first_line(trained, "--exif", "ignore").startswith("input 96 x 96: the square")  # photos may lie otherwise
    assert first_line(trained, "--image-size", "80", "96").startswith("wrote ")
    assert sizes == [(64, 96), (96, 96), (96, 96), (80, 96)]


def test_litert_names_the_cost_of_padding(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(FORMATS, "litert", lambda model, out, settings, check: out)
    chosen = InputSize((96, 96), "so that both fit", "group normalisation sees it.")
    monkeypatch.setattr(export, "default_input_size", lambda network: chosen)
    assert convert_model.main([str(trained), str(tmp_path / "a.tflite"), "--format", "litert"]) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines()[0] == "input 96 x 96: so that both fit"
    assert printed.err == "note: group normalisation sees it.\n"


@pytest.mark.slow
def test_a_litert_file_of_that_size(trained: Path, tmp_path: Path) -> None:
    """Called by the command or in Python."""
    pytest.importorskip("ai_edge_litert", reason="needs LiteRT: pip install -e '.[test]'")
    assert convert_model.main([str(trained), str(tmp_path / "a.tflite"), "--format", "litert"]) == 0
    export_litert(DetectionModel(keras_retinanet.load_model(trained)), tmp_path / "b.tflite")
    for name in ("a.tflite", "b.tflite"):
        assert open_runtime(tmp_path / name).image_size == (64, 96)
