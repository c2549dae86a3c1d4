"""Applies a recipe to a new run: what nobody set is filled in, and the reasons are kept."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from keras_retinanet.anchor_coverage import measure_coverage, network_boxes
from keras_retinanet.assigners import ASSIGNERS
from keras_retinanet.config import TrainConfig
from keras_retinanet.config.architectures import ARCHITECTURES
from keras_retinanet.config.recipes import RECIPES, Choice, DataFacts, choose_by_data
from keras_retinanet.config.rules import check
from keras_retinanet.config.tree import changed, flag_name, flattened
from keras_retinanet.data.image_files import read_sizes
from keras_retinanet.doctor.anchor_search import search_anchors
from keras_retinanet.geometry.anchors import pyramid_shapes
from keras_retinanet.losses import CLASSIFICATION_LOSSES
from keras_retinanet.schema import Sample
from keras_retinanet.training.half_precision import fast_half_precision, has_accelerator

SEARCHED_IMAGES = 1000
"""Images, evenly spaced, whose boxes decide about sizes and anchors."""

MIN_GAIN = 0.01
"""Searched anchors are taken if they cover this share of the boxes more."""

LAST_EPOCHS = ("data.close_mosaic", "optimizer.swa_epochs")
"""Settings that are numbers of last epochs."""


def chosen_names(config: TrainConfig) -> frozenset[str]:
    """The settings that a configuration made in Python sets: those that are not the defaults.

    Args:
        config: The settings.

    Returns:
        Dotted names.
    """
    defaults = flattened(TrainConfig())
    return frozenset(name for name, value in flattened(config).items() if value != defaults[name])


def apply_recipe(
    config: TrainConfig, chosen: Collection[str], samples: Sequence[Sample], class_names: Sequence[str]
) -> tuple[TrainConfig, list[str]]:
    """Fills in what nobody set.

    Args:
        config: The settings so far, with the name of the recipe.
        chosen: Dotted names of the settings that were set: they stay as they are.
        samples: The training images.
        class_names: Names of the labels.

    Returns:
        The settings, and one line per choice; neither changes with the recipe `paper`.
    """
    table = RECIPES[config.recipe]
    if not table:
        return config, []
    architecture = ARCHITECTURES[config.model.architecture]
    chosen = {*chosen, *(name for name in flattened(config) if not architecture.applies(name))}
    excluded = find_excluded_choices(config, table, {*chosen, *architecture.defaults})
    choices = [Choice({name: table[name] for name in table if name not in excluded}, "the same for every data set")]
    facts = _look_at(samples[:: -(-len(samples) // SEARCHED_IMAGES)], len(samples), config.model.weights != "none")
    if config.recipe == "modern":
        choices += choose_by_data(facts, config.epochs if "epochs" in chosen else None)
    lines = [
        f"  not {_list_values({name: table[name]})}: {flag_name(by)} is set"
        for name, by in excluded.items()
        if by not in architecture.defaults
    ]
    for choice in choices:
        config, line = _fill(config, choice, chosen)
        lines += line
    if config.recipe == "modern" and facts.boxes and not architecture.has_default_boxes:
        config, line = _fill(config, _choose_anchors(config, samples, class_names), chosen)
        lines += line
    lines[:0] = [
        f"recipe {config.recipe}: {facts.images:,} images, {facts.boxes:,} boxes; {_count_kept(chosen, choices)}"
    ]
    return config, lines


def find_excluded_choices(config: TrainConfig, table: Mapping[str, Any], chosen: Collection[str]) -> dict[str, str]:
    """Finds the assigner and the loss of a recipe that do not agree with what was set.

    Args:
        config: The settings so far.
        table: The recipe: dotted name → value.
        chosen: Dotted names of the settings that were set.

    Returns:
        Choice → the setting that excludes it: another assigner, with which its loss goes, or a constant that the choice
        does not have.
    """
    known: dict[str, dict[str, set[str]]] = {
        "assigner.assigner": {name: set(entry.constants) for name, entry in ASSIGNERS.items()},
        "loss.classification": {name: set(entry.constants) for name, entry in CLASSIFICATION_LOSSES.items()},
    }
    assigner, loss = known
    found = {assigner: assigner} if assigner in chosen else {}
    for choice in known.keys() & table.keys():
        others = set().union(*known[choice].values()) - known[choice][table[choice]]
        group = choice.partition(".")[0]
        if names := sorted(
            name for name in chosen if name.startswith(f"{group}.") and name.partition(".")[2] in others
        ):
            found[choice] = names[0]
    if config.loss.class_balance == "alpha_by_frequency":  # computes alphas
        found.setdefault(loss, "loss.class_balance")
    if assigner in found:
        found.setdefault(loss, found[assigner])
    return {choice: name for choice, name in found.items() if choice in table and choice not in chosen}


def scale_last_epochs(config: TrainConfig, planned: int, chosen: Collection[str]) -> TrainConfig:
    """Adapts the numbers of last epochs to a number of epochs that a time decided.

    Args:
        config: The settings, with that number of epochs.
        planned: Epochs for which the numbers were chosen.
        chosen: Dotted names of the settings that were set: those stay, as far as the run has so many epochs.

    Returns:
        The settings.
    """
    values = flattened(config)
    scaled = {}
    for name in LAST_EPOCHS:
        share = 1.0 if name in chosen else config.epochs / planned
        scaled[name] = min(max(round(values[name] * share), min(values[name], 1)), config.epochs)
    return changed(config, scaled)


def _fill(config: TrainConfig, choice: Choice, chosen: Collection[str]) -> tuple[TrainConfig, list[str]]:
    """Fills in the free settings of a choice, without those that contradict what was set.

    GroupNorm, for one, contradicts a width that is not a multiple of its groups.
    """
    free = {name: value for name, value in choice.values.items() if name not in chosen}
    if _is_valid(filled := changed(config, free)):
        taken = free
    else:
        filled, taken = config, {}
        for name, value in free.items():
            if _is_valid(changed(filled, {name: value})):
                filled = changed(filled, {name: value})
                taken[name] = value
    lines = []
    if taken:
        lines.append(f"  {_list_values(taken)} ({choice.reason})")
    if left := {name: value for name, value in free.items() if name not in taken}:
        lines.append(f"  not {_list_values(left)}, which other settings do not allow")
    return filled, lines


def _is_valid(config: TrainConfig) -> bool:
    try:
        check(config)
    except ValueError:
        return False
    return True


def _list_values(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name.rpartition('.')[2]} {_format(value)}" for name, value in values.items())


def _format(value: Any) -> str:
    if isinstance(value, tuple):
        return "/".join(f"{number:g}" for number in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _count_kept(chosen: Collection[str], choices: Sequence[Choice]) -> str:
    kept = sum(name in chosen for choice in choices for name in choice.values)
    return f"{kept} of its settings were set otherwise" if kept else "chosen:"


def _look_at(samples: Sequence[Sample], images: int, is_pretrained: bool) -> DataFacts:
    unknown = iter(read_sizes([sample["image"] for sample in samples if sample.get("size") is None]))
    sizes = np.array([sample.get("size") or next(unknown) for sample in samples], float)
    boxes = np.concatenate(
        [np.asarray(s["boxes"], float).reshape(-1, 4)[~np.asarray(s["ignore"], bool)] for s in samples]
    )
    sides = np.sqrt(np.maximum(boxes[:, 2] - boxes[:, 0], 0) * np.maximum(boxes[:, 3] - boxes[:, 1], 0))
    return DataFacts(
        images=images,
        boxes=round(len(boxes) * images / max(len(samples), 1)),
        shorter_side=float(np.median(sizes.min(axis=1))),
        longer_side=float(np.median(sizes.max(axis=1))),
        small_box=float(np.quantile(sides, 0.1)) if len(sides) else 0.0,
        has_accelerator=has_accelerator(),
        half_precision=fast_half_precision(),
        is_pretrained=is_pretrained,
    )


def _sizes(samples: Sequence[Sample]) -> Any:
    """`(I, 2)` height and width of each image, read from its file where the sample does not say."""
    unknown = iter(read_sizes([sample["image"] for sample in samples if sample.get("size") is None]))
    return np.array([sample.get("size") or next(unknown) for sample in samples])


def _choose_anchors(config: TrainConfig, samples: Sequence[Sample], class_names: Sequence[str]) -> Choice:
    """The doctor's search on the images at the size that was chosen."""
    shapes = partial(pyramid_shapes, strides=config.anchors.strides)
    part = samples[:: -(-len(samples) // SEARCHED_IMAGES)]
    found = network_boxes(part, config.resize, shapes, _sizes(part))
    searched = search_anchors(found, config.anchors, config.assigner.positive_iou, seed=config.seed)
    before, after = (
        measure_coverage(found, tuple(class_names), anchors, config.assigner).all.share
        for anchors in (config.anchors, searched)
    )
    if after < before + MIN_GAIN:
        return Choice({}, "")
    values: Mapping[str, Any] = {f"anchors.{name}": getattr(searched, name) for name in ("sizes", "ratios", "scales")}
    return Choice(values, f"the doctor's search: {after:.1%} of the boxes have a positive anchor, not {before:.1%}")
