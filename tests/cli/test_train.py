"""The command line: flags, what is refused, and a run in a process of its own that is told to stop."""

from __future__ import annotations

import errno
import itertools
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from keras_retinanet.assigners import assigner_constants
from keras_retinanet.cli.dataset_arguments import dataset_words
from keras_retinanet.cli.parsing import join_numbers
from keras_retinanet.cli.train import WORDS, is_image_by_image, main, parse
from keras_retinanet.cli.train_summary import print_summary
from keras_retinanet.config import TrainConfig
from keras_retinanet.config.presets import DEMO
from keras_retinanet.config.settings import AUTO
from keras_retinanet.config.tree import changed, flag_name, settings, to_dict
from keras_retinanet.demo import scenes
from keras_retinanet.losses import class_constants
from keras_retinanet.snapshots.run_folder import Run
from keras_retinanet.training.launchers import ProcessSettings
from keras_retinanet.training.run_result import RunResult

ROOT = Path(__file__).resolve().parents[2]


def refused(argv: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a wrong command line is answered with."""
    with pytest.raises(SystemExit) as caught:
        parse(argv)
    assert caught.value.code == 2
    text = capsys.readouterr().err
    assert text.count("\n") == 1, text
    return text


@pytest.mark.parametrize(
    ("name", "flag"),
    [
        ("anchors.sizes", "--anchor-sizes"),
        ("resize.min_side", "--image-min-side"),
        ("resize.is_square", "--image-square"),
        ("assigner.use_force_match", "--force-match"),
        ("loss.classification", "--loss"),
        ("loss.box", "--box-loss"),
        ("data.train_set", "--set"),
        ("data.val_set", "--val-set"),
        ("use_evaluation", "--evaluation"),
        ("mixed_precision", "--mixed-precision"),
    ],
)
def test_flags_are_named_after_settings(name: str, flag: str) -> None:
    assert flag_name(name) == flag


def test_every_setting_has_a_flag_of_its_own() -> None:
    flags = [flag_name(setting.name) for setting in settings(TrainConfig)]
    assert len(set(flags)) == len(flags)


def test_without_flags_all_settings_are_the_defaults() -> None:
    order = parse(["coco", "data", "--weights", "none"])
    expected = {"recipe": "modern", "data.path": "data", "model.weights": "none"}
    assert order.config == changed(TrainConfig(), expected)
    assert order.chosen == frozenset(expected) | {"data.dataset"}
    assert order.resume is None


@pytest.mark.parametrize(
    "argv",
    [
        ["coco", "data", "--epochs", "3", "--no-evaluation", "--anchor-ratios", "0.5,1", "--loss", "cross_entropy"],
        ["--epochs", "3", "--no-evaluation", "--anchor-ratios", "0.5", "1", "--loss=cross_entropy", "coco", "data"],
        ["--no-evaluation", "coco", "--anchor-ratios", "0.5,", "1", "data", "--epochs=3", "--loss", "cross_entropy"],
    ],
)
def test_flags_stand_anywhere_and_lists_take_commas_or_blanks(argv: list[str]) -> None:
    expected = {
        "data.path": "data", "epochs": 3, "use_evaluation": False, "anchors.ratios": (0.5, 1.0),
        "loss.classification": "cross_entropy", "recipe": "modern",
    }  # fmt: skip
    assert parse(argv).config == changed(TrainConfig(), expected)


def test_only_numbers_right_after_a_list_flag_are_joined() -> None:
    words = ["--anchor-sizes", "1", "2.5", "coco", "7", "--seed", "1", "2"]
    assert join_numbers(words, ["--anchor-sizes"]) == ["--anchor-sizes", "1,2.5", "coco", "7", "--seed", "1", "2"]


def test_the_first_number_may_stand_behind_an_equals_sign() -> None:
    words = ["--anchor-sizes=1", "2.5", "coco", "--seed=1", "2"]
    assert join_numbers(words, ["--anchor-sizes"]) == ["--anchor-sizes=1,2.5", "coco", "--seed=1", "2"]


def test_a_square_of_pixels_has_no_shorter_side_to_refuse() -> None:
    assert parse(["coco", "data", "--image-square", "--image-max-side", "512"]).config.resize.max_side == 512


def test_demo_brings_its_preset_and_flags_go_before_it() -> None:
    config = parse(["demo", "somewhere", "--epochs", "1"]).config
    given = {"recipe": "modern", "data.dataset": "demo", "data.path": "somewhere", "epochs": 1}
    assert config == changed(TrainConfig(), {**DEMO, **given})


def test_a_flat_share_needs_a_schedule_that_has_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["coco", "data", "--recipe", "paper"], ["demo", "somewhere", "--schedule", "cosine"]):
        schedule = "step" if "paper" in words else "cosine"
        expected = f"--flat-share 0.6 does not apply to --schedule {schedule}. Leave it out"
        assert expected in refused([*words, "--flat-share", "0.6"], capsys)
        assert parse(words).config.optimizer.schedule == schedule
    for words in (["coco", "data"], ["demo", "somewhere"], ["coco", "data", "--schedule", "flat_cosine"]):
        assert parse([*words, "--flat-share", "0.6"]).config.optimizer.flat_share == 0.6
    stored = changed(TrainConfig(), {**DEMO, "optimizer.schedule": "cosine", "data.dataset": "coco"})
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(to_dict(stored)))
    assert parse(["coco", "data", "--config", str(tmp_path / "config.yaml")]).config.optimizer.schedule == "cosine"


@pytest.mark.parametrize("loss", ["multibox", "focal"])
@pytest.mark.parametrize(
    ("architecture", "side"),
    [("ssd300_vgg16", 300), ("ssd512_vgg16", 512), ("ssdlite320_mobilenet_v3_large", 320)],
)
def test_an_ssd_with_either_loss(architecture: str, side: int, loss: str) -> None:
    words = ["demo", "somewhere", "--weights", "none", "--architecture", architecture, "--loss", loss]
    config = parse(words).config
    assert (config.model.architecture, config.loss.classification) == (architecture, loss)
    assert (config.resize.shape, config.loss.beta) == ((side, side), 1.0)
    constants = {"positive_iou": 0.5, "negative_iou": 0.5, "use_force_match": True, "forced_box": "own"}
    assert config.assigner.assigner == "iou_threshold"
    assert assigner_constants(config.assigner) == constants
    assert class_constants(config.loss)["negative_ratio" if loss == "multibox" else "gamma"] is not None


def test_csv_words() -> None:
    data = parse(["csv", "a.csv", "c.csv", "--val-annotations", "v.csv"]).config.data
    assert (data.annotations, data.classes, data.val_annotations) == ("a.csv", "c.csv", "v.csv")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["coco"], "coco PATH"),
        (["cocoo", "data"], "cocoo"),
        (["coco", "data", "--epoch", "3"], "did you mean --epochs?"),
        (["coco", "data", "--batchsize=3"], "did you mean --batch-size?"),
        (["coco", "data", "--epochs", "three"], "--epochs: invalid whole number value: 'three'"),
        (["coco", "data", "--epochs", "0"], "--epochs must be at least 1, got 0"),
        (["coco", "data", "--backbone", "resnet51"], "resnet51"),
        (["coco", "data", "--anchor-sizes", "32,64"], "one value for each of the 5 pyramid levels"),
        (
            ["coco", "data", "--architecture", "ssd300_vgg16", "--quality-score", "product"],
            "--quality-score does not apply to --architecture ssd300_vgg16",
        ),
        (
            ["coco", "data", "--default-box-sizes", "9"],
            "--default-box-sizes does not apply to --architecture retinanet",
        ),
        (["coco", "data", "--anchor-ratios", "0"], "--anchor-ratios must be greater than 0"),
        (["coco", "data", "--min-level", "2"], "6 pyramid levels (2 to 7), got 5"),
        (["coco", "data", "--max-level", "8"], "--min-level is 2 or 3 and --max-level 5, 6 or 7; got 3 and 8"),
        (["coco", "data", "--max-detections", "0"], "--max-detections must be at least 1, got 0"),
        (["coco", "data", "--top-k", "0"], "--top-k must be at least 1, got 0"),
        (["coco", "data", "--image-pad-multiple", "0"], "--image-pad-multiple must be at least 1, got 0"),
        (["coco", "data", "--head-depth=-1"], "--head-depth must be 0 or more, got -1"),
        (["coco", "data", "--clip-margin=-5"], "--clip-margin must be 0 or more, got -5"),
        (["coco", "data", "--focal-gamma=-1"], "--focal-gamma must be 0 or more, got -1"),
        (["coco", "data", "--focal-alpha", "nan"], "--focal-alpha must be a finite number, got nan"),
        (["coco", "data", "--focal-alpha", "2"], "--focal-alpha must lie between 0 and 1, got 2"),
        (["coco", "data", "--learning-rate", "inf"], "--learning-rate must be a finite number, got inf"),
        (["coco", "data", "--snapshot-path", f"{__file__}/runs"], "test_train.py is not a folder"),
        (["coco", "data", "--weights", str(ROOT / "tests")], "has no best.keras or last.keras"),
        (["coco", "data", "--image-min-side", "900", "--image-max-side", "800"], "larger than --image-max-side 800"),
        (["coco", "data", "--optimizer", "adam", "--weight-decay", "0.1"], "adamw"),
        (["coco", "data", "--freeze-backbone", "--weights", "none"], "random features"),
        (["coco", "data", "--weights", "no/such/file"], "no/such/file: no such file"),
        (["coco", "data", "--val-annotations", "v.csv"], "belongs to csv"),
        (["coco", "data", "--negative-iou", "0.6"], "larger than --positive-iou"),
        (["coco", "data", "--head-norm", "group", "--head-width", "48"], "multiple of 32"),
        (["coco", "data", "--learning-rate", "0"], "--learning-rate must be greater than 0"),
        (["coco", "data", "--seed", "-1"], "--seed must be 0 or more"),
        (["coco", "data", "--monitor", "APx"], "--monitor APx: the metric coco has no such number. It has AP, AP50,"),
        (["csv", "a.csv", "--set", "train"], "name splits; csv takes files"),
        (["coco", "data", "--config", "no/such.yaml"], "no/such.yaml"),
        (["coco", "data", "--num-processes", "2"], "given without --coordinator-address and --process-id"),
        (["--resume", "no/such/run"], "no/such/run: no such run"),
        (["--resume", "no/such/run", "--epoch", "3"], "did you mean --epochs?"),
    ],
)
def test_refuses_in_one_line(argv: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert message in refused(argv, capsys)


def test_tensorboard_that_is_missing_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "pip install tensorboard" in refused(["coco", "data", "--tensorboard-dir", "logs"], capsys)
    message = "--wandb needs the package wandb (extra `wandb`): pip install wandb"
    assert message in refused(["coco", "data", "--wandb", "cats"], capsys)
    assert "--mlflow needs the package mlflow (extra `mlflow`)" in refused(["coco", "data", "--mlflow", "cats"], capsys)


def former_run(folder: Path, **more: object) -> Run:
    """A run's folder with its settings, and something in the place of a snapshot."""
    run = Run.create(folder, "coco-resnet50")
    run.write_config(changed(TrainConfig(), {"data.path": "data", "epochs": 5, "model.weights": "none", **more}))
    run.last.touch()
    return run


def test_processes_are_found_in_flags_and_variables(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert parse(["coco", "data"]).processes is None
    flags = ["--coordinator-address", "node1:6006", "--num-processes", "2", "--process-id", "1"]
    assert parse(["coco", "data", *flags]).processes == ProcessSettings("node1:6006", 2, 1, "flags")
    monkeypatch.setenv("TF_CONFIG", '{"cluster": {"worker": ["a:1", "b:1"]}}')
    assert "Keras 3 does not support MultiWorkerMirroredStrategy" in refused(["coco", "data"], capsys)
    for name, value in {"MASTER_ADDR": "a", "MASTER_PORT": "7", "WORLD_SIZE": "2", "RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    assert parse(["coco", "data"]).processes == ProcessSettings("a:7", 2, 0, "torchrun's variables")


def test_resuming_takes_the_settings_of_the_run_and_some_flags(tmp_path: Path) -> None:
    run = former_run(tmp_path)
    order = parse(["--resume", str(run.folder), "--epochs", "9"])
    assert order.resume == str(run.folder)
    assert (order.config.epochs, order.config.data.path, order.config.snapshot_path) == (9, "data", str(tmp_path))
    assert parse(["--resume", str(run.last), "coco", "moved"]).config.data.path == "moved"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--backbone", "vgg16"], "--backbone cannot change with --resume (it is resnet50)"),
        (["--batch-size", "4"], "--batch-size cannot change"),
        (["--config", "x.yaml"], "remove --config"),
    ],
)
def test_resuming_refuses_what_would_be_another_run(
    flags: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in refused(["--resume", str(former_run(tmp_path).folder), *flags], capsys)


def test_the_settings_of_a_former_run_serve_as_defaults(tmp_path: Path) -> None:
    config = parse(["coco", "other", "--config", str(former_run(tmp_path).config), "--seed", "4"]).config
    assert (config.epochs, config.seed, config.data.path) == (5, 4, "other")


def test_a_broken_config_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.yaml").write_text("epoch: 3\n", encoding="utf-8")
    message = refused(["coco", "data", "--config", str(tmp_path / "config.yaml")], capsys)
    assert "Unknown setting 'epoch'" in message
    assert "config.yaml" in message
    (tmp_path / "config.yaml").write_text("anchors:\n  sizes: 32\n", encoding="utf-8")
    message = refused(["coco", "data", "--config", str(tmp_path / "config.yaml")], capsys)
    assert "anchors.sizes is 32, which is not a list of numbers" in message


def test_a_rate_that_yaml_takes_for_a_word_is_a_number(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("optimizer:\n  learning_rate: 1e-3\n", encoding="utf-8")
    assert parse(["coco", "data", "--config", str(tmp_path / "config.yaml")]).config.optimizer.learning_rate == 0.001


def test_data_that_are_not_there_end_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["coco", str(tmp_path), "--weights", "none", "--snapshot-path", str(tmp_path / "runs")]) == 2
    assert str(tmp_path) in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ("pascal voc --val-set test", "pascal voc --set test"),
        ("csv a.csv c.csv --val-annotations v.csv", "csv v.csv c.csv"),
        ("csv 'my data/a.csv'", "csv 'my data/a.csv'"),
        ("pascal voc --difficult keep", "pascal voc --difficult keep"),
        ("coco a.json --image-dir photos", "coco a.json --image-dir photos"),
        ("pascal voc --voc-origin 0", "pascal voc --voc-origin 0"),
    ],
)
def test_the_words_of_the_next_command(argv: str, words: str) -> None:
    assert dataset_words(parse(shlex.split(argv)).config.data) == shlex.split(words)


def test_what_a_stopped_run_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("keras_retinanet.cli.startup._locate", lambda command: [command])  # as if it were on PATH
    config = changed(TrainConfig(), {"epochs": 2})
    print_summary(RunResult(tmp_path / "my run", 1, {}, {}, signal.SIGINT), config)
    assert capsys.readouterr().out == (
        f"\nStopped in epoch 2 of 2. Continue with:\n  retinanet-train --resume '{tmp_path}/my run'\n"
    )
    print_summary(RunResult(tmp_path, 2, {}, {}, signal.SIGINT), config)
    assert "All 2 epochs are trained; stopped before the last was measured" in capsys.readouterr().out


def test_a_full_disk_ends_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Full:
        run = Run(tmp_path)

        def fit(self) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("keras_retinanet.training.prepare.prepare", lambda *args, **kwargs: Full())
    assert main(["coco", str(tmp_path), "--weights", "none"]) == 2
    text = capsys.readouterr().err
    assert "No space left on device" in text
    assert f"--resume {tmp_path}" in text
    assert text.count("\n") == 1


def test_memory_may_decide_about_the_batch() -> None:
    config = parse(["coco", "data", "--batch-size", "auto", "--accumulate=auto"]).config
    assert (config.batch_size, config.accumulate) == (AUTO, AUTO)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("", False),
        ("--recipe fizyr", True),
        ("--recipe fizyr --batch-size 2", False),
        ("--recipe paper", False),
        ("--batch-size 1", True),
        ("--batch-size 4 --accumulate 4", True),
        ("--batch-size auto", False),
        ("--batch-size 4 --accumulate auto", False),
    ],
)
def test_whether_gradients_are_those_of_single_images(flags: str, expected: bool) -> None:
    assert is_image_by_image(parse(["coco", "data", *flags.split()])) is expected


def test_the_batch_of_a_resumed_run_is_its_own(tmp_path: Path) -> None:
    run = former_run(tmp_path, recipe="fizyr", batch_size=2)
    assert not is_image_by_image(parse(["--resume", str(run.folder)]))


def test_words_are_settings() -> None:
    assert set(WORDS) <= {setting.name for setting in settings(TrainConfig)}


TINY = {
    "--backbone": "resnet10_050", "--weights": "none", "--fpn-width": "8", "--head-width": "8", "--head-depth": "1",
    "--max-level": "5", "--anchor-sizes": "16,32,64", "--anchor-strides": "8,16,32", "--batch-size": "2",
    "--image-min-side": "64", "--image-max-side": "96", "--evaluate-every": "1000",
}  # fmt: skip


def test_sigterm_saves_and_tells_how_to_go_on(tmp_path: Path) -> None:
    """With the packages of a plain installation; the recipe chooses 300 epochs."""
    variables = {"PYTHONUNBUFFERED": "1", "PYTHONPATH": f"{ROOT / 'tests/fixtures/required_only'}{os.pathsep}{ROOT}"}
    scenes.write_dataset(tmp_path / "scenes", num_train=4, num_val=2, seed=1)
    command = [sys.executable, str(ROOT / "bin/retinanet-train"), "coco", str(tmp_path / "scenes")]
    process = subprocess.Popen(
        [*command, "--snapshot-path", str(tmp_path / "runs"), "--image-square", *itertools.chain(*TINY.items())],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | variables,
    )  # fmt: skip
    assert process.stdout is not None
    seen = ""
    while "epoch 1/300" not in seen:
        line = process.stdout.readline()
        assert line, seen + process.communicate()[1]
        seen += line
    process.send_signal(signal.SIGTERM)
    rest, errors = process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGTERM, errors
    (folder,) = (tmp_path / "runs").iterdir()
    assert " of 300. Continue with:" in rest
    assert f"retinanet-train --resume {folder}" in rest
    assert (folder / "last.keras").stat().st_size > 0
    assert "SIGTERM: saving" in rest
    assert [path.name for path in folder.iterdir() if ".part" in path.name] == []


def test_an_earlier_flag_works_and_its_name_now_is_shown(monkeypatch, capsys):
    """No flag was renamed yet: the table is given two."""
    table = {"--image-side": "--image-min-side", "--anchor-lengths": "--anchor-sizes"}
    monkeypatch.setattr("keras_retinanet.config.aliases.FLAGS", table)
    sizes = ["--anchor-lengths", "8", "16", "32", "--anchor-strides", "8,16,32"]
    config = parse(["demo", "--image-side=96", "--image-max-side", "96", *sizes]).config
    assert (config.resize.min_side, config.anchors.sizes) == (96, (8.0, 16.0, 32.0))
    notes = set(capsys.readouterr().err.splitlines())
    assert notes == {f"note: {before} is an earlier name of {now}." for before, now in table.items()}
