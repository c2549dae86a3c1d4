"""Checkpoints in the true layouts of their libraries, written by hand, and the weights of the reference folder."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import h5py
import numpy as np
import pytest


class Name:
    """A global name, pickled as such."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name


class Call:
    """A call of a global name."""

    def __init__(self, name: Name, *arguments: Any) -> None:
        self.name, self.arguments = name, arguments


class Reference(tuple):
    """A persistent id."""


class TorchPickler(pickle._Pickler):  # type: ignore[name-defined]
    """Writes what PyTorch's pickler writes, without PyTorch."""

    dispatch: ClassVar[dict[Any, Any]] = dict(pickle._Pickler.dispatch)  # type: ignore[attr-defined]

    def persistent_id(self, obj: Any) -> Any:
        return tuple(obj) if isinstance(obj, Reference) else None

    def save_name(self, obj: Name) -> None:
        self.write(pickle.GLOBAL + f"{obj.module}\n{obj.name}\n".encode())

    def save_call(self, obj: Call) -> None:
        self.save(obj.name)
        self.save(obj.arguments)
        self.write(pickle.REDUCE)

    dispatch[Name] = save_name
    dispatch[Call] = save_call


def torch_bytes(content: Any) -> bytes:
    stream = io.BytesIO()
    TorchPickler(stream, 2).dump(content)
    return stream.getvalue()


def torch_tensor(key: str, value: np.ndarray) -> Call:
    kind = {"f": "FloatStorage", "i": "LongStorage"}[value.dtype.kind]
    stride = tuple(step // value.itemsize for step in value.strides)
    storage = Reference(("storage", Name("torch", kind), key, "cpu", value.size))
    hooks = Call(Name("collections", "OrderedDict"))
    return Call(Name("torch._utils", "_rebuild_tensor_v2"), storage, 0, value.shape, stride, False, hooks)


def write_torch(path: Path, arrays: Mapping[str, np.ndarray], outside: Mapping[str, Any] | None = None) -> Path:
    """A zip archive as `torch.save` writes it; `outside` are the other entries of a training checkpoint."""
    arrays = {name: np.ascontiguousarray(value) for name, value in arrays.items()}
    table: Any = {name: torch_tensor(str(index), value) for index, (name, value) in enumerate(arrays.items())}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", torch_bytes({**outside, "state_dict": table} if outside is not None else table))
        for index, value in enumerate(arrays.values()):
            archive.writestr(f"a/data/{index}", value.tobytes())
        archive.writestr("a/version", "3\n")
    return path


def write_pickle(path: Path, arrays: Mapping[str, np.ndarray], protocol: int = 2, **beside: Any) -> Path:
    """A plain pickle as Detectron2 publishes it."""
    path.write_bytes(pickle.dumps({"model": dict(arrays), "__author__": "tests", **beside}, protocol))
    return path


def write_safetensors(path: Path, arrays: Mapping[str, np.ndarray]) -> Path:
    """A `.safetensors` file."""
    kinds = {"float32": "F32", "float16": "F16", "int64": "I64"}
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, value in arrays.items():
        header[name] = {
            "dtype": kinds[str(value.dtype)], "shape": list(value.shape),
            "data_offsets": [len(data), len(data) + value.nbytes],
        }  # fmt: skip
        data += np.ascontiguousarray(value).tobytes()
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def write_h5(
    path: Path,
    layers: list[dict[str, Any]],
    arrays: Mapping[str, np.ndarray],
    *,
    config: Any = None,
    version: str = "2.15.0",
    is_old: bool = False,
    has_optimizer: bool = False,
) -> Path:
    """HDF5 of Keras 2: `layers` as in `h5_layout.json`; whole models have a `config`. `is_old`: byte strings."""

    def names(values: list[str]) -> Any:
        return np.array([value.encode() for value in values]) if is_old else values

    with h5py.File(path, "w") as file:
        group = file if config is None else file.create_group("model_weights")
        if config is not None:
            text = json.dumps(config)
            file.attrs["model_config"] = text.encode() if is_old else text
        group.attrs["layer_names"] = names([layer["layer"] for layer in layers])
        group.attrs["keras_version"] = version.encode() if is_old else version
        group.attrs["backend"] = b"tensorflow"
        for layer in layers:
            own = group.create_group(layer["layer"])
            own.attrs["weight_names"] = names(layer["weight_names"])
            for name in layer["weight_names"]:
                own[name] = arrays[name]
        if has_optimizer:
            file.create_group("optimizer_weights").attrs["weight_names"] = names(["Adam/iterations:0"])
    return path


def fill(tensor: Mapping[str, Any], salt: str = "") -> np.ndarray:
    """The numbers of one record of the reference folder."""
    shape = tuple(tensor["shape"])
    if tensor["kind"] == "zero":
        return np.zeros(shape, np.int64)
    if tensor["kind"] == "values":
        return np.array(tensor["values"], np.float32).reshape(shape)
    rng = np.random.Generator(np.random.PCG64(zlib.crc32((tensor["name"] + salt).encode())))
    z = rng.standard_normal(shape, dtype=np.float32)
    z = np.abs(z) if tensor["kind"] == "abs" else z
    return np.float32(tensor["offset"]) + np.float32(tensor["scale"]) * z


def reference_arrays(folder: Path, names: str = "name") -> dict[str, np.ndarray]:
    """The weights of a folder of the reference data by `name`, or by `published_name` where they have one."""
    header = json.loads((folder / "weights.json").read_text())
    return {record.get(names, record["name"]): fill(record, header["salt"]) for record in header["tensors"]}


@pytest.fixture(scope="session")
def files() -> SimpleNamespace:
    """The writers above."""
    return SimpleNamespace(
        torch=write_torch, pickle=write_pickle, safetensors=write_safetensors, h5=write_h5, fill=fill,
        reference=reference_arrays, torch_bytes=torch_bytes, Name=Name, Call=Call,
    )  # fmt: skip
