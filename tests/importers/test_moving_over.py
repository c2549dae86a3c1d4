"""A user of fizyr/keras-retinanet moves over: his snapshot and CSV files, four commands."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from PIL import Image

from keras_retinanet import Detector, importers
from keras_retinanet.cli import convert_model, debug, detect, evaluate, import_checkpoint, train
from keras_retinanet.cli.network_settings import parse_network_arguments
from keras_retinanet.cli.old_flags import OLD_FLAGS
from keras_retinanet.config import ResizeConfig
from keras_retinanet.importers import describe_checkpoint, fizyr
from keras_retinanet.inference import DetectionModel, load_model
from keras_retinanet.model.retinanet import RetinaNet
from keras_retinanet.runtimes import open_runtime
from keras_retinanet.runtimes.keras_file import KerasRuntime
from keras_retinanet.runtimes.open_network import open_network
from keras_retinanet.serving.model_versions import model_source
from keras_retinanet.training.initial_weights import build_model
from keras_retinanet.training.prepare import prepare
from keras_retinanet.weight_files.weight_file import WeightFile, open_weights

SIDES = ("--image-min-side", "64", "--image-max-side", "96")


@pytest.fixture(scope="module")
def home(mobilenet: keras.Model, files: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What lies on the user's disk: snapshot, anchors, annotations, classes, images."""
    folder = tmp_path_factory.mktemp("home")
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        Image.fromarray(rng.integers(0, 256, (64, 96, 3), np.uint8)).save(folder / f"{name}.png")
    (folder / "annotations.csv").write_text("a.png,5,5,40,50,cat\na.png,50,10,90,60,dog\nb.png,10,8,70,60,dog\n")
    (folder / "classes.csv").write_text("dog,0\ncat,1\n")
    (folder / "config.ini").write_text(
        "[anchor_parameters]\nsizes = 16 32 64 128 256\nstrides = 8 16 32 64 128\nratios = 0.5 1 2\n"
        "scales = 1 1.2 1.6\n"
    )
    layers, arrays = files.snapshot(mobilenet, files.MOBILENET_TAPS)
    files.h5(folder / "resnet50_csv_50.h5", layers, arrays, is_old=True, version="2.3.1")
    return folder


@pytest.mark.slow
def test_four_commands(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    words = ["csv", str(home / "annotations.csv"), str(home / "classes.csv")]
    snapshot, ini = str(home / "resnet50_csv_50.h5"), str(home / "config.ini")

    assert evaluate.main([*SIDES, *words, snapshot, "--config", ini, "--batch-size", "2", "--report", "none"]) == 0
    printed = capsys.readouterr().out
    assert "2 classes, sides 64 to 96 px" in printed
    assert "cat" in printed

    arguments = ["--weights", snapshot, "--config", ini, "--epochs", "1", "--steps", "1", "--batch-size", "1"]
    assert train.main([*words, *arguments, *SIDES, "--snapshot-path", str(tmp_path / "runs"), "--augment", "none"]) == 0
    printed = capsys.readouterr().out
    assert "do not name their 2 classes: taken for those of the data" in printed
    assert "logits kept for 2 classes (dog, cat)" in printed
    (run,) = (tmp_path / "runs").iterdir()
    tuned = load_model(run / "last.keras", compile=False)
    assert isinstance(tuned, RetinaNet)
    assert tuned.class_names == ("dog", "cat")
    assert tuned.anchors.sizes == (16, 32, 64, 128, 256)
    assert tuned.box_coder.coder == "corner"
    assert tuned.neck.stride_padding == "same"
    assert tuned.resize_config.method == "cv2"
    assert tuned.resize_config.has_one_scale

    assert convert_model.main([str(run), str(tmp_path / "served"), "--format", "saved_model"]) == 0
    image = np.asarray(Image.open(home / "a.png"))
    served = open_runtime(tmp_path / "served")
    (found,) = served.detect([image])
    assert served.class_names == ("dog", "cat")
    assert len(found["boxes"]) > 0
    assert (found["boxes"] <= [96, 64, 96, 64]).all()


@pytest.fixture
def checkpoint(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's snapshot, as if its library made small images of 64 × 96 pixels."""
    monkeypatch.setattr(fizyr, "ResizeConfig", lambda *sides, **rest: ResizeConfig(64, 96, **rest))
    return home / "resnet50_csv_50.h5"


def test_every_command_prints_the_same_notes_and_finds_the_same_boxes(
    home: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """The file holds neither anchors nor class names: who uses it must be told what was taken in their place."""
    notes = [f"fizyr: {note}" for note in describe_checkpoint(checkpoint).notes]
    assert any("the library's defaults were taken" in note for note in notes)
    assert any("does not name its classes" in note for note in notes)
    image = np.asarray(Image.open(home / "a.png"))
    network = open_network(checkpoint, log=lambda line: None)
    (expected,) = KerasRuntime(DetectionModel(network)).detect([image])
    assert len(expected["boxes"]) > 50

    def check(boxes: np.ndarray, scores: np.ndarray, decimals: int = 6) -> None:
        printed = capsys.readouterr().err.splitlines()
        assert [line for line in printed if line.startswith("fizyr: ")] == notes
        np.testing.assert_allclose(boxes, expected["boxes"], atol=1e-3 if decimals > 2 else 0.011)
        np.testing.assert_allclose(scores, expected["scores"], atol=1e-5)

    capsys.readouterr()
    found = Detector(checkpoint).detect_one(home / "a.png")
    check(found.boxes, found.scores)

    words = [str(checkpoint), str(home / "a.png"), "--no-pictures", "--score-threshold", "0.05"]
    assert detect.main([*words, "--json", str(tmp_path / "detect.json")]) == 0
    check(*coco_results(tmp_path / "detect.json"), decimals=2)

    (tmp_path / "one.csv").write_text(f"{home / 'a.png'},5,5,40,50,cat\n")
    words = ["csv", str(tmp_path / "one.csv"), str(home / "classes.csv"), str(checkpoint)]
    assert evaluate.main([*words, "--save-detections", str(tmp_path / "evaluate.json"), "--report", "none"]) == 0
    check(*coco_results(tmp_path / "evaluate.json"), decimals=2)

    (found,) = (
        model_source(str(checkpoint), name="cats").newest().open().detect([image])
    )  # as `retinanet-serve` opens it
    check(found["boxes"], found["scores"])

    (tmp_path / "samples").mkdir()
    shutil.copy(home / "a.png", tmp_path / "samples")
    words = [str(checkpoint), str(tmp_path / "out.keras"), "--samples", str(tmp_path / "samples")]
    assert convert_model.main(words) == 0
    (found,) = open_runtime(tmp_path / "out.keras").detect([image])
    check(found["boxes"], found["scores"])


def coco_results(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Corners and scores of a file of COCO results."""
    records = json.loads(path.read_text())
    boxes = np.array([record["bbox"] for record in records])
    boxes[:, 2:] += boxes[:, :2]
    return boxes, np.array([record["score"] for record in records])


def test_training_opens_the_checkpoint_once(
    home: Path, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """Once for settings and weights together, though the settings are needed before the framework is there."""
    opened: list[object] = []

    def count(path: object) -> WeightFile:
        opened.append(path)
        return open_weights(path)  # type: ignore[arg-type]

    monkeypatch.setattr(importers, "open_weights", count)
    notes = [f"fizyr: {note}" for note in describe_checkpoint(open_weights(checkpoint)).notes]
    words = ["csv", str(home / "annotations.csv"), str(home / "classes.csv"), "--weights", str(checkpoint)]
    order = train.parse([*words, "--snapshot-path", str(tmp_path)])
    training = prepare(order.config, resume=order.resume, checkpoint=order.checkpoint)
    assert opened == [str(checkpoint)]
    assert [line for line in capsys.readouterr().out.splitlines() if line.startswith("fizyr: ")] == notes
    assert training.model.backbone.name == "mobilenet_025"

    build_model(order.config.network, ("dog", "cat"), log=lambda line: None)
    assert len(opened) == 2, "without the command line it is opened where it is used"


def test_import_writes_a_snapshot_and_says_what_it_found(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "model.keras"
    words = [str(home / "resnet50_csv_50.h5"), str(out), "--class-names", str(home / "classes.csv"), "--verify"]
    words += ["--config", str(home / "config.ini"), "--anchor-sizes", "8", "16", "32", "64", "128"]
    assert import_checkpoint.main([*words, "--max-detections", "7"]) == 0
    printed = capsys.readouterr().out
    for expected in ("source    fizyr", "mobilenet_025", "2: dog, cat", "sizes 8 16 32 64 128", "scales 1 1.2 1.6",
                     "method cv2", "0 unused, 0 missing", "read back equal", "fizyr itself was not run"):  # fmt: skip
        assert expected in printed, expected
    model = load_model(out)
    assert model.class_names == ("dog", "cat")
    assert model.filter_config.max_detections == 7
    assert model.filter_config.clip_margin == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{h5}", "out.h5"], r"ends in \.keras"),
        (["{h5}", "{out}", "--source", "torchvision"], "stages of no basic blocks"),
        (["lost.pth", "{out}"], "no file 'lost.pth'"),
        (["{csv}", "{out}"], "not a known weight file"),
        (["{h5}", "{out}", "--anchor-ratios", "1,2"], "outputs for 9 anchors"),
        (["{h5}", "{out}", "--class-names", "{csv}"], "occurs twice|names 3"),
        (["{h5}", "{out}", "--drop-unused-classes"], "torchvision's 91"),
    ],
)
def test_mistakes_end_in_one_line(
    words: list[str], message: str, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    paths = {"h5": home / "resnet50_csv_50.h5", "csv": home / "annotations.csv", "out": tmp_path / "out.keras"}
    assert import_checkpoint.main([word.format(**paths) for word in words]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert re.search(message, error), error
    assert not paths["out"].exists()


COMMANDS = {
    "retinanet-train": train,
    "retinanet-evaluate": evaluate,
    "retinanet-convert-model": convert_model,
    "retinanet-debug": debug,
}


@pytest.mark.parametrize(("program", "flag"), [(name, flag) for name, flags in OLD_FLAGS.items() for flag in flags])
def test_a_flag_of_old_names_its_successor(program: str, flag: str, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit, match="2"):
        COMMANDS[program].main([f"{flag}=1", "csv", "a.csv", "b.csv"])
    error = capsys.readouterr().err
    assert f"{flag} belongs to fizyr/keras-retinanet; now: {OLD_FLAGS[program][flag]}" in error
    known = {option for action in COMMANDS[program].build_parser()._actions for option in action.option_strings}
    assert flag not in known
    for word in OLD_FLAGS[program][flag].replace(",", " ").replace(")", " ").replace(":", " ").split():
        if word.startswith("--") and "retinanet-" not in OLD_FLAGS[program][flag]:
            assert word in known, word


def test_flags_of_old_that_mean_the_same_imply_fizyrs_recipe(home: Path, capsys: pytest.CaptureFixture) -> None:
    data = ["csv", str(home / "annotations.csv")]
    command = train.parse([*data, "--lr", "1e-4", "--random-transform", "--no-weights"])
    assert (command.config.recipe, command.config.optimizer.learning_rate) == ("fizyr", 1e-4)
    assert (command.config.data.augment, command.config.model.weights) == ("fizyr", "none")
    assert "optimizer.learning_rate" in command.chosen
    note = capsys.readouterr().err
    assert "--lr belongs to fizyr/keras-retinanet; now: --learning-rate, here with --recipe fizyr; write" in note
    assert train.parse([*data, "--lr=1e-4", "--recipe", "paper"]).config.recipe == "paper"
    assert train.parse(data).config.recipe == "modern"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("train --backbone mobilenet128_0.75 csv a.csv", "now: --backbone mobilenet_075"),
        ("train --backbone=mobilenet224_1.0 csv a.csv", "now: --backbone mobilenet. See"),
        ("train --backbone EfficientNetB3 csv a.csv", "now: --backbone efficientnet_b3"),
        ("train --backbone seresnext50 csv a.csv", "SE-Nets are not built here"),
        ("train csv a.csv --config lost.ini", "No such file or directory: 'lost.ini'"),
        ("debug kitti folder val", "got folder val after 'kitti'; a set is named by --set"),
        ("debug oid folder train --labels-filter Tree", "after 'oid'; a set is named by --set"),
        ("debug csv a.csv --config lost.ini", "No such file or directory: 'lost.ini'"),
    ],
)
def test_a_value_of_old_names_its_successor(words: str, message: str, capsys: pytest.CaptureFixture) -> None:
    program, *rest = words.split()
    with pytest.raises(SystemExit, match="2"):
        COMMANDS[f"retinanet-{program}"].main(rest)
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error


def test_debug_takes_the_anchors_of_an_ini(home: Path) -> None:
    words = ["csv", str(home / "annotations.csv"), "--config", str(home / "config.ini"), "--anchor-ratios", "1"]
    _, config = parse_network_arguments(debug.build_parser(), words)
    assert config.anchors.sizes == (16, 32, 64, 128, 256)
    assert config.anchors.scales == (1, 1.2, 1.6)
    assert config.anchors.ratios == (1,)
    assert (config.model.min_level, config.model.max_level) == (3, 7)
