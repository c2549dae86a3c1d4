"""From the settings of a run to a `Training`: open the data, build or restore the model, report what was found."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np

from keras_retinanet.anchor_coverage import measure_coverage, network_boxes
from keras_retinanet.config import DataConfig, FilterConfig, LossConfig, MixedPrecision, TrainConfig
from keras_retinanet.config.rules import check
from keras_retinanet.data.augment import PRESETS
from keras_retinanet.data.datasets import Dataset
from keras_retinanet.data.image_rule import learn_image_rule
from keras_retinanet.data.pipeline import TrainingBatches
from keras_retinanet.importers import WeightFile
from keras_retinanet.inference import load_model
from keras_retinanet.losses import with_balanced_classes
from keras_retinanet.model.retinanet import RetinaNet
from keras_retinanet.optimizers.build import build_optimizer, build_schedule, peak_rate
from keras_retinanet.schema import Sample
from keras_retinanet.snapshots.run_folder import Progress, Run, read_progress
from keras_retinanet.training.callbacks import random_states
from keras_retinanet.training.fit import Log, NonFiniteLossError, RunResult, Training, metric_settings
from keras_retinanet.training.initial_weights import build_model
from keras_retinanet.training.monitor import choose_monitor
from keras_retinanet.training.run_data import RunData, open_run_data

__all__ = ["NonFiniteLossError", "RunResult", "Training", "prepare", "train"]

MAX_COVERAGE_IMAGES = 5000
"""Training images, evenly spaced, whose boxes are compared with the anchors before the first step."""


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
        config: All settings; of a run to resume, those in its `config.yaml`.
        train_data: Images to learn from. Defaults to those that `config.data` names.
        val_data: Images to measure AP on. Defaults to those that `config.data` names, where there are any.
        resume: Folder or snapshot of the run to continue. Defaults to `None`, a new run.
        log: Receives one line per message. Defaults to `print`.

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
    checkpoint: WeightFile | None = None,
) -> Training:
    """Opens the data, builds or restores the model, and reports what it found.

    Args:
        config: All settings.
        train_data: Images to learn from. Defaults to those that `config.data` names.
        val_data: Images to measure AP on. Defaults to those that `config.data` names, where there are any.
        resume: Folder or snapshot of the run to continue. Defaults to `None`, a new run.
        log: Receives one line per message. Defaults to `print`.
        checkpoint: The checkpoint that `config.model.weights` names, where it has been opened already. Defaults to
            `None`: it is opened here.

    Returns:
        Everything that `fit` needs; nothing is trained yet.

    Raises:
        ValueError: If the data are broken, the settings contradict each other, or the run cannot be resumed.
    """
    check(config)
    keras.utils.set_random_seed(config.seed)
    data = open_run_data(config.data, train_data, val_data, use_validation=config.use_evaluation, log=log)
    _check_class_thresholds(config.filter, data.class_names)
    if config.patience is not None and data.val_samples is None:
        raise ValueError(f"--patience {config.patience} needs validation images.")
    if resume is None:
        config = dataclasses.replace(
            config,
            resize=learn_image_rule(data.samples, config.data, config.resize),
            loss=_balance_classes(config.loss, data, log),
        )
    with _dtype_policy(config.mixed_precision):
        if resume is None:
            progress = Progress(seed=config.seed, images=len(data.samples))
            model = build_model(config.network, data.class_names, log, checkpoint)
        else:
            progress, model = _restore(resume, data.class_names, len(data.samples))
        if config.freeze_backbone:
            model.backbone.trainable = False
        batches = _build_batches(config.data, data, model, config.batch_size, config.seed, config.steps)
        total_steps = batches.steps_per_epoch * config.epochs
        schedule = build_schedule(config.optimizer, batch_size=config.batch_size, total_steps=total_steps)
        optimizer = build_optimizer(config.optimizer, model, schedule, config.mixed_precision)
        _compile(model, optimizer)
    settings = metric_settings(model)
    monitor = choose_monitor(config.monitor, config.metric, data.val_samples, data.class_names, settings)
    data.report(log)
    rate = peak_rate(config.optimizer, config.batch_size)
    log(_describe_steps(config.epochs, config.batch_size, batches))
    log(f"{config.optimizer.optimizer}, learning rate {rate.value:g}: {rate.reason}")
    log(f"device: {', '.join(keras.distribution.list_devices())} ({keras.backend.backend()} backend)")
    _report_coverage(model, data.samples, batches, log)
    if resume is None:
        run = Run.create(config.snapshot_path, f"{config.data.dataset}-{config.model.backbone}")
    else:
        run = Run.find(resume)[0]
    run.write_config(config)
    log(f"run: {run.folder}")
    return Training(config, run, progress, model, batches, data, schedule, monitor, log)


def _check_class_thresholds(config: FilterConfig, class_names: Sequence[str]) -> None:
    given = len(config.class_thresholds)
    if given not in (0, len(class_names)):
        raise ValueError(
            f"--class-thresholds needs one value for each of the {len(class_names)} classes "
            f"({', '.join(class_names[:10])}{' …' if len(class_names) > 10 else ''}), got {given}."
        )


@contextmanager
def _dtype_policy(mixed_precision: MixedPrecision) -> Iterator[None]:
    former = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32" if mixed_precision == "none" else f"mixed_{mixed_precision}")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(former)


def _restore(resume: str | Path, class_names: Sequence[str], num_images: int) -> tuple[Progress, RetinaNet]:
    """Progress and model from the snapshot of an earlier run."""
    snapshot = Run.find(resume)[1]
    progress = read_progress(snapshot)
    restored = load_model(snapshot)
    if not isinstance(restored, RetinaNet) or restored.class_names != tuple(class_names):
        raise ValueError(f"{snapshot}: its classes are not those of the data; for a new run: --weights {snapshot}.")
    if progress.images not in (0, num_images):
        raise ValueError(
            f"{snapshot} was trained on {progress.images} images, and now there are {num_images}: the order of "
            f"images and the learning rate would not continue. To train on others: --weights {snapshot}."
        )
    for variable, state in zip(random_states(restored), progress.random, strict=True):
        variable.assign(state)
    return progress, restored


def _build_batches(
    config: DataConfig, data: RunData, model: RetinaNet, batch_size: int, seed: int, steps: int | None
) -> TrainingBatches:
    return TrainingBatches(
        data.samples,
        resize=model.resize_config,
        pad_value=model.pad_value,
        batch_size=batch_size,
        seed=seed,
        augmentations=PRESETS[config.augment],
        workers=config.workers,
        cache=config.use_cache,
        steps=steps,
        bad_images=data.bad_images,
        cut_off=data.cut_off,
        thumbnails=data.thumbnails[0],
    )


def _compile(model: RetinaNet, optimizer: keras.optimizers.Optimizer) -> None:
    """Compiles with a new optimizer, which takes over the state of the one that came with a snapshot.

    The saved optimizer cannot be reused: Keras does not save its weight-decay exclusions.
    """
    former = getattr(model, "optimizer", None)
    if former is not None:
        optimizer.set_weights([variable.value for variable in former.variables])
    model.compile(optimizer)


def _describe_steps(epochs: int, batch_size: int, batches: TrainingBatches) -> str:
    shapes = " or ".join(f"{height}×{width}" for height, width in batches.batch_shapes)
    return f"{epochs} epochs of {batches.steps_per_epoch} steps of {batch_size} images, {shapes}"


def _report_coverage(model: RetinaNet, samples: Sequence[Sample], batches: TrainingBatches, log: Log) -> None:
    step = -(-len(samples) // MAX_COVERAGE_IMAGES)
    sizes, padded = batches.image_sizes[::step], batches.padded_sizes[::step]
    found = network_boxes(samples[::step], model.resize_config, model.map_shapes, sizes, padded)
    coverage = measure_coverage(found, model.class_names, model.anchors, model.assigner_config)
    sampled = f" ({len(sizes):,} of {len(samples):,} images)" if step > 1 else ""
    log(f"anchors: {coverage.describe()}{sampled}")
    if coverage.is_poor:
        log(f"warning: {coverage.describe_missed()}: {coverage.advise()}")


def _balance_classes(config: LossConfig, data: RunData, log: Log) -> LossConfig:
    """Settings with the numbers of the classes that `--class-balance` asks for, by the boxes of the training images."""
    if config.class_balance == "none":
        return config
    counts = np.zeros(len(data.class_names), np.int64)
    for sample in data.samples:
        labels = np.asarray(sample["labels"])[~np.asarray(sample["ignore"], bool)]
        counts += np.bincount(labels, minlength=len(counts))
    balanced = with_balanced_classes(config, counts.tolist())
    values = balanced.class_weights or balanced.class_alphas
    named = ", ".join(f"{name} {value:.3g}" for name, value in zip(data.class_names, values, strict=True))
    log(f"class balance by {config.class_balance.replace('_', ' ')}: {named}")
    return balanced
