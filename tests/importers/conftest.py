"""Checkpoints in the true layouts of their libraries, written by hand, and the weights of the reference folder."""

from __future__ import annotations

import gzip
import json
import pickle
import runpy
import shutil
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import keras
import numpy as np
import pytest

PICKLES = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "weight_files" / "pickles.py")))


def torch_tensor(key: str, value: np.ndarray) -> Any:
    kind = {"f": "FloatStorage", "i": "LongStorage"}[value.dtype.kind]
    stride = tuple(step // value.itemsize for step in value.strides)
    storage = PICKLES.Reference(("storage", PICKLES.Name("torch", kind), key, "cpu", value.size))
    hooks = PICKLES.Call(PICKLES.Name("collections", "OrderedDict"))
    return PICKLES.Call(
        PICKLES.Name("torch._utils", "_rebuild_tensor_v2"), storage, 0, value.shape, stride, False, hooks
    )


def write_torch(path: Path, arrays: Mapping[str, np.ndarray], outside: Mapping[str, Any] | None = None) -> Path:
    """A zip archive as `torch.save` writes it; `outside` are the other entries of a training checkpoint."""
    arrays = {name: np.ascontiguousarray(value) for name, value in arrays.items()}
    table: Any = {name: torch_tensor(str(index), value) for index, (name, value) in enumerate(arrays.items())}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "a/data.pkl", PICKLES.dumps({**outside, "state_dict": table} if outside is not None else table)
        )
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


def write_tf_checkpoint(folder: Path, source: Path, layout: str) -> Path:
    """A detector of TensorFlow's libraries in the folder as they lay it out; its prefix.

    Args:
        folder: Where to write.
        source: Folder of the reference data: names, shapes, object graph and settings.
        layout: `checkpoint`, `exported` or `saved_model`.
    """
    import tensorflow as tf

    header = json.loads((source / "weights.json").read_text())
    described = json.loads((source / "checkpoint_layout.json").read_text())[layout]
    tensors = {
        record[described.get("names", "name")]: tf.constant(fill(record, header["salt"]))
        for record in header["tensors"]
    }
    tensors |= {key: tf.constant(value, dtype) for key, dtype, value in described["other_tensors"]}
    graph = gzip.decompress((source / described["object_graph"]).read_bytes())
    tensors["_CHECKPOINTABLE_OBJECT_GRAPH"] = tf.constant(graph)
    place = {"checkpoint": "checkpoint"}.get(layout, "")
    prefix = folder / place / described["file"]
    prefix.parent.mkdir(parents=True, exist_ok=True)
    names = sorted(tensors)
    tf.raw_ops.SaveV2(
        prefix=str(prefix), tensor_names=names, shape_and_slices=[""] * len(names),
        tensors=[tensors[name] for name in names],
    )  # fmt: skip
    (prefix.parent / "checkpoint").write_text(f'model_checkpoint_path: "{prefix.name}"\n')
    for name in ("pipeline.config", "params.yaml"):
        if (source / name).is_file():
            shutil.copy(source / name, folder / name)
    return prefix


FIZYR_MOBILENET_TAPS = {3: "conv_pw_5_relu", 4: "conv_pw_11_relu", 5: "conv_pw_13_relu"}
CLASSES, ANCHORS, WIDTH = 2, 9, 8


def convolution(rng: np.random.Generator, size: int, inputs: int, outputs: int) -> tuple[np.ndarray, np.ndarray]:
    kernel = rng.standard_normal((size, size, inputs, outputs)) * np.sqrt(1 / (size * size * inputs))
    return kernel.astype(np.float32), (0.1 * rng.standard_normal(outputs)).astype(np.float32)


def snapshot_of(
    network: keras.Model, taps: dict[int, str], *, levels: tuple[int, ...] = (3, 4, 5, 6, 7), suffix: str = ""
) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
    """Layers and arrays of a fizyr training model on a network of `keras.applications`."""
    rng = np.random.default_rng(0)
    layers: list[dict[str, Any]] = []
    arrays: dict[str, np.ndarray] = {}

    def add(layer: str, names: list[str], values: list[np.ndarray]) -> None:
        layers.append({"layer": layer, "weight_names": names})
        arrays.update(zip(names, values, strict=True))

    for layer in network.layers:
        name = layer.name.replace("conv1_conv", "conv1/conv").replace("conv1_bn", "conv1/bn")
        name = name if "conv2_block1_0_bn" in [other.name for other in network.layers] else layer.name
        kinds = [variable.name for variable in layer.weights]
        if isinstance(layer, keras.layers.DepthwiseConv2D):
            kinds[0] = "depthwise_kernel"
        add(name, [f"{name}/{kind}:0" for kind in kinds], [np.asarray(w.value) for w in layer.weights])
    for level, tap in taps.items():
        add(
            f"C{level}_reduced",
            *pair(f"C{level}_reduced", convolution(rng, 1, network.get_layer(tap).output.shape[-1], WIDTH)),
        )
    for level in levels:
        inputs = network.get_layer(taps[5]).output.shape[-1] if level == 6 else WIDTH
        add(f"P{level}", *pair(f"P{level}", convolution(rng, 3, inputs, WIDTH)))
    for purpose, values in (("regression", 4), ("classification", CLASSES)):
        names, weights = [], []
        for index in ("_0", "_1", ""):
            outputs = WIDTH if index else ANCHORS * values
            own = pair(f"pyramid_{purpose}{suffix}{index}", convolution(rng, 3, WIDTH, outputs))
            names += own[0]
            weights += own[1]
        add(f"{purpose}_submodel", names, weights)
    return layers, arrays


def pair(name: str, values: tuple[np.ndarray, np.ndarray]) -> tuple[list[str], list[np.ndarray]]:
    return [f"{name}/kernel:0", f"{name}/bias:0"], list(values)


@pytest.fixture(scope="session")
def files() -> SimpleNamespace:
    """The writers above."""
    return SimpleNamespace(
        torch=write_torch, pickle=write_pickle, safetensors=write_safetensors, h5=write_h5, fill=fill,
        reference=reference_arrays, tf_checkpoint=write_tf_checkpoint,
        snapshot=snapshot_of, MOBILENET_TAPS=FIZYR_MOBILENET_TAPS, WIDTH=WIDTH,
    )  # fmt: skip


@pytest.fixture(scope="session")
def mobilenet() -> keras.Model:
    """Its last layer is C5; random, with statistics that show."""
    network = keras.applications.MobileNet(alpha=0.25, include_top=False, weights=None, input_shape=(None, None, 3))
    rng = np.random.default_rng(1)
    for variable in network.weights:
        if variable.name == "moving_variance":
            variable.assign(1 + 0.2 * np.abs(rng.standard_normal(variable.shape)))
        elif len(variable.shape) == 1:
            variable.assign(variable.value + 0.1 * rng.standard_normal(variable.shape))
    return network
