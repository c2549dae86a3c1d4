"""HDF5 files written by Keras 1 and 2: layers in order, each with its arrays in order, and the model's description.

Nothing is deserialised: the description is JSON, from which callers read names and numbers.
"""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from keras_retinanet.weight_files.hdf5_probe import GROWTH, holds_its_numbers

_PROBE = Path(__file__).with_name("hdf5_probe.py")
_CHUNKS = 10_000  # an attribute longer than HDF5 allows is cut into `name0`, `name1` …


@dataclass(frozen=True)
class KerasHdf5:
    """The content of such a file.

    Attributes:
        layers: Layer → its arrays in order, each with its saved name, such as `conv1/kernel`. Layers without weights
            are listed too.
        config: The model's description; `None` in files of weights alone.
        version: Version of Keras; `None` if it is not stored.
    """

    layers: dict[str, list[tuple[str, np.ndarray]]]
    config: Any
    version: str | None


def is_keras_hdf5(path: str | Path) -> bool:
    """Whether the file is HDF5 in the layout of Keras 1 and 2; raises `ValueError` if it is damaged HDF5."""
    if not Path(path).is_file() or not h5py.is_hdf5(path):
        return False
    _require_readable(path)
    try:
        with h5py.File(path, "r") as file:
            return bool({"layer_names", "layer_names0"} & set(_weights(file).attrs))
    except (OSError, RuntimeError, KeyError):
        return False


def read_keras_hdf5(path: str | Path) -> KerasHdf5:
    """Reads a file of weights, or of a whole model without its optimizer state.

    Args:
        path: HDF5 file.

    Returns:
        Its content.

    Raises:
        ValueError: The file is damaged or has another layout; the message names the file and the reason.
        OSError: The file cannot be opened.
    """
    with Path(path).open("rb"):
        pass
    _require_readable(path)
    try:
        with h5py.File(path, "r") as file:
            group, numbers = _weights(file), _Numbers(Path(path).stat().st_size)
            layers = {name: list(_arrays(group, name, numbers)) for name in _texts(group, "layer_names")}
            config, version = file.attrs.get("model_config"), _text_or_none(group.attrs.get("keras_version"))
            return KerasHdf5(
                layers,
                None if config is None else json.loads(_text(config)),
                version or _text_or_none(file.attrs.get("keras_version")),
            )
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, AttributeError, RecursionError) as error:
        raise ValueError(f"Cannot read {str(path)!r} as a file of Keras 2: {error}.") from error


def is_keras3_hdf5(path: str | Path) -> bool:
    """Whether the file is a `.weights.h5` of Keras 3, by its groups; raises `ValueError` if it is damaged HDF5."""
    if not Path(path).is_file() or not h5py.is_hdf5(path):
        return False
    _require_readable(path)
    try:
        with h5py.File(path, "r") as file:
            return isinstance(file.get("layers", getlink=True), h5py.HardLink)
    except (OSError, RuntimeError, KeyError):
        return False


def has_array(path: str | Path, name: str) -> bool:
    """Whether a readable HDF5 file has an array at a path inside it."""
    with h5py.File(path, "r") as file:
        try:
            return isinstance(_inside(file, name), h5py.Dataset)
        except (ValueError, AttributeError):
            return False


def read_tree(path: str | Path) -> dict[str, np.ndarray]:
    """Reads all arrays of an HDF5 file by their path in it, as Keras 3 writes weights.

    Args:
        path: HDF5 file.

    Returns:
        Path inside the file → array.

    Raises:
        ValueError: The file is damaged; the message names it.
    """
    found: dict[str, np.ndarray] = {}
    numbers = _Numbers(Path(path).stat().st_size)

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = numbers.read(item)

    _require_readable(path)
    try:
        with h5py.File(path, "r") as file:
            file.visititems(visit)
    except (OSError, ValueError, RuntimeError) as error:
        raise ValueError(f"Cannot read {str(path)!r} as a weight file of Keras 3: {error}.") from error
    return found


def _require_readable(path: str | Path) -> None:
    """Raises if the file cannot be read in a separate process: the HDF5 library may crash on damaged files."""
    path = Path(path)
    stat = path.stat()
    if (reason := _probed(str(path.resolve()), stat.st_mtime_ns, stat.st_size)) is not None:
        raise ValueError(f"{str(path)!r} is a damaged HDF5 file: {reason}.")


@functools.lru_cache(maxsize=64)
def _probed(path: str, changed: int, size: int) -> str | None:
    """Why a file of this content cannot be read; `None` if it can."""
    del changed, size
    if not sys.executable:  # embedded in another program
        return None
    done = subprocess.run([sys.executable, str(_PROBE), path], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    return done.stderr.strip() if done.returncode > 0 else f"reading it ends in signal {-done.returncode}"


def _weights(file: h5py.File) -> Any:
    return _inside(file, "model_weights") if "model_weights" in file else file


def _arrays(group: Any, name: str, numbers: _Numbers) -> Iterator[tuple[str, np.ndarray]]:
    layer = _inside(group, name)
    for weight in _texts(layer, "weight_names"):
        dataset = _inside(layer, weight)
        if not isinstance(dataset, h5py.Dataset):
            raise ValueError(f"{weight!r} of layer {name!r} is not an array")
        yield weight.removesuffix(":0"), numbers.read(dataset)


def _inside(group: Any, path: str) -> Any:
    """The group or array at a path in the same file; links out of the file are not followed."""
    for part in path.split("/"):
        if not isinstance(group.get(part, getlink=True), h5py.HardLink):
            raise ValueError(f"{path!r} is missing, or is outside the file")
        group = group[part]
    return group


class _Numbers:
    """Reads arrays of a file, up to a limit by its size: compressed, empty and linked arrays take no space in it."""

    def __init__(self, size: int) -> None:
        self.room = 2**26 + GROWTH * size

    def read(self, dataset: h5py.Dataset) -> np.ndarray:
        """All numbers of an array."""
        if dataset.dtype.kind not in "fiub" or dataset.external or dataset.is_virtual:
            raise ValueError(f"{dataset.name!r} holds no numbers, or keeps them outside the file")
        self.room -= dataset.nbytes
        if self.room < 0 or not holds_its_numbers(dataset):
            raise ValueError(f"{dataset.name!r} claims {dataset.nbytes} bytes, which the file does not hold")
        values: np.ndarray = dataset[()]
        return values


def _texts(group: Any, name: str) -> list[str]:
    """The names that an attribute lists, which may be split over several attributes."""
    if name in group.attrs:
        return [_text(value) for value in group.attrs[name]]
    chunks: list[Any] = []
    while len(chunks) < _CHUNKS and f"{name}{len(chunks)}" in group.attrs:
        chunks.append(group.attrs[f"{name}{len(chunks)}"])
    if not chunks:
        raise ValueError(f"it has no {name}")
    return [_text(value) for chunk in chunks for value in chunk]


def _text_or_none(value: Any) -> str | None:
    return None if value is None else _text(value)


def _text(value: Any) -> str:
    """The text of an attribute, stored as text or as bytes, depending on the version of h5py."""
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if not isinstance(value, str):
        raise ValueError(f"a name is a {type(value).__name__}")
    return str(value)
