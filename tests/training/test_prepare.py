"""Whole runs on a few small scenes: the folder they leave, and what they do when stopped, resumed or broken."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_retinanet import conv_gradients, winograd
from keras_retinanet.cli.train import parse
from keras_retinanet.config import TrainConfig
from keras_retinanet.config.tree import changed
from keras_retinanet.data.box_columns import BoxReport
from keras_retinanet.data.errors import DataError
from keras_retinanet.demo import scenes
from keras_retinanet.inference import load_model
from keras_retinanet.model.retinanet import RetinaNet
from keras_retinanet.optimizers.averaging import averages_of
from keras_retinanet.snapshots.run_folder import Run, read_config, read_progress
from keras_retinanet.snapshots.training_shapes import find_shapes
from keras_retinanet.training.find_rate import find_learning_rate
from keras_retinanet.training.non_finite import NonFiniteGuard, NonFiniteLossError
from keras_retinanet.training.prepare import prepare, train

pytestmark = pytest.mark.usefixtures("small_backbone", "direct_gradients")

TINY = {
    "data.dataset": "coco",
    "model.backbone": "mobilenet_025",
    "model.weights": "none",
    "model.max_level": 5,
    "model.fpn_width": 8,
    "model.head_width": 8,
    "model.head_depth": 1,
    "resize.min_side": 64,
    "resize.max_side": 96,
    "resize.is_square": True,
    "anchors.sizes": (16.0, 32.0, 64.0),
    "anchors.strides": (8, 16, 32),
    "optimizer.learning_rate": 0.01,
    "optimizer.schedule": "cosine",
    "optimizer.warmup_steps": 2,
    "optimizer.ema_decay": 0.9,
    "batch_size": 2,
    "epochs": 2,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    scenes.write_dataset(folder, num_train=6, num_val=3, seed=3)
    return folder


@pytest.fixture(scope="module")
def tiny(data: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    """Three steps an epoch on one canvas, without measuring."""
    runs = str(tmp_path_factory.mktemp("runs"))
    values = TINY | {"data.path": str(data), "snapshot_path": runs, "use_evaluation": False}
    return changed(TrainConfig(), values)


@pytest.fixture(scope="module")
def whole(tiny: TrainConfig) -> TrainConfig:
    """With measurements, and on canvases of several shapes."""
    return changed(tiny, {"use_evaluation": True, "resize.is_square": False})


@pytest.fixture(scope="module")
def measured(whole: TrainConfig) -> Run:
    """A complete run of two epochs with measurements; read only."""
    return Run(train(whole, log=quiet).folder)


@pytest.fixture(scope="module")
def finished(tiny: TrainConfig) -> Run:
    """A complete run of two epochs without measurements; read only."""
    return Run(train(tiny, log=quiet).folder)


@pytest.fixture(autouse=True)
def _no_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the runs that tests share draw their curves: they begin before this fixture."""
    monkeypatch.setattr("keras_retinanet.training.callbacks.draw_curves", lambda rows, path: None)


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps are counted and learn nothing, where data or what follows an epoch is tested: nothing to differentiate."""

    def step(model: RetinaNet, data: Any) -> dict[str, Any]:
        del data
        model.optimizer.iterations.assign_add(1)
        return model.get_metrics_result()

    monkeypatch.setattr(RetinaNet, "train_step", step)


def quiet(line: str) -> None:
    """Swallows the lines of a run."""
    del line


def stop_at(text: str) -> Callable[[str], None]:
    """A `log` that sends this process a SIGTERM at the first line with `text`."""

    def log(line: str) -> None:
        if text in line and signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
            signal.raise_signal(signal.SIGTERM)

    return log


def weights(path: Path) -> list[np.ndarray]:
    model = load_model(path)
    return [variable.numpy() for variable in (*model.weights, *model.optimizer.variables)]


@pytest.mark.usefixtures("idle")
def test_an_image_cut_off_while_a_run_is_under_way(tiny: TrainConfig, data: Path, tmp_path: Path) -> None:
    shutil.copytree(data, tmp_path / "data")
    image = next((tmp_path / "data" / "train2017").iterdir())
    config = changed(tiny, {"data.path": str(tmp_path / "data"), "epochs": 1})
    lines: list[str] = []

    def cut(line: str) -> None:
        lines.append(line)
        if line.startswith("run: "):
            image.write_bytes(image.read_bytes()[:500])

    result = train(config, log=cut)
    assert result.epochs == 1
    reported = [line for line in lines if str(image) in line]
    assert len(reported) == 2
    assert reported[0].startswith(f"warning: {image} cannot be decoded as an image; a grey picture")
    assert reported[1] == f"warning: 1 broken images were replaced by grey ones without boxes: {image}"
    with pytest.raises(DataError, match="cannot be decoded as an image"):
        train(changed(config, {"data.bad_data": "error"}), log=quiet)


def test_a_run_leaves_its_whole_folder(measured: Run, whole: TrainConfig) -> None:
    assert {path.name for path in measured.folder.iterdir()} == {
        "last.keras", "best.keras", "config.yaml", "metrics.csv", "curves.png", "state.json", "detections.jpg",
        "report.html",
    }  # fmt: skip
    assert read_config(measured.config) == whole
    rows = measured.rows()
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert {"loss", "classification_loss", "box_loss", "learning_rate", "val_AP", "val_AP50"} <= set(rows[0])
    assert measured.curves.read_bytes().startswith(b"\x89PNG")
    report = measured.report.read_text(encoding="utf-8")
    assert f"{measured.folder.name}, epoch {measured.best_epoch()}" in report
    assert '"title":"Validation metrics"' in report
    assert (read_progress(measured.last).epoch, read_progress(measured.last).step) == (2, 0)


def test_best_is_the_snapshot_of_the_best_epoch(measured: Run) -> None:
    best = measured.best_metric()
    assert best is not None
    assert read_progress(measured.best).epoch == best[0]


@pytest.mark.usefixtures("idle")
def test_best_follows_voc_if_that_is_the_metric(tiny: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Epoch 1 finds every box with IoU 0.52: mAP at IoU 0.5 is 1, COCO's AP 0.1. Epoch 2 finds the boxes of one image
    exactly: COCO's AP is higher, mAP lower. Epoch 3, after resuming, finds nothing."""
    epochs = iter([(0.52, 3), (1.0, 1), (1.0, 0)])

    def paint(*arguments: Any, **options: object) -> list[dict[str, Any]]:
        height, num_images = next(epochs)
        found = []
        for k, sample in enumerate(arguments[2]):
            count = len(sample["labels"]) if k < num_images else 0
            boxes = np.array(sample["boxes"][:count], np.float64)
            boxes[:, 3] = boxes[:, 1] + height * (boxes[:, 3] - boxes[:, 1])
            scores, labels = np.full(count, 0.9), sample["labels"][:count]
            found.append({"image_id": sample["image_id"], "boxes": boxes, "scores": scores, "labels": labels})
        return found

    monkeypatch.setattr("keras_retinanet.training.shared_detections.detect_dataset", paint)
    result = train(dataclasses.replace(tiny, use_evaluation=True, metric="voc"), log=quiet)
    run = Run(result.folder)
    first, second = run.rows()
    assert {name for name in first if name.startswith("val_")} == {"val_mAP", "val_weighted_mAP"}
    assert (float(first["val_mAP"]), 0 < float(second["val_mAP"]) < 0.9) == (1.0, True)
    assert (read_progress(run.best).epoch, read_progress(run.last).epoch) == (1, 2)
    assert f"<title>{run.folder.name}, epoch 1</title>" in run.report.read_text(encoding="utf-8")
    assert result.best == {name: float(value) for name, value in first.items()}

    resumed = parse(["--resume", str(run.folder), "--epochs", "3"]).config
    assert resumed.metric == "voc"
    assert train(resumed, resume=run.folder, log=quiet).best["epoch"] == 1
    assert [row["val_mAP"] for row in run.rows()][2] == "0.0"
    assert read_progress(run.best).epoch == 1
    with pytest.raises(SystemExit, match="2"):
        parse(["--resume", str(run.folder), "--metric", "coco"])


@pytest.mark.usefixtures("idle")
def test_best_follows_the_number_that_counts_all_boxes(tiny: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where images have more boxes than fizyr's mAP counts (here 1), up to the detector's limit."""

    def paint(*arguments: Any, **options: object) -> list[dict[str, Any]]:
        return [{**sample, "scores": np.linspace(1, 0.5, len(sample["labels"]))} for sample in arguments[2]]

    monkeypatch.setattr("keras_retinanet.training.shared_detections.detect_dataset", paint)
    monkeypatch.setattr("keras_retinanet.evaluation.fizyr.MAX_DETECTIONS", 1)
    lines: list[str] = []
    config = changed(tiny, {"use_evaluation": True, "metric": "fizyr", "epochs": 1, "filter.max_detections": 50})
    result = train(config, log=lines.append)
    assert result.best["val_mAP maxDets=50"] == 1 > result.best["val_mAP"]
    message = "best.keras follows mAP maxDets=50: some validation images have more boxes than mAP counts"
    assert message in lines


@pytest.mark.usefixtures("idle")
def test_a_run_ends_when_its_monitored_number_no_longer_improves(
    tiny: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recall rises to epoch 2, and then no more. Resumed, the run counts on, ends after epoch 5, and then at once."""
    counts = iter([1, 2, 1, 2, 0, 0])

    def paint(*arguments: Any, **options: object) -> list[dict[str, Any]]:
        count = next(counts)
        return [
            {"image_id": sample["image_id"], "boxes": sample["boxes"][:count], "labels": sample["labels"][:count],
             "scores": np.full(len(sample["labels"][:count]), 0.9)}
            for sample in arguments[2]
        ]  # fmt: skip

    monkeypatch.setattr("keras_retinanet.training.shared_detections.detect_dataset", paint)
    lines: list[str] = []
    config = changed(tiny, {"use_evaluation": True, "monitor": "f1.recall", "patience": 3, "epochs": 3})
    result = train(config, log=lines.append)
    assert (result.epochs, result.best["epoch"], result.stopped_by) == (3, 2, None)
    assert "best.keras follows f1.recall" in lines
    run = Run(result.folder)
    assert read_progress(run.best).epoch == 2
    resumed = parse(["--resume", str(run.folder), "--epochs", "9"]).config
    assert train(resumed, resume=run.folder, log=lines.append).epochs == 5
    assert lines.count("stopped: val_f1.recall has not improved in 3 evaluations") == 1
    assert train(resumed, resume=run.folder, log=quiet).epochs == 5
    with pytest.raises(ValueError, match="--patience 3 needs validation images"):
        train(changed(config, {"use_evaluation": False, "monitor": None}), log=quiet)


def test_snapshots_carry_what_detection_needs(measured: Run) -> None:
    model = load_model(measured.best)
    assert model.class_names == tuple(scenes.CLASS_NAMES)
    assert (model.resize_config.min_side, model.resize_config.max_side) == (64, 96)
    assert model.anchors.sizes == TINY["anchors.sizes"]
    assert int(model.optimizer.iterations.numpy()) == 3 * read_progress(measured.best).epoch
    # height x width 373 x 459 becomes 64 x 79 and 462 x 459 is 64 x 64; the others are 476 x 336 to 427 x 396
    assert find_shapes(model.metadata, model.resize_config) == [(64, 96, 2), (96, 64, 4)]


def test_stopped_inside_an_epoch_and_resumed_equals_straight(finished: Run, tiny: TrainConfig) -> None:
    """SIGTERM comes at the end of epoch 1, so that step 1 of epoch 2 is done before the run stops.

    Weights, their averages and momenta are compared."""
    former = signal.getsignal(signal.SIGTERM)
    stopped = train(tiny, log=stop_at("epoch 1/2  3 steps"))
    assert stopped.stopped_by == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == former
    progress = read_progress(stopped.folder / "last.keras")
    assert (progress.epoch, progress.step) == (1, 1)

    resumed = train(read_config(stopped.folder / "config.yaml"), resume=stopped.folder, log=quiet)
    assert resumed.folder == stopped.folder
    assert read_progress(resumed.folder / "last.keras").averaged
    assert resumed.stopped_by is None
    assert [row["epoch"] for row in Run(resumed.folder).rows()] == ["1", "2"]
    assert read_progress(resumed.folder / "last.keras").epoch == 2
    assert load_model(resumed.folder / "last.keras").metadata == load_model(finished.last).metadata
    for ours, theirs in zip(weights(resumed.folder / "last.keras"), weights(finished.last), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


@pytest.mark.slow
def test_a_run_by_winograd_is_another_and_resumes_with_the_same_bits(
    finished: Run, tiny: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(winograd, "LEAST_CHANNELS", 8)
    monkeypatch.setattr(winograd.convolution, "LEAST_TILES", 8)
    config = dataclasses.replace(tiny, winograd="auto")
    straight = weights(train(config, log=quiet).folder / "last.keras")
    stopped = train(config, log=stop_at("epoch 1/2  3 steps")).folder
    train(read_config(stopped / "config.yaml"), resume=stopped, log=quiet)
    for ours, theirs in zip(weights(stopped / "last.keras"), straight, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    direct = weights(finished.last)
    assert any(not np.array_equal(ours, theirs) for ours, theirs in zip(straight, direct, strict=True))
    for ours, theirs in zip(straight, direct, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-3)


def test_stopped_while_measuring_is_measured_on_resuming(tiny: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    config = dataclasses.replace(tiny, use_evaluation=True, epochs=1)
    with monkeypatch.context() as patch:

        def stop(*arguments: object, progress: Callable[[int], None], **rest: object) -> None:
            signal.raise_signal(signal.SIGINT)
            progress(1)

        patch.setattr("keras_retinanet.training.shared_detections.detect_dataset", stop)
        stopped = train(config, log=quiet)
    assert stopped.stopped_by == signal.SIGINT
    assert Run(stopped.folder).rows() == []
    assert read_progress(stopped.folder / "last.keras").epoch == 1

    resumed = train(config, resume=stopped.folder, log=quiet)
    assert resumed.epochs == 1
    assert "val_AP" in resumed.figures
    assert resumed.figures["loss"] > 0


def test_a_loss_that_is_not_finite_names_the_images_and_keeps_the_snapshot(finished: Run, tiny: TrainConfig) -> None:
    ruinous = changed(tiny, {"optimizer.learning_rate": 1e30, "optimizer.clip_norm": 0.0, "epochs": 4})
    before = finished.last.read_bytes()
    training = prepare(ruinous, resume=finished.folder, log=quiet)
    finished.write_config(tiny)
    with pytest.raises(NonFiniteLossError, match=r"not finite.*Images of the batch: .*train2017.*\.jpg") as caught:
        training.fit()
    assert str(finished.last) in str(caught.value)
    assert finished.last.read_bytes() == before
    assert [row["epoch"] for row in finished.rows()] == ["1", "2"]


@pytest.mark.slow
def test_resumed_from_any_snapshot_the_run_is_the_same_to_the_last_bit(tiny: TrainConfig, tmp_path: Path) -> None:
    """Weights, optimizer, averages and `metrics.csv`, resumed inside the first epoch."""
    values = {"save_every": "2", "keep": 9, "optimizer.ema_decay": 0.9, "snapshot_path": str(tmp_path)}
    config = changed(tiny, values)
    run = Run(train(config, log=quiet).folder)
    names = [f"epoch{epoch:04d}-step{step:06d}.keras" for epoch, step in ((0, 0), (0, 2), (1, 0), (1, 2))]
    assert sorted(path.name for path in run.folder.glob("epoch*")) == names
    whole, rows = weights(run.last), run.rows()
    (run.folder / ".last.1.part.keras").write_text("half")
    train(config, resume=run.folder / names[1], log=quiet)
    assert run.rows() == rows
    for ours, theirs in zip(weights(run.last), whole, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert not list(run.folder.glob(".*"))


def test_a_run_that_ended_before_its_first_snapshot_starts_again(finished: Run, tiny: TrainConfig) -> None:
    training = prepare(tiny, log=quiet)
    lines: list[str] = []
    config = parse(["--resume", str(training.run.folder)]).config
    result = train(config, resume=training.run.folder, log=lines.append)
    assert result.folder == training.run.folder
    assert lines[0] == f"{result.folder} ended before its first snapshot, so it starts from the beginning"
    for ours, theirs in zip(weights(result.folder / "last.keras"), weights(finished.last), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_other_boxes_than_those_of_the_snapshot_cannot_be_resumed(
    finished: Run, tiny: TrainConfig, data: Path, tmp_path: Path
) -> None:
    moved = shutil.copytree(data, tmp_path / "moved")
    config = changed(tiny, {"data.path": str(moved)})
    prepare(config, resume=finished.folder, log=quiet)
    annotations = moved / "annotations" / "instances_train2017.json"
    text = json.loads(annotations.read_text())
    text["annotations"][0]["bbox"][2] -= 1
    annotations.write_text(json.dumps(text))
    with pytest.raises(ValueError, match=r"The boxes of the training data are not those that .*last\.keras was"):
        prepare(config, resume=finished.folder, log=quiet)
    finished.write_config(tiny)


def test_a_loss_that_is_not_finite_restores_the_last_snapshot_at_half_the_rate(
    tiny: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fifth batch fails once: the run goes back to the end of epoch 1, which was step 3."""
    lines: list[str] = []
    training = prepare(changed(tiny, {"on_nan": "restore", "optimizer.schedule": "constant"}), log=lines.append)
    failed, seen = [], []
    former = NonFiniteGuard.on_train_batch_end

    def fail_once(guard: NonFiniteGuard, batch: int, logs: Any = None) -> None:
        seen.append(int(guard.model.optimizer.iterations.numpy()))
        if seen[-1] == 5 and not failed:
            failed.append(batch)
            guard.model.trainable_variables[0].assign(guard.model.trainable_variables[0] * np.nan)
            logs = {"loss": float("nan")}
        former(guard, batch, logs)

    monkeypatch.setattr(NonFiniteGuard, "on_train_batch_end", fail_once)
    result = training.fit()
    assert seen == [1, 2, 3, 4, 5, 4, 5, 6]
    assert (result.epochs, training.progress.rate_scale, training.progress.failures) == (2, 0.5, 1)
    assert [row["learning_rate"] for row in Run(result.folder).rows()] == ["0.01", "0.005"]
    assert np.isfinite(result.figures["loss"])
    assert any(line.startswith("warning: The loss of step 2 is not finite (nan).") for line in lines)
    assert read_progress(result.folder / "last.keras").rate_scale == 0.5


@pytest.mark.slow
def test_a_step_that_does_not_fit_into_memory_is_computed_in_parts(
    tiny: TrainConfig, finished: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second step of epoch 2 fails once. The run goes on with the same step in two parts, and the same batches."""
    lines: list[str] = []
    frozen = {"model.weights": str(finished.last), "data.augment": "none"}  # batch normalisation is frozen
    straight = train(changed(tiny, frozen), log=quiet)
    training = prepare(changed(tiny, frozen), log=lines.append)
    make, failed = training.model.make_train_function, []

    def make_failing(force: bool = False) -> None:
        make(force)
        step = training.model.train_function

        def run(iterator: Any) -> Any:
            if int(training.model.optimizer.iterations.numpy()) == 4 and not failed:
                failed.append(next(iterator))
                raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")
            return step(iterator)

        if not failed:
            training.model.train_function = run

    monkeypatch.setattr(training.model, "make_train_function", make_failing)
    result = training.fit()
    assert failed
    assert "warning: memory was used up; steps are computed in 2 parts from here on" in lines
    assert read_config(training.run.config).accumulate == 2
    assert result.figures["loss"] == pytest.approx(straight.figures["loss"], rel=1e-4)
    for ours, theirs in zip(
        weights(result.folder / "last.keras"), weights(straight.folder / "last.keras"), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_memory_chooses_batch_and_parts(tiny: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four images fit: a batch of four; and one of six in two parts of three."""
    monkeypatch.setattr("keras_retinanet.training.fit_memory.MemoryTrial", lambda *given: lambda count: count <= 4)
    lines: list[str] = []
    training = prepare(changed(tiny, {"batch_size": 0}), log=lines.append)
    assert (training.config.batch_size, training.config.accumulate) == (4, 1)
    assert training.batches.steps_per_epoch == 2
    assert "memory: 4 images of 96×96 fit into the memory of a device: batch 4, in 1 parts" in lines
    training = prepare(changed(tiny, {"batch_size": 6, "accumulate": 0}), log=quiet)
    assert (training.config.batch_size, training.config.accumulate) == (6, 2)
    assert training.model.micro_batches == 2


def test_a_batch_that_cannot_be_divided_is_refused(tiny: TrainConfig) -> None:
    with pytest.raises(ValueError, match="--batch-size 2 cannot be divided into 3 parts without a rest"):
        prepare(changed(tiny, {"accumulate": 3}), log=quiet)
    with pytest.raises(ValueError, match=r"--devices CPU:7: there is no cpu:7; allowed are all, a number, and names"):
        prepare(changed(tiny, {"devices": "CPU:7"}), log=quiet)


def test_a_frozen_backbone_stays_as_it_is(measured: Run, tiny: TrainConfig) -> None:
    config = changed(tiny, {"freeze_backbone": True, "model.weights": str(measured.last), "epochs": 1})
    frozen = load_model(train(config, log=quiet).folder / "last.keras")
    source = load_model(measured.last)
    for ours, theirs in zip(frozen.backbone.weights, source.backbone.weights, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    assert not np.array_equal(frozen.neck.weights[0].numpy(), source.neck.weights[0].numpy())
    assert frozen.backbone.trainable_variables == []


def test_float16_scales_the_loss_and_keeps_it_finite(tiny: TrainConfig) -> None:
    config = changed(tiny, {"mixed_precision": "float16", "epochs": 1, "data.limit": 2})
    result = train(config, log=quiet)
    model = load_model(result.folder / "last.keras")
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert np.isfinite(result.figures["loss"])
    assert keras.config.dtype_policy().name == "float32"


def test_says_what_it_found_before_the_first_step(tiny: TrainConfig) -> None:
    lines: list[str] = []
    prepare(changed(tiny, {"data.limit": 5, "steps": 7}), log=lines.append)
    text = "\n".join(lines)
    assert "train2017 5 images, " in text
    assert f"{len(scenes.CLASS_NAMES)} classes" in text
    assert "2 epochs of 7 steps of 2 images" in text
    assert "learning rate 0.01: as given" in text
    assert re.search(r"anchors: \d+\.\d% of \d+ boxes have a positive anchor", text)


def test_the_snapshot_keeps_what_was_decided_about_its_images(tiny: TrainConfig, tmp_path: Path) -> None:
    """A photo annotated as stored (80 x 60, a box ends at column 78), and images of twelve bits."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (80, 60)).save(tmp_path / "a.jpg", exif=exif)
    Image.fromarray(np.full((60, 80), 4000, np.uint16)).save(tmp_path / "b.png")
    (tmp_path / "boxes.csv").write_text("a.jpg,50,5,78,40,cow\nb.png,5,5,40,40,cow\n")
    values = {"data.dataset": "csv", "data.annotations": str(tmp_path / "boxes.csv"), "data.use_index_cache": False}
    lines: list[str] = []
    training = prepare(changed(tiny, values), log=lines.append)
    assert (training.model.resize_config.exif, training.model.resize_config.bit_depth) == ("ignore", 12)
    written = read_config(training.run.config)
    assert (written.resize.exif, written.resize.bit_depth, written.data.exif) == ("ignore", 12, "auto")
    assert sum("EXIF orientation" in line or "so they count as 12-bit" in line for line in lines) == 2
    upright = prepare(changed(tiny, values | {"data.exif": "apply", "data.bit_depth": 14}), log=quiet).model
    assert (upright.resize_config.exif, upright.resize_config.bit_depth) == ("apply", 14)


def test_other_images_than_the_snapshots_cannot_be_resumed(finished: Run, tiny: TrainConfig) -> None:
    assert read_progress(finished.last).images == 6
    with pytest.raises(ValueError, match=r"was trained on 6 images, and now there are 4.*--weights"):
        prepare(changed(tiny, {"data.limit": 4}), resume=finished.folder, log=quiet)


def test_a_threshold_a_class_needs_all_classes(tiny: TrainConfig) -> None:
    with pytest.raises(ValueError, match=r"one value for each of the 6 classes \(disc, ring, .*got 1"):
        prepare(changed(tiny, {"filter.class_thresholds": (0.5,)}), log=quiet)


def test_other_classes_than_the_snapshots_cannot_be_resumed(finished: Run, tiny: TrainConfig) -> None:
    class Other:
        class_names = ("one", "two")
        report = BoxReport()

        def __iter__(self):
            return iter(())

    with pytest.raises(ValueError, match="classes are not those of the data"):
        prepare(tiny, Other(), resume=finished.folder, log=quiet)  # type: ignore[arg-type]


@pytest.mark.slow
def test_averages_and_a_backbone_that_joins_resume_exactly(
    finished: Run, tiny: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in epoch 2, right after the backbone joined: weights, averages and momenta are those of a straight run,
    also through float16's loss scaling and with gradients as products."""
    monkeypatch.setattr(conv_gradients.products, "product_dtypes", lambda: frozenset({"float32"}))
    values = {
        "model.weights": str(finished.last), "optimizer.optimizer": "adamw", "optimizer.ema_decay": 0.9,
        "optimizer.learning_rate": 1e-3, "optimizer.backbone_rate": 0.5, "optimizer.layer_decay": 0.7,
        "unfreeze_at": 1, "data.augment": "none", "mixed_precision": "float16",
    }  # fmt: skip
    config = changed(tiny, values)
    straight = train(config, log=quiet)
    stopped = train(config, log=stop_at("the backbone is trained from epoch 2 on"))
    assert (read_progress(stopped.folder / "last.keras").step, stopped.stopped_by) == (1, signal.SIGTERM)
    resumed = train(read_config(stopped.folder / "config.yaml"), resume=stopped.folder, log=quiet)
    assert read_progress(resumed.folder / "last.keras").averaged
    ours, theirs = (weights(result.folder / "last.keras") for result in (resumed, straight))
    for our, their in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(our, their)
    model = load_model(resumed.folder / "last.keras")
    raw = averages_of(model.optimizer)  # the snapshot's own weights are the averages
    differ = [not np.array_equal(a.numpy(), b.numpy()) for a, b in zip(raw, model.trainable_variables, strict=True)]
    assert any(differ)


def test_the_last_epochs_are_averaged_and_measured(whole: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The weights of the snapshot are the mean of the raw ones after epochs 2 and 3, and those are measured."""
    raw: list[np.ndarray] = []
    measured: list[np.ndarray] = []

    def first_kernel(model: Any) -> np.ndarray:
        kernel: np.ndarray = model.neck.trainable_variables[0].numpy()
        return kernel

    def paint(*arguments: Any, **options: object) -> list[dict[str, Any]]:
        measured.append(first_kernel(arguments[0].network))
        return [{**sample, "scores": np.ones(len(sample["labels"]))} for sample in arguments[2]]

    monkeypatch.setattr("keras_retinanet.training.shared_detections.detect_dataset", paint)
    values = {"optimizer.swa_epochs": 2, "optimizer.ema_decay": 0.0, "epochs": 3, "resize.is_square": True}
    config = changed(whole, values)
    training = prepare(config, log=quiet)
    former = training.run.write_row

    def write_row(epoch: int, figures: Any) -> Any:
        raw.append(first_kernel(training.model))
        return former(epoch, figures)

    monkeypatch.setattr(training.run, "write_row", write_row)
    result = training.fit()
    np.testing.assert_array_equal(measured[0], raw[0])
    np.testing.assert_array_equal(measured[1], raw[1])
    np.testing.assert_allclose(measured[2], (raw[1] + raw[2]) / 2, rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(first_kernel(load_model(result.folder / "last.keras")), measured[2])


def test_trial_steps_leave_no_trace(tiny: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a range test and a measured time the run is the one that nothing was tried for."""
    monkeypatch.setattr(conv_gradients.products, "product_dtypes", lambda: frozenset({"float32"}))
    lines: list[str] = []
    config = changed(tiny, {"time": "10m", "optimizer.ema_decay": 0.9})
    training = prepare(config, log=lines.append)
    assert isinstance(training.model.class_head.predictors[0].convolution_op, conv_gradients._Operation)
    epochs = training.config.epochs
    assert epochs > 2
    assert training.schedule.total_steps == 3 * epochs
    assert read_config(training.run.config) == training.config
    line = rf"time 10m: {epochs} epochs \({config.epochs} were planned\), at [\d.e-]+ s a step over \d+ steps"
    assert re.search(line, training.run.recipe.read_text())
    untouched = prepare(changed(tiny, {"optimizer.ema_decay": 0.9}), log=quiet)
    before = [variable.numpy() for variable in (*untouched.model.weights, *untouched.model.optimizer.variables)]
    found = find_learning_rate(untouched, steps=6)
    assert len(found.losses) == 6
    for model in (training.model, untouched.model):
        for variable, value in zip((*model.weights, *model.optimizer.variables), before, strict=True):
            np.testing.assert_array_equal(variable.numpy(), value)
    assert untouched.schedule.total_steps == 6
