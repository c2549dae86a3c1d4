"""From the settings of a run to a `Training`: open the data, build or restore the model, report what was found."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import keras

from keras_retinanet.anchor_coverage import measure_coverage, network_boxes
from keras_retinanet.config import FilterConfig, MixedPrecision, TrainConfig, to_dict
from keras_retinanet.config import tree as config_tree
from keras_retinanet.config.architectures import with_architecture
from keras_retinanet.config.rules import check
from keras_retinanet.conv_gradients import use_products
from keras_retinanet.data.datasets import Dataset
from keras_retinanet.data.image_rule import learn_image_rule
from keras_retinanet.data.pipeline import TrainingBatches
from keras_retinanet.evaluation import MetricSettings
from keras_retinanet.heap import use_few_heaps
from keras_retinanet.importers import WeightFile
from keras_retinanet.inference import load_model
from keras_retinanet.model.retinanet import RetinaNet
from keras_retinanet.optimizers.build import peak_rate
from keras_retinanet.schema import Sample
from keras_retinanet.snapshots.run_folder import Progress, Run, read_progress
from keras_retinanet.snapshots.run_lock import locked
from keras_retinanet.snapshots.training_shapes import with_shapes
from keras_retinanet.training.class_balance import balance_classes
from keras_retinanet.training.devices import Devices, open_devices
from keras_retinanet.training.fit import Log, Training
from keras_retinanet.training.fit_memory import bound_by_memory, check_parts, fit_to_memory, provisional
from keras_retinanet.training.freezing import freeze
from keras_retinanet.training.initial_weights import build_model
from keras_retinanet.training.model_state import random_states
from keras_retinanet.training.monitor import choose_monitor
from keras_retinanet.training.non_finite import NonFiniteLossError
from keras_retinanet.training.optimizer_state import compile_with_state
from keras_retinanet.training.pointwise_clusters import join_pointwise
from keras_retinanet.training.processes import ALONE, Processes
from keras_retinanet.training.recipe import apply_recipe, chosen_names
from keras_retinanet.training.run_data import RunData, fingerprint, open_run_data
from keras_retinanet.training.run_result import RunResult
from keras_retinanet.training.shared_run import check_shared, describe_state
from keras_retinanet.training.trial import Clock, fit_to_time
from keras_retinanet.training.updates import build_batches, plan_updates
from keras_retinanet.winograd import use_winograd

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
    processes: Processes = ALONE,
) -> RunResult:
    """Trains a detector and keeps everything of the run in its own folder: `prepare`, then `fit`.

    Args:
        config: All settings; of a run to resume, those in its `config.yaml`.
        train_data: Images to learn from. Defaults to those that `config.data` names.
        val_data: Images to measure AP on. Defaults to those that `config.data` names, where there are any.
        resume: Folder or snapshot of the run to continue. Defaults to `None`, a new run.
        log: Receives one line per message. Defaults to `print`.
        processes: Those that train together, from `join_processes`. Defaults to this one.

    Returns:
        Where the run is and what it reached.

    Raises:
        NonFiniteLossError: If the loss or the weights are no longer finite; the snapshots are those of before.
        ValueError: If the data are broken, the settings contradict each other, or the run cannot be resumed.

    Example:
        >>> result = train(TrainConfig(data=DataConfig("coco", "data/coco")))
        >>> model = keras_retinanet.load_model(result.folder / "best.keras")
    """
    return prepare(config, train_data, val_data, resume=resume, log=log, processes=processes).fit()


def prepare(
    config: TrainConfig,
    train_data: Dataset | None = None,
    val_data: Dataset | None = None,
    *,
    resume: str | Path | None = None,
    log: Log = print,
    checkpoint: WeightFile | None = None,
    chosen: Collection[str] | None = None,
    clock: Clock = time.perf_counter,
    processes: Processes = ALONE,
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
        chosen: Dotted names of the settings that a recipe must not change. Defaults to those that are not the defaults.
        clock: Seconds so far, for `config.time`. Defaults to wall time.
        processes: Those that train together. Defaults to this one.

    Returns:
        Everything that `fit` needs; nothing is trained yet.

    Raises:
        ValueError: If the data are broken, the settings contradict each other, or the run cannot be resumed.
    """
    use_few_heaps()
    started, log = clock(), log if processes.is_first else functools.partial(_log_warning, processes.index)
    if resume is None:
        config = with_architecture(config, chosen)
    check(config)
    check_shared(config, processes)
    folder, snapshot = _find_run(resume, log, processes)
    keras.utils.set_random_seed(config.seed)
    data = open_run_data(config.data, train_data, val_data, use_validation=config.use_evaluation, log=log)
    _check_class_thresholds(config.filter, data.class_names)
    if config.patience is not None and data.val_samples is None:
        raise ValueError(f"--patience {config.patience} needs validation images.")
    names = chosen_names(config) if chosen is None else chosen
    reasons: list[str] = []
    if resume is None:
        config, reasons = _resolve(config, names, data, log)
        config = config_tree.from_dict(TrainConfig, processes.broadcast(lambda: to_dict(config)))
    settings = MetricSettings(detector_limit=config.filter.max_detections)
    monitor = choose_monitor(config.monitor, config.metric, data.val_samples, data.class_names, settings)
    devices = open_devices(config.devices, has_growth=config.gpu_growth, processes=processes)
    with _dtype_policy(config.mixed_precision), devices.building():
        progress, model = _build_or_restore(config, data, snapshot, log, checkpoint)
        use_products(model)
        use_winograd(model, config.winograd)
        tried = provisional(config, devices)
        batches = build_batches(tried, data, model, devices.share)
        plan = functools.partial(plan_updates, tried, model, batches)
        former = getattr(model, "optimizer", None)
        compile_with_state(model, plan(progress.rate_scale)[1](), former, is_averaged=progress.averaged)
        if tried is not config:
            config, line = fit_to_memory(config, model, batches, devices, len(data.samples))
            log(line)
            reasons.append(line)
            batches = build_batches(config, data, model, devices.share)
        check_parts(config, model, devices)
        model.micro_batches = config.accumulate
        join_pointwise(config, model, batches, devices)
        if resume is None and config.time is not None:
            config, line = fit_to_time(config, model, batches, len(data.val_samples or ()), names, (clock, started))
            log(line)
            reasons.append(line)
        if config is not tried:
            plan = functools.partial(plan_updates, config, model, batches)
            optimizer = plan(progress.rate_scale)[1]()
            compile_with_state(model, optimizer, model.optimizer, is_averaged=False)
    model.metadata = with_shapes(model.metadata, model.resize_config, batches.shape_counts)
    data.report(log)
    _report_updates(config, batches, devices, log)
    _report_coverage(model, data.samples, batches, log)
    run = folder or _create_run(config, processes)
    if processes.count > 1:
        processes.require_equal(describe_state(config, progress, model))
    if processes.is_first:
        run.write_config(config)
        run.write_recipe(reasons)
    log(f"run: {run.folder}")
    return Training(config, run, progress, model, batches, data, plan, monitor, log, devices)


def _create_run(config: TrainConfig, processes: Processes) -> Run:
    """The new folder, which the first process makes."""
    name = f"{config.data.dataset}-{_name_network(config)}"
    run = Run(Path(processes.broadcast(lambda: str(Run.create(config.snapshot_path, name).folder.absolute()))))
    if config.on_nan == "restore" and not run.folder.is_dir():
        raise ValueError(f"{run.folder}: --on-nan restore needs a --snapshot-path that every process sees.")
    return run


def _log_warning(index: int, line: str) -> None:
    """What a process other than the first logs."""
    if line.startswith("warning"):
        print(f"process {index}: {line}")


def _name_network(config: TrainConfig) -> str:
    """Of a RetinaNet the backbone, which tells runs apart; else the architecture."""
    model = config.model
    return model.backbone if model.architecture == "retinanet" else model.architecture


def _resolve(config: TrainConfig, chosen: Collection[str], data: RunData, log: Log) -> tuple[TrainConfig, list[str]]:
    """The settings of a new run with what its recipe and its images decide, and the reasons of the recipe."""
    former = config.batch_size
    config, reasons = apply_recipe(config, chosen, data.samples, data.class_names)
    if config.batch_size != former and "accumulate" not in chosen:
        config = bound_by_memory(config)
    check(config)
    for line in reasons:
        log(line)
    resize = learn_image_rule(data.samples, config.data, config.resize)
    loss = balance_classes(config.loss, data.samples, data.class_names, log)
    return dataclasses.replace(config, resize=resize, loss=loss), reasons


def _find_run(resume: str | Path | None, log: Log, processes: Processes) -> tuple[Run | None, Path | None]:
    """The run to resume, which no other process may train now, and its snapshot, where one was written yet."""
    if resume is None:
        return None, None
    run, snapshot = Run.find(resume)
    if processes.is_first:
        with locked(run.folder):
            pass
    if snapshot.exists():
        return run, snapshot
    log(f"{run.folder} ended before its first snapshot, so it starts from the beginning")
    return run, None


def _build_or_restore(
    config: TrainConfig, data: RunData, snapshot: Path | None, log: Log, checkpoint: WeightFile | None
) -> tuple[Progress, RetinaNet]:
    """Progress and model, with what is frozen at this point of the run."""
    if snapshot is None:
        progress = Progress(seed=config.seed, images=len(data.samples), data=fingerprint(data.samples))
        model = build_model(config.network, data.class_names, log, checkpoint)
    else:
        progress, model = _restore(snapshot, data)
    if snapshot is None or config.freeze_backbone:
        freeze(model, config, progress.epoch)
    return progress, model


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


def _restore(snapshot: Path, data: RunData) -> tuple[Progress, RetinaNet]:
    """Progress and model from the snapshot of an earlier run."""
    progress, restored = read_progress(snapshot), load_model(snapshot)
    if not isinstance(restored, RetinaNet) or restored.class_names != tuple(data.class_names):
        raise ValueError(f"{snapshot}: its classes are not those of the data; for a new run: --weights {snapshot}.")
    if progress.images not in (0, len(data.samples)):
        raise ValueError(
            f"{snapshot} was trained on {progress.images} images, and now there are {len(data.samples)}: the order of "
            f"images and the learning rate would not continue. To train on others: --weights {snapshot}."
        )
    now = fingerprint(data.samples)
    if changed := [name for name in now if progress.data.get(name, now[name]) != now[name]]:
        raise ValueError(
            f"The {' and '.join(changed)} of the training data are not those that {snapshot} was trained on, so it "
            f"would not continue the same run. Restore them; to train on these: --weights {snapshot}."
        )
    progress.data = now
    for variable, state in zip(random_states(restored), progress.random, strict=True):
        variable.assign(state)
    return progress, restored


def _report_updates(config: TrainConfig, batches: TrainingBatches, devices: Devices, log: Log) -> None:
    rate = peak_rate(config.optimizer, config.batch_size)
    parts = f" in {config.accumulate} parts" if config.accumulate > 1 else ""
    shapes = " or ".join(f"{height}×{width}" for height, width in batches.batch_shapes)
    log(f"{config.epochs} epochs of {batches.steps_per_epoch} steps of {config.batch_size} images{parts}, {shapes}")
    log(f"{config.optimizer.optimizer}, learning rate {rate.value:g}: {rate.reason}")
    log(f"device: {', '.join(devices.names or keras.distribution.list_devices())} ({keras.backend.backend()} backend)")


def _report_coverage(model: RetinaNet, samples: Sequence[Sample], batches: TrainingBatches, log: Log) -> None:
    step = -(-len(samples) // MAX_COVERAGE_IMAGES)
    sizes, padded = batches.image_sizes[::step], batches.padded_sizes[::step]
    found = network_boxes(samples[::step], model.resize_config, model.map_shapes, sizes, padded)
    coverage = measure_coverage(found, model.class_names, model.anchors, model.assigner_config)
    sampled = f" ({len(sizes):,} of {len(samples):,} images)" if step > 1 else ""
    log(f"anchors: {coverage.describe()}{sampled}")
    if coverage.is_poor:
        log(f"warning: {coverage.describe_missed()}: {coverage.advise()}")
