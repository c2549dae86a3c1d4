"""Opens any weight file, recognised by its content rather than by its name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from keras_retinanet.weight_files.keras_hdf5 import KerasHdf5, is_keras3_hdf5, is_keras_hdf5, read_keras_hdf5
from keras_retinanet.weight_files.numpy_pickle import STARTS, read_numpy_pickle
from keras_retinanet.weight_files.safetensors_file import is_safetensors_file, read_safetensors_file
from keras_retinanet.weight_files.tf_checkpoint import TfCheckpoint, find_tf_checkpoint
from keras_retinanet.weight_files.torch_file import is_torch_file, read_torch_checkpoint

Layout = Literal["torch", "pickle", "safetensors", "keras_hdf5", "keras3_hdf5", "tf_checkpoint", "folder"]
WRAPPERS = ("module.", "model.", "_orig_mod.")
"""Prefixes that training wrappers of PyTorch add to every name; wrappers may be nested."""
COUNTER = "n_averaged"
"""Counter that PyTorch's `AveragedModel` holds in addition to the averaged weights."""


@dataclass(frozen=True)
class WeightFile:
    """An opened file.

    Attributes:
        path: Its path.
        layout: Its format; the content of a `"folder"` or a `"keras3_hdf5"` is read by its importer.
        tensors: Name → array in the file's order; empty for `"keras_hdf5"`, `"keras3_hdf5"`, `"tf_checkpoint"` and
            `"folder"`.
        beside: The other entries of a training checkpoint.
        keras: Content of a `"keras_hdf5"`.
        tf: The opened `"tf_checkpoint"`, whose arrays its importer reads.
    """

    path: Path
    layout: Layout
    tensors: Mapping[str, np.ndarray] = field(default_factory=dict)
    beside: Mapping[str, Any] = field(default_factory=dict)
    keras: KerasHdf5 | None = None
    tf: TfCheckpoint | None = None


def weight_layout(path: str | Path) -> Layout | None:
    """The layout of a file by its first bytes, of a folder by its files; `None` if it is unknown."""
    path = Path(path)
    if find_tf_checkpoint(path) is not None:
        return "tf_checkpoint"
    if path.is_dir():
        return "folder"
    if is_keras_hdf5(path):
        return "keras_hdf5"
    if is_keras3_hdf5(path):
        return "keras3_hdf5"
    if is_torch_file(path):
        return "torch"
    if is_safetensors_file(path):
        return "safetensors"
    if path.is_file():
        with path.open("rb") as stream:
            if stream.read(2) in STARTS:
                return "pickle"
    return None


def open_weights(path: str | Path) -> WeightFile:
    """Reads a weight file; nothing in it is executed.

    Args:
        path: PyTorch checkpoint, pickle of NumPy arrays, `.safetensors`, HDF5 of Keras, prefix of a checkpoint of
            TensorFlow 2, or a folder.

    Returns:
        The opened file. Prefixes of training wrappers are removed from the names.

    Raises:
        ValueError: The file has none of these layouts, or is damaged; the message names it and the reason.
        OSError: The file cannot be opened.
    """
    path = Path(path)
    layout = weight_layout(path)
    if layout in ("folder", "keras3_hdf5"):
        return WeightFile(path, layout)
    if layout == "tf_checkpoint" and (prefix := find_tf_checkpoint(path)) is not None:
        return WeightFile(path, layout, tf=TfCheckpoint(prefix))
    if layout == "keras_hdf5":
        return WeightFile(path, layout, keras=read_keras_hdf5(path))
    if layout == "safetensors":
        return WeightFile(path, layout, _unwrapped(read_safetensors_file(path)))
    if layout in ("torch", "pickle"):
        tensors, beside = (read_torch_checkpoint if layout == "torch" else read_numpy_pickle)(path)
        return WeightFile(path, layout, _unwrapped(tensors), beside)
    if not path.exists():
        raise FileNotFoundError(f"There is no file {str(path)!r}.")
    raise ValueError(
        f"{str(path)!r} is not a known weight file by its content: expected a PyTorch .pth, a pickle of arrays, "
        "a .safetensors, or an .h5 of Keras 2."
    )


def _unwrapped(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    tensors = {name: value for name, value in tensors.items() if name != COUNTER}
    while prefix := next((p for p in WRAPPERS if tensors and all(name.startswith(p) for name in tensors)), None):
        tensors = {name.removeprefix(prefix): value for name, value in tensors.items()}
    return tensors
