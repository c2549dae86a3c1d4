"""From the settings of a run to a `Training`: open the data, build or restore the model, say what was found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import keras

from keras_retinanet.config import MixedPrecision, TrainConfig
from keras_retinanet.config.rules import check
from keras_retinanet.data.augment import PRESETS
from keras_retinanet.data.bad_images import BadImages
from keras_retinanet.data.datasets import Dataset
from keras_retinanet.data.open_dataset import has_validation, match_classes, open_dataset
from keras_retinanet.data.pipeline import TrainingBatches
from keras_retinanet.inference import load_model
from keras_retinanet.model.retinanet import RetinaNet
from keras_retinanet.optimizers.build import build_optimizer, build_schedule, peak_rate
from keras_retinanet.optimizers.schedules import WarmupSchedule
from keras_retinanet.schema import Sample
from keras_retinanet.snapshots.run_folder import Progress, Run, read_progress
from keras_retinanet.training.anchor_coverage import measure_coverage
from keras_retinanet.training.callbacks import random_states
from keras_retinanet.training.fit import Log, NonFiniteLossError, RunResult, Training, readable_data_errors
from keras_retinanet.training.initial_weights import build_model

__all__ = ["NonFiniteLossError", "RunResult", "Training", "prepare", "train"]

COVERAGE_IMAGES = 100
"""Training images that are matched with the anchors before the first step."""


def train(
    config: TrainConfig,
    train_data: Dataset | None = None,
    val_data: Dataset | None = None,
    *,
    resume: str | Path | None = None,
    log: Log = print,
) -> RunResult:
    """Trains a detector and keeps everything of the run in its own folder: `prepare`, then `fit`.

    Args:
        config: TrainConfig. All settings; of a run to resume, those in its `config.yaml`.
        train_data: Dataset. Images to learn from. Defaults to those that `config.data` names.
        val_data: Dataset. Images to measure AP on. Defaults to those that `config.data` names, where there are any.
        resume: str or Path. A run's folder or snapshot to go on from. Defaults to `None`, a new run.
        log: Callable. Where lines for people go. Defaults to `print`.

    Returns:
        Where the run is and what it reached.

    Raises:
        NonFiniteLossError: If the loss or the weights are no longer finite; the snapshots are those of before.
        ValueError: If the data are broken, the settings contradict each other, or the run cannot be resumed.

    Example:
        >>> result = train(TrainConfig(data=DataConfig("coco", "data/coco")))
        >>> model = keras_retinanet.load_model(result.folder / "best.keras")
    """
    return prepare(config, train_data, val_data, resume=resume, log=log).fit()


def prepare(
    config: TrainConfig,
    train_data: Dataset | None = None,
    val_data: Dataset | None = None,
    *,
    resume: str | Path | None = None,
    log: Log = print,
) -> Training:
    """Opens the data, builds or restores the model, and says what it found.

    Args:
        config: TrainConfig. All settings.
        train_data: Dataset. Images to learn from. Defaults to those that `config.data` names.
        val_data: Dataset. Images to measure AP on. Defaults to those that `config.data` names, where there are any.
        resume: str or Path. A run's folder or snapshot to go on from. Defaults to `None`, a new run.
        log: Callable. Where lines for people go. Defaults to `print`.

    Returns:
        Everything that `fit` needs; nothing is trained yet.

    Raises:
        ValueError: If the data are broken, the settings contradict each other, or the run cannot be resumed.
    """
    check(config)
    keras.utils.set_random_seed(config.seed)
    train_data = open_dataset(config.data, "train") if train_data is None else train_data
    _check_thresholds(config, train_data.class_names)
    samples = list(train_data)[: config.data.limit]
    if not train_data.class_names:
        raise ValueError("The training images have no box, so no class is known: annotate some, or name the classes.")
    val_samples = _val_samples(config, train_data.class_names, val_data, log)
    bad_images = None
    if config.data.bad_data == "skip":
        bad_images = BadImages(len(samples) + len(val_samples or ()), log)
    with _dtype_policy(config.mixed_precision):
        if resume is None:
            progress = Progress(seed=config.seed, images=len(samples))
            model = build_model(config, train_data.class_names, log)
        else:
            progress, model = _restore(resume, train_data.class_names, len(samples))
        if config.freeze_backbone:
            model.backbone.trainable = False
        batches = _batches(config, model, samples, bad_images)
        total = batches.steps_per_epoch * config.epochs
        schedule = build_schedule(config.optimizer, batch_size=config.batch_size, total_steps=total)
        _compile(config, model, schedule)
    _report_boxes(train_data, log)
    with readable_data_errors():
        _describe(config, batches, model, samples, val_samples, log)
    run = _folder(config) if resume is None else Run.find(resume)[0]
    run.write_config(config)
    log(f"run: {run.folder}")
    return Training(config, run, progress, model, batches, samples, val_samples, schedule, log, bad_images)


def _check_thresholds(config: TrainConfig, class_names: Sequence[str]) -> None:
    given = len(config.filter.class_thresholds)
    if given not in (0, len(class_names)):
        raise ValueError(
            f"--class-thresholds needs one value for each of the {len(class_names)} classes "
            f"({', '.join(class_names[:10])}{' …' if len(class_names) > 10 else ''}), got {given}."
        )


def _report_boxes(data: Dataset, log: Log) -> None:
    if (warning := data.report.warning()) is not None:
        log(f"warning: {warning}")
    for note in data.report.notes:
        log(f"note: {note}")


def _val_samples(
    config: TrainConfig, class_names: Sequence[str], val_data: Dataset | None, log: Log
) -> Sequence[Sample] | None:
    """The validation images, their labels in the order of the training classes; `None` where none are measured."""
    if not config.use_evaluation:
        return None
    if val_data is None and has_validation(config.data):
        val_data = open_dataset(config.data, "val")
    if val_data is None:
        return None
    _report_boxes(val_data, log)
    return match_classes(list(val_data), val_data.class_names, class_names)


@contextmanager
def _dtype_policy(mixed_precision: MixedPrecision) -> Iterator[None]:
    former = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32" if mixed_precision == "none" else f"mixed_{mixed_precision}")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(former)


def _folder(config: TrainConfig) -> Run:
    return Run.create(config.snapshot_path, f"{config.data.dataset}-{config.model.backbone}")


def _restore(resume: str | Path, class_names: Sequence[str], num_images: int) -> tuple[Progress, RetinaNet]:
    """Progress and model as the snapshot of a former run left them."""
    snapshot = Run.find(resume)[1]
    progress = read_progress(snapshot)
    restored = load_model(snapshot)
    if not isinstance(restored, RetinaNet) or restored.class_names != tuple(class_names):
        raise ValueError(f"{snapshot}: its classes are not those of the data; for a new run: --weights {snapshot}.")
    if progress.images not in (0, num_images):
        raise ValueError(
            f"{snapshot} was trained on {progress.images} images, and now there are {num_images}: order and learning "
            f"rate would not go on where they were. To train on other images, start anew: --weights {snapshot}."
        )
    for variable, state in zip(random_states(restored), progress.random, strict=True):
        variable.assign(state)
    return progress, restored


def _batches(
    config: TrainConfig, model: RetinaNet, samples: Sequence[Sample], bad_images: BadImages | None
) -> TrainingBatches:
    return TrainingBatches(
        samples,
        resize=model.resize,
        pad_value=model.pad_value,
        batch_size=config.batch_size,
        seed=config.seed,
        augmentations=PRESETS[config.data.augment],
        workers=config.data.workers,
        cache=config.data.use_cache,
        steps=config.steps,
        bad_images=bad_images,
    )


def _compile(config: TrainConfig, model: RetinaNet, schedule: WarmupSchedule) -> None:
    """Compiles with a new optimizer, which takes over the state of the one that came with a snapshot.

    That one cannot go on itself: Keras does not save which variables are spared from weight decay.
    """
    former = getattr(model, "optimizer", None)
    optimizer = build_optimizer(config.optimizer, model, schedule, config.mixed_precision)
    if former is not None:
        optimizer.set_weights([variable.value for variable in former.variables])
    model.compile(optimizer)


def _describe(
    config: TrainConfig,
    batches: TrainingBatches,
    model: RetinaNet,
    samples: Sequence[Sample],
    val_samples: Sequence[Sample] | None,
    log: Log,
) -> None:
    """Says what was found, before the first step."""
    names, rate = model.class_names, peak_rate(config.optimizer, config.batch_size)
    empty = sum(not len(sample["boxes"]) for sample in samples)
    boxes = sum(len(sample["boxes"]) for sample in samples)
    shown = ", ".join(names[:10]) + (" …" if len(names) > 10 else "")
    canvases = " or ".join(f"{height}×{width}" for height, width in batches.canvases)
    log(f"train: {len(samples)} images ({empty} without boxes), {boxes} boxes, {len(names)} classes: {shown}")
    if val_samples is None:
        log("validation: none, so AP is not measured and there will be no best.keras")
    else:
        log(f"validation: {len(val_samples)} images")
    log(f"{config.epochs} epochs of {batches.steps_per_epoch} steps of {config.batch_size} images, {canvases}")
    log(f"{config.optimizer.optimizer}, learning rate {rate.value:g}: {rate.reason}")
    count = max(1, min(COVERAGE_IMAGES, len(samples)) // config.batch_size)
    coverage = measure_coverage(model, batches.dataset(0).take(count))
    log(f"anchors: {coverage.describe()}")
    if (advice := coverage.advice()) is not None:
        log(f"warning: {advice}")
