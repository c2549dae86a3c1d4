"""Weights for torchvision's `retinanet_resnet50_fpn` and `retinanet_resnet50_fpn_v2`, as `.pth` or `.safetensors`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from keras_retinanet.backbones.normalize import PixelStatistics
from keras_retinanet.config import ExportConfig
from keras_retinanet.data.preparation import fit_image, prepare_batch
from keras_retinanet.export.detection_graph import prepare_model
from keras_retinanet.export.tolerances import TOLERANCES
from keras_retinanet.export.torchvision_settings import (
    V1,
    anchor_cells,
    builder_arguments,
    choose_builder,
    list_differences,
)
from keras_retinanet.export.verification import VerificationError
from keras_retinanet.importers import Overrides, import_checkpoint
from keras_retinanet.importers.assemble import weighted_layers
from keras_retinanet.importers.blueprint import TORCH_SPELLING
from keras_retinanet.importers.torchvision import name_layers
from keras_retinanet.model.detection_model import DetectionModel
from keras_retinanet.model.retinanet import RetinaNet
from keras_retinanet.snapshots.atomic_files import write_whole
from keras_retinanet.weight_files.safetensors_file import write_safetensors_file
from keras_retinanet.weight_files.torch_writer import write_torch_file

EPSILON = 1e-5
"""Of the batch normalisations in torchvision's networks, unless they are made with its own COCO weights."""
_WRITERS = {".pth": write_torch_file, ".pt": write_torch_file, ".safetensors": write_safetensors_file}


class TorchvisionFile(NamedTuple):
    """What was written, and how to use it."""

    path: Path
    tensors: int
    difference: float
    """Largest difference of the raw outputs of the file, imported again, as a share of their largest."""
    code: str
    """Python that loads the file with torchvision."""
    notes: tuple[str, ...]
    """What torchvision does differently before and after the network."""


def export_torchvision(model: DetectionModel, out: Path, samples: Sequence[Any]) -> TorchvisionFile:
    """Writes the weights of a model, imports them again and compares the outputs.

    Args:
        model: The model.
        out: A path that ends in `.pth`, `.pt` or `.safetensors`; an existing file is replaced.
        samples: Images `(h, w, 3)` uint8 on which the outputs are compared.

    Returns:
        The file, and how to load it.

    Raises:
        ValueError: Another ending, or a setting that torchvision does not have; the message names it.
        VerificationError: The file answers differently.
    """
    if out.suffix not in _WRITERS:
        raise ValueError(f"Weights for torchvision end in {', '.join(_WRITERS)}; got {str(out)!r}.")
    builder = choose_builder(model.network)
    network = prepare_model(model, ExportConfig(fold_batch_norm=False)).network  # in float32 under every policy
    tensors = torchvision_tensors(network)
    differences = []

    def write_and_compare(path: Path) -> None:
        _WRITERS[out.suffix](path, tensors)
        differences.append(_compare(path, network, samples))

    out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(out, write_and_compare)
    notes = list_differences(model.network.resize_config, model.filter_config)
    return TorchvisionFile(out, len(tensors), differences[0], _loading_code(model, builder, out), tuple(notes))


def torchvision_tensors(network: RetinaNet) -> dict[str, np.ndarray]:
    """The weights by torchvision's names and in its layouts.

    An epsilon other than torchvision's goes into the scale of each batch normalisation, the factors of the box coder
    into the last layer of the box head, and the channel order into the first kernel: the outputs are the same.

    Args:
        network: A network whose settings `choose_builder` accepts.

    Returns:
        Name → float32 array, and an int64 counter for each batch normalisation.
    """
    tensors: dict[str, np.ndarray] = {}
    place = name_layers(network.neck.min_level)
    for path, layer in weighted_layers(network):
        name = place(path)
        values = {str(variable.name): np.asarray(variable.value, np.float32) for variable in layer.weights}
        if isinstance(layer, keras.layers.BatchNormalization):
            values["gamma"] = _scale_for_epsilon(values, layer.epsilon)
            tensors[f"{name}.num_batches_tracked"] = np.zeros((), np.int64)
        if path == "backbone/stem_conv" and network.backbone.get_layer("normalize").is_bgr:
            values["kernel"] = values["kernel"][:, :, ::-1]
        if path == "box_head/final":
            factors = np.tile(np.asarray(network.box_coder.std, np.float32), values["bias"].size // 4)
            values = {kind: value * factors for kind, value in values.items()}
        for kind, value in values.items():
            layout = value.transpose(3, 2, 0, 1) if value.ndim == 4 else value
            tensors[f"{name}.{TORCH_SPELLING.kinds[kind]}"] = np.ascontiguousarray(layout)
    return tensors


def _scale_for_epsilon(values: dict[str, np.ndarray], epsilon: float) -> np.ndarray:
    """The scale `γ` that gives the same outputs with torchvision's epsilon."""
    variance = values["moving_variance"].astype(np.float64)
    return (values["gamma"] * np.sqrt((variance + EPSILON) / (variance + epsilon))).astype(np.float32)


def _compare(path: Path, network: RetinaNet, samples: Sequence[Any]) -> float:
    anchors = {name: getattr(network.anchors, name) for name in ("sizes", "ratios", "scales", "has_whole_sizes")}
    pixels = network.backbone.get_layer("normalize")
    statistics = PixelStatistics(pixels.mean, pixels.std)
    again, report, _ = import_checkpoint(
        path,
        "torchvision",
        Overrides(anchors=anchors, pixels=statistics._asdict(), class_names=network.class_names),
    )
    report.require_complete()
    worst, limit = 0.0, TOLERANCES["keras", "float32"].raw or 0.0
    for image in samples:
        fit = fit_image(image.shape[0], image.shape[1], network.resize_config)
        batch, _ = prepare_batch([image], [fit], network.resize_config, network.pad_value)
        wanted, found = network(batch, training=False), again(batch, training=False)
        for name, factors in (("logits", (1.0,)), ("deltas", network.box_coder.std)):
            own = np.asarray(wanted[name]) * np.asarray(factors, np.float32)
            worst = max(worst, float(np.abs(np.asarray(found[name]) - own).max() / max(np.abs(own).max(), 1e-30)))
    if not worst <= limit:
        raise VerificationError(
            f"The raw outputs of the written weights differ by {worst:.1e} of their largest; allowed are {limit:g}. "
            "Please report this, with the snapshot's settings."
        )
    return worst


def _loading_code(model: DetectionModel, builder: str, out: Path) -> str:
    given = "".join(f", {name}={value!r}" for name, value in builder_arguments(model).items())
    cells = anchor_cells(model.network)
    lines = ["import torch", f"from torchvision.models.detection import {builder}"]
    if cells:
        lines.append("from torchvision.models.detection.anchor_utils import AnchorGenerator")
        lines.append(f"anchors = AnchorGenerator({cells[0]!r}, ({cells[1]!r},) * {len(cells[0])})")
        given += ", anchor_generator=anchors" if builder == V1 else ""
    count = len(model.class_names)
    lines.append(f"model = {builder}(weights=None, weights_backbone=None, num_classes={count}{given})")
    if cells and builder != V1:
        lines.append("model.anchor_generator = anchors")
    if out.suffix == ".safetensors":
        lines[0] = "from safetensors.torch import load_file"
        lines.append(f"model.load_state_dict(load_file({str(out)!r}))")
    else:
        lines.append(f"model.load_state_dict(torch.load({str(out)!r}, weights_only=True))")
    return "\n".join([*lines, "model.eval()", f"names = {list(model.class_names)!r}  # of the labels 0, 1, …"])
