"""The model that a new run starts from: ImageNet features, random ones, or those of another detector.

Another detector is a snapshot of ours, or a checkpoint of a library that `importers` reads.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from keras_retinanet.backbones import freeze_batch_norm, weights_kind, with_policy
from keras_retinanet.config import ModelConfig, NetworkConfig, to_dict
from keras_retinanet.framework_internals import nested_layers
from keras_retinanet.importers import CheckpointError, Overrides, WeightFile, find_foreign
from keras_retinanet.model.build import build
from keras_retinanet.model.class_transfer import copy_logits
from keras_retinanet.model.detection_model import DetectionModel
from keras_retinanet.model.retinanet import RetinaNet
from keras_retinanet.runtimes.open_network import open_network
from keras_retinanet.snapshots.run_folder import find_snapshot

WEIGHTS_WITHOUT_FILE = ("imagenet", "none")


def build_model(
    config: NetworkConfig,
    class_names: Sequence[str],
    log: Callable[[str], object] = print,
    checkpoint: WeightFile | None = None,
) -> RetinaNet:
    """Builds the network of a run with its starting weights.

    Args:
        config: `config.model.weights` is `"imagenet"`, `"none"`, or the path of backbone weights, of a snapshot, or of
            another library's checkpoint, recognised by content.
        class_names: Names of the labels `0 … K-1`.
        log: Receives one line per message: what was kept, what was initialised. Defaults to `print`.
        checkpoint: What `importers.find_foreign` returned for `config.model.weights`, where it has been opened already.
            Defaults to `None`: it is opened here.

    Returns:
        The model, not compiled.

    Raises:
        ValueError: If the weights do not fit the network.
    """
    weights = config.model.weights
    if weights not in WEIGHTS_WITHOUT_FILE:
        weights = str(find_snapshot(Path(weights)))
    source = None if weights in WEIGHTS_WITHOUT_FILE else _open_detector(weights, config, log, checkpoint)
    if source is None:
        return _build(config, class_names)
    _require_same_network(source, config.model, weights)
    blank = dataclasses.replace(config, model=dataclasses.replace(config.model, weights="none"))
    return _grafted(source, _build(blank, class_names), {"model": to_dict(config.model)}, log)


def _require_same_network(source: RetinaNet, model: ModelConfig, weights: str) -> None:
    found = source.metadata.get("model", {}).get("architecture", "retinanet")
    if found != model.architecture:
        raise ValueError(
            f"--weights {weights} is of the architecture {found}, not {model.architecture}: leave --architecture out, "
            "or start from other weights."
        )
    if found == "retinanet" and source.backbone.name != model.backbone:
        raise ValueError(
            f"--weights {weights} has the backbone {source.backbone.name}, not {model.backbone}: leave "
            "--backbone away, or start from other weights."
        )


def _open_detector(
    weights: str, config: NetworkConfig, log: Callable[[str], object], checkpoint: WeightFile | None
) -> RetinaNet | None:
    """The whole detector that a file holds; `None` where it holds a backbone alone."""
    checkpoint = checkpoint or find_foreign(weights)
    if checkpoint is None and weights_kind(weights) != "snapshot":
        return None
    settings = config.model.weights_config
    overrides = Overrides(config_file=Path(settings) if settings else None)
    try:
        opened = open_network(checkpoint or weights, overrides, log)
    except CheckpointError:  # it does not hold its anchors, which are those of the run
        if checkpoint is None:
            raise
        opened = open_network(checkpoint, dataclasses.replace(overrides, anchors=vars(config.anchors)), log)
    return opened.network if isinstance(opened, DetectionModel) else opened


def _build(config: NetworkConfig, class_names: Sequence[str]) -> RetinaNet:
    return build(
        config.model,
        class_names=class_names,
        anchors=config.anchors,
        default_boxes=config.default_boxes,
        assigner=config.assigner,
        loss=config.loss,
        resize=config.resize,
        filter=config.filter,
    )


def _grafted(
    source: RetinaNet, blank: RetinaNet, metadata: Mapping[str, Any], log: Callable[[str], object]
) -> RetinaNet:
    """The blank model with the backbone of the source, and the weights of its other parts where they fit.

    The backbone computes in the dtype of this run, and learns even where it did not in its own. Pretrained batch
    normalisation is frozen, as in a backbone that starts from a file. Logits go by the names of the classes.
    """
    policy = keras.config.dtype_policy().name
    backbone = with_policy(source.backbone, lambda _: policy)
    for layer in nested_layers(backbone):
        layer.trainable = True
    freeze_batch_norm(backbone)
    coders = (source.box_coder, blank.box_coder)
    is_same_coder = len({(coder.coder, coder.num_deltas) for coder in coders}) == 1
    started = blank.replaced(
        backbone=backbone,
        neck=blank.neck.from_config(blank.neck.get_config()),  # for maps that the source takes elsewhere
        box_coder=source.box_coder if is_same_coder else blank.box_coder,
        metadata=metadata,
    )
    logits = [weight for final in started.class_head.predictors for weight in final.weights]
    missed = [
        name
        for part in ("neck", "class_head", "box_head")
        for name in _copy(getattr(source, part), getattr(started, part), without=logits)
    ]
    if missed:
        log(f"new weights, since the snapshot's have another shape or do not exist: {', '.join(missed)}")
    for line in copy_logits(source, started):
        log(line)
    return started


def _copy(source: keras.Layer, target: keras.Layer, without: Sequence[keras.Variable]) -> list[str]:
    """Copies the variables of the same path and shape, and names those of the target that got nothing."""
    found = dict(_by_place(source.weights))
    missed = []
    for place, variable in _by_place(target.weights):
        if any(variable is other for other in without):
            continue
        giver = found.get(place)
        if giver is None or tuple(giver.shape) != tuple(variable.shape):
            missed.append(variable.path)
        else:
            variable.assign(giver.value)
    return missed


def _by_place(variables: Sequence[keras.Variable]) -> Iterator[tuple[tuple[str, int], keras.Variable]]:
    """Path without the first part, the name of the layer or of the model around it; and the number of its occurrence.

    Heads that are not shared between levels have layers of equal names.
    """
    counts: Counter[str] = Counter()
    for variable in variables:
        place = str(variable.path).partition("/")[2]
        yield (place, counts[place]), variable
        counts[place] += 1
