"""Consistency rules between settings; each violation is one line that names the flag."""

from __future__ import annotations

import importlib.util
import math
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import get_args

from keras_retinanet.config import AugmentName, TrainConfig
from keras_retinanet.config.architectures import inapplicable_changes
from keras_retinanet.config.durations import parse_duration, parse_interval
from keras_retinanet.config.recipes import RECIPES
from keras_retinanet.config.tree import flag_name, flattened, settings

_AT_LEAST_ONE = (
    "epochs", "steps", "evaluate_every", "patience", "data.limit", "data.workers", "resize.min_side",
    "resize.max_side", "resize.pad_multiple", "filter.max_detections", "filter.top_k", "model.fpn_width",
    "model.head_width", "assigner.nearest_cells", "assigner.aligned_top_k", "model.reg_max", "loss.mined_examples",
    "loss.gradient_bins", "keep", "nan_limit",
)  # fmt: skip
_NOT_NEGATIVE = (
    "batch_size", "accumulate",
    "seed", "optimizer.warmup_steps", "optimizer.weight_decay", "optimizer.clip_norm", "loss.box_weight", "loss.gamma",
    "model.head_depth", "filter.clip_margin", "loss.background_weight", "data.val_seed", "freeze_stages", "unfreeze_at",
    "optimizer.backbone_rate", "optimizer.layer_decay", "optimizer.swa_epochs",
    "data.close_mosaic", "assigner.alignment_alpha", "loss.dfl_weight", "loss.quality_weight",
    "loss.negative_ratio",
)  # fmt: skip
_POSITIVE = (
    "optimizer.learning_rate", "loss.beta", "model.head_norm_epsilon", "filter.temperature", "assigner.alignment_beta",
)  # fmt: skip
_SHARE = (
    "assigner.positive_iou", "assigner.negative_iou", "filter.score_threshold", "filter.nms_threshold",
    "optimizer.momentum", "optimizer.ema_decay", "optimizer.flat_share", "loss.alpha", "loss.mining_nms",
    "data.repeat_threshold",
)  # fmt: skip


def check(config: TrainConfig) -> None:
    """Checks the settings of a run before anything slow begins.

    Args:
        config: The settings.

    Raises:
        ValueError: A setting is invalid or contradicts another; the message has the value and the fix.
    """
    for problem in (
        *_check_names(config),
        *_check_architecture(config),
        *_check_ranges(config),
        *_check_shapes(config),
        *_check_choices(config),
        *_check_augmentations(config),
    ):
        raise ValueError(problem)


def refuse_unused_flat_share(config: TrainConfig, given: Collection[str], chosen: Collection[str]) -> None:
    """Refuses a flag for the flat part of a schedule that has none.

    Presets and stored settings may hold the value beside any schedule, so only a flag is refused.

    Args:
        config: The settings; the recipe may still fill in the schedule.
        given: Dotted names of the flags.
        chosen: Dotted names of the settings that the recipe must not change.

    Raises:
        ValueError: The flag has no effect.
    """
    schedule = config.optimizer.schedule
    if "optimizer.schedule" not in chosen:
        schedule = RECIPES[config.recipe].get("optimizer.schedule", schedule)
    if "optimizer.flat_share" in given and schedule != "flat_cosine":
        raise ValueError(
            f"--flat-share {config.optimizer.flat_share} does not apply to --schedule {schedule}. Leave it out, or "
            "choose --schedule flat_cosine."
        )


def exists(weights: str) -> bool:
    """Whether there is a file, a folder, or a TensorFlow checkpoint of this prefix.

    Args:
        weights: A path.

    Returns:
        Whether there is.
    """
    return Path(weights).exists() or Path(f"{weights}.index").exists()


def _check_names(config: TrainConfig) -> Iterator[str]:
    values = flattened(config)
    for setting in settings(TrainConfig):
        value = values[setting.name]
        if setting.choices and value is not None and value not in setting.choices:
            yield f"{flag_name(setting.name)} is {value!r}; allowed are {', '.join(setting.choices)}."


def _check_architecture(config: TrainConfig) -> Iterator[str]:
    for name in inapplicable_changes(config):
        yield f"{flag_name(name)} does not apply to --architecture {config.model.architecture}. Leave it out."


def _check_augmentations(config: TrainConfig) -> Iterator[str]:
    known = get_args(AugmentName)
    for part in config.data.augment.split(","):
        if part not in known and ":" not in part:
            yield f"--augment is {part!r}; allowed are {', '.join(known)}, and a function of your own: MODULE:FUNCTION."


def _check_ranges(config: TrainConfig) -> Iterator[str]:
    values = flattened(config)
    limits = [(_AT_LEAST_ONE, 1, "at least 1"), (_NOT_NEGATIVE, 0, "0 or more")]
    for names, least, words in limits:
        for name in names:
            if values[name] is not None and not values[name] >= least:
                yield f"{flag_name(name)} must be {words}, got {values[name]}."
    for name in _POSITIVE:
        if values[name] is not None and not values[name] > 0:
            yield f"{flag_name(name)} must be greater than 0, got {values[name]}."
    for name, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            yield f"{flag_name(name)} must be a finite number, got {value}."
    for name in _SHARE:
        if values[name] is not None and not 0 <= values[name] <= 1:
            yield f"{flag_name(name)} must lie between 0 and 1, got {values[name]}."
    if config.data.bit_depth is not None and not 8 <= config.data.bit_depth <= 16:
        yield f"--bit-depth must lie between 8 and 16, got {config.data.bit_depth}."
    for share in config.filter.class_thresholds:
        if not 0 <= share <= 1:
            yield f"--class-thresholds must lie between 0 and 1, got {share}."
    for name in ("momentum", "ema_decay", "flat_share"):
        if values[f"optimizer.{name}"] == 1:
            yield f"{flag_name(name)} must be below 1, got 1."
    if not 0 <= config.loss.balance_beta < 1:
        yield f"--balance-beta must lie from 0 up to, but without, 1, got {config.loss.balance_beta}."
    if config.model.prior is not None and not 0 < config.model.prior < 1:
        yield f"--prior must lie between 0 and 1, without them, got {config.model.prior}."
    if not 0 <= config.loss.label_smoothing < 1:
        yield f"--label-smoothing must lie from 0 up to, but without, 1, got {config.loss.label_smoothing}."
    if config.loss.classification == "focal_star" and config.loss.gamma == 0:
        yield "--focal-gamma of focal_star is a steepness and must be greater than 0, got 0."
    if config.seed >= 2**31:
        yield f"--seed must be below 2147483648, got {config.seed}."


def _check_shapes(config: TrainConfig) -> Iterator[str]:
    resize, model, anchors = config.resize, config.model, config.anchors
    if model.min_level not in (2, 3) or model.max_level not in (5, 6, 7):
        yield (f"--min-level is 2 or 3 and --max-level 5, 6 or 7; got {model.min_level} and {model.max_level}.")
    if resize.min_side > resize.max_side and not resize.is_square and not resize.shape:
        yield f"--image-min-side {resize.min_side} is larger than --image-max-side {resize.max_side}."
    levels = model.max_level - model.min_level + 1
    for flag, given in (("--anchor-sizes", anchors.sizes), ("--anchor-strides", anchors.strides)):
        if len(given) != levels:
            yield (
                f"{flag} needs one value for each of the {levels} pyramid levels "
                f"({model.min_level} to {model.max_level}), got {len(given)}: {', '.join(f'{x:g}' for x in given)}."
            )
    for flag, numbers in (("--anchor-sizes", anchors.sizes), ("--anchor-ratios", anchors.ratios)):
        if not numbers or min(numbers) <= 0:
            yield f"{flag} must be greater than 0, got {', '.join(f'{x:g}' for x in numbers) or 'nothing'}."
    if model.head_norm == "group" and model.head_width % 32:
        yield f"--head-norm group makes 32 groups, so --head-width must be a multiple of 32, got {model.head_width}."


def _check_choices(config: TrainConfig) -> Iterator[str]:
    model, assigner = config.model, config.assigner
    if assigner.negative_iou > assigner.positive_iou:
        yield f"--negative-iou {assigner.negative_iou} is larger than --positive-iou {assigner.positive_iou}."
    if config.optimizer.optimizer == "adam" and config.optimizer.weight_decay:
        yield "--weight-decay is not available with adam; choose --optimizer adamw, which is Adam with weight decay."
    if config.freeze_backbone and model.weights == "none":
        yield "--freeze-backbone with --weights none would keep random features; give --weights a file or imagenet."
    if model.weights not in ("imagenet", "none") and not exists(model.weights):
        yield f"--weights {model.weights}: no such file; allowed are imagenet, none, or the path of a weights file."
    yield from _check_freezing(config)
    for text, read, flag in (
        (config.time, parse_duration, "--time"),
        (config.save_every, parse_interval, "--save-every"),
    ):
        if text is not None:
            try:
                read(text, flag)
            except ValueError as error:
                yield str(error)
    if config.optimizer.ema_decay and config.optimizer.swa_epochs:
        yield "--ema-decay and --swa-epochs both average the weights; choose one."
    if config.optimizer.swa_epochs > config.epochs:
        yield f"--swa-epochs {config.optimizer.swa_epochs} is more than the {config.epochs} epochs of the run."
    yield from _check_folders(config)
    trackers = {"tensorboard": config.tensorboard_dir, "wandb": config.wandb, "mlflow": config.mlflow}
    for package, is_asked in trackers.items():
        if is_asked and importlib.util.find_spec(package) is None:
            flag = flag_name("tensorboard_dir" if package == "tensorboard" else package)
            yield f"{flag} needs the package {package} (extra `{package}`): pip install {package}."


def _check_freezing(config: TrainConfig) -> Iterator[str]:
    has_random_features = config.model.weights == "none"
    if config.freeze_backbone and (config.unfreeze_at or config.freeze_stages):
        flag = "--unfreeze-at" if config.unfreeze_at else "--freeze-stages"
        yield f"--freeze-backbone freezes the whole backbone in every epoch; leave it away, or {flag}."
    if config.freeze_stages > 5:
        yield f"--freeze-stages is at most 5, the whole backbone, got {config.freeze_stages}."
    for name in ("freeze_stages", "unfreeze_at"):
        if getattr(config, name) and has_random_features:
            yield f"{flag_name(name)} with --weights none would keep random features; name --weights."


def _check_folders(config: TrainConfig) -> Iterator[str]:
    """Checks that the run's folder can be created, which happens only after minutes of work."""
    path = Path(config.snapshot_path).absolute()
    there = next(part for part in (path, *path.parents) if os.path.lexists(part))
    if not there.is_dir():
        yield f"--snapshot-path {config.snapshot_path}: {there} is not a folder."
    elif not os.access(there, os.W_OK):
        yield f"--snapshot-path {config.snapshot_path}: no permission to write in {there}."
