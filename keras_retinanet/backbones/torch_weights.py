"""State dicts of PyTorch, put into a backbone layer by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import keras
import numpy as np
from keras import layers

from keras_retinanet.weight_files.safetensors_file import is_safetensors_file
from keras_retinanet.weight_files.torch_file import is_torch_file
from keras_retinanet.weight_files.weight_file import open_weights

_NORM = ("weight", "bias", "running_mean", "running_var")
_STEM = "conv1.weight"
_FIRST_BLOCK = "layer1.0.conv2.weight"
_PREFERRED = ("teacher", "student", "encoder_q", "encoder", "backbone")
"""Networks of a self-supervised checkpoint, best first: DINO evaluates its teacher, MoCo its query encoder."""
_HEADS = (
    "fc.", "head.", "heads.", "mlp.", "predictor.", "projector.", "projection_head.", "prediction_head.", "prototypes.",
)  # fmt: skip
"""Beginnings of names that self-supervised methods give to what comes after the features."""


def is_torch_weights(path: str | Path) -> bool:
    """Whether a file holds tensors of PyTorch: its own layouts, or safetensors."""
    return is_torch_file(path) or is_safetensors_file(path)


def find_groups(shape: Sequence[int]) -> tuple[int, int]:
    """The groups of a ResNet of bottlenecks, and the channels of one in stage 2.

    Args:
        shape: Of the first 3x3 kernel of stage 2: `(out, in / groups, 3, 3)`.

    Returns:
        Groups and channels, such as 32 and 4 of a ResNeXt-50 32x4d, 1 and 64 of a ResNet, 1 and 128 of a wide one.
    """
    return int(shape[0]) // max(int(shape[1]), 1), int(shape[1])


def read_groups(path: str | Path) -> tuple[int, int]:
    """The groups of the ResNet in a file, as `find_groups`; those of a plain one if it has no bottlenecks.

    Args:
        path: `.pth` or `.safetensors`.

    Returns:
        Groups and channels.
    """
    shapes = {name: value.shape for name, value in open_weights(path).tensors.items()}
    found = (shape for name, shape in shapes.items() if name.endswith(_FIRST_BLOCK) and len(shape) == 4)
    return find_groups(next(found, (64, 64)))


def load_torch_weights(backbone: keras.Model, path: Path, names: Mapping[str, str], classifier: str) -> None:
    """Reads a state dict into a backbone.

    Args:
        backbone: Changed in place.
        path: `.pth` or `.safetensors`.
        names: PyTorch module → layer, for every layer with weights.
        classifier: Beginning of the names that are left aside.

    Raises:
        ValueError: A tensor is missing, left over or of another shape; names the file and it.
    """
    try:
        fill_from_torch(select_network(open_weights(path).tensors, names), backbone, names, classifier)
    except ValueError as error:
        raise ValueError(f"The weights in {str(path)!r} do not fit {backbone.name!r}: {error}") from error


def select_network(tensors: Mapping[str, np.ndarray], names: Mapping[str, str]) -> dict[str, np.ndarray]:
    """The tensors of the backbone in a file that holds more, as self-supervised training writes it.

    The backbone may stand below a prefix, such as `module.encoder_q.` (MoCo), `teacher.backbone.` (DINO) or `backbone.`
    (lightly), more than once, and before heads of projection.

    Args:
        tensors: Name → array.
        names: PyTorch module → layer, for every layer with weights.

    Returns:
        The tensors of one network without their prefix and its heads; all tensors if none has a prefix.
    """
    prefixes = [
        name.removesuffix(_STEM)
        for name in tensors
        if name.endswith(_STEM) and _is_prefix(name.removesuffix(_STEM), tensors, names)
    ]
    if not prefixes or (prefixes == [""] and not any(name.startswith(_HEADS) for name in tensors)):
        return dict(tensors)

    def rank(prefix: str) -> tuple[int, int]:
        words = prefix.split(".")
        return next((place for place, word in enumerate(_PREFERRED) if word in words), len(_PREFERRED)), len(prefix)

    prefix = min(prefixes, key=rank)
    own = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    return {name: value for name, value in own.items() if not name.startswith(_HEADS)}


def _is_prefix(prefix: str, tensors: Mapping[str, np.ndarray], names: Mapping[str, str]) -> bool:
    """True if every convolution and norm of the network stands below the prefix."""
    return (not prefix or prefix.endswith(".")) and all(f"{prefix}{module}.weight" in tensors for module in names)


def fill_from_torch(
    tensors: Mapping[str, np.ndarray], backbone: keras.Model, names: Mapping[str, str], classifier: str
) -> None:
    """Puts the tensors of a state dict into a backbone; all but the classifier have to be used.

    Args:
        tensors: Name → array, in PyTorch's layouts.
        backbone: Changed in place.
        names: PyTorch module → layer, for every layer with weights.
        classifier: Beginning of the names that are left aside.

    Raises:
        ValueError: A tensor is missing, left over or of another shape; names it.
    """
    _check_kind(tensors)
    left = {name for name in tensors if not name.endswith("num_batches_tracked") and not name.startswith(classifier)}
    for module, layer_name in names.items():
        layer = backbone.get_layer(layer_name)
        is_norm = isinstance(layer, layers.BatchNormalization)
        parts = _NORM if is_norm else ("weight",)
        missing = [f"{module}.{part}" for part in parts if f"{module}.{part}" not in left]
        if missing:
            raise ValueError(f"The tensor {missing[0]!r} of {backbone.name!r} is missing.")
        values = [tensors[f"{module}.{part}"] for part in parts]
        if not is_norm:  # (out, in, h, w), of a depthwise convolution (out, 1, h, w)
            order = (2, 3, 0, 1) if isinstance(layer, layers.DepthwiseConv2D) else (2, 3, 1, 0)
            values = [value.transpose(order) if value.ndim == 4 else value for value in values]
        shapes = [tuple(weight.shape) for weight in layer.weights]
        if shapes != [value.shape for value in values]:
            raise ValueError(f"{module!r} has the shapes {[v.shape for v in values]}, {layer_name!r} needs {shapes}.")
        layer.set_weights(values)
        left -= {f"{module}.{part}" for part in parts}
    if left:
        first = sorted(left)[:8]
        rest = f" and {len(left) - len(first)} more" if len(left) > len(first) else ""
        raise ValueError(f"The tensors {first}{rest} have no place in {backbone.name!r}.")


def _check_kind(tensors: Mapping[str, np.ndarray]) -> None:
    """Raises for the variants of ResNet whose blocks are others, by the names that timm and torchvision give them."""
    for name, reason in (
        ("conv1.0.weight", "a deep stem of three convolutions (ResNet-C, -D, -S, -T)"),
        ("layer1.0.downsample.1.weight", "shortcuts with average pooling (ResNet-D)"),
        ("layer1.0.se.fc1.weight", "squeeze-and-excitation (SE-ResNet)"),
        ("layer1.0.se.conv.weight", "channel attention (ECA-ResNet)"),
    ):
        if name in tensors and (np.ndim(tensors[name]) > 2):
            raise ValueError(f"It has {reason}; ResNets with a 7x7 stem and plain blocks can be used.")
    if "bn1.weight" in tensors and "bn1.running_mean" not in tensors:
        raise ValueError("It has group normalisation in place of batch normalisation, which ours has not.")
