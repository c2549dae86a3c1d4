"""Runs a SavedModel as TensorFlow Serving does: TensorFlow's own C++ loader, in a process without Python ops.

    python native_loader.py FOLDER {REQUEST.npz | IMAGE} …

A request holds `signature` and its inputs by name; byte strings are arrays of dtype object. The answer, or its
`error`, stands beside it in REQUEST.answer.npz. What is found in an image is printed. `tensorflow` is never imported:
its libraries are opened by ctypes, through the stable C API.
"""

from __future__ import annotations

import ctypes as c
import sys
import sysconfig
from pathlib import Path

import numpy as np

TYPES = {1: np.float32, 3: np.int32, 4: np.uint8, 7: object}  # TF_DataType
STRING_SIZE = 24  # bytes of one TF_TString


def library() -> c.CDLL:
    folder = Path(sysconfig.get_paths()["purelib"]) / "tensorflow"
    c.CDLL(str(folder / "libtensorflow_framework.so.2"), c.RTLD_GLOBAL)
    tf = c.CDLL(str(folder / "libtensorflow_cc.so.2"), c.RTLD_GLOBAL)
    for name in (
        "TF_NewStatus", "TF_NewGraph", "TF_NewSessionOptions", "TF_NewBuffer", "TF_LoadSessionFromSavedModel",
        "TF_AllocateTensor", "TF_TensorData", "TF_GraphOperationByName",
    ):  # fmt: skip
        getattr(tf, name).restype = c.c_void_p
    tf.TF_Message.restype = tf.TF_StringGetDataPointer.restype = c.c_void_p
    tf.TF_StringGetSize.restype = c.c_size_t
    tf.TF_Dim.restype = c.c_int64
    return tf


class Output(c.Structure):
    _fields_ = [("operation", c.c_void_p), ("index", c.c_int)]


class Buffer(c.Structure):
    _fields_ = [("data", c.c_void_p), ("length", c.c_size_t), ("deallocator", c.c_void_p)]


class Loader:
    """One loaded SavedModel."""

    def __init__(self, folder: str) -> None:
        self.tf = library()
        self.status = c.c_void_p(self.tf.TF_NewStatus())
        self.graph = c.c_void_p(self.tf.TF_NewGraph())
        options, meta = c.c_void_p(self.tf.TF_NewSessionOptions()), c.c_void_p(self.tf.TF_NewBuffer())
        tags = (c.c_char_p * 1)(b"serve")
        self.session = c.c_void_p(
            self.tf.TF_LoadSessionFromSavedModel(options, None, folder.encode(), tags, 1, self.graph, meta, self.status)
        )
        self.check()
        buffer = c.cast(meta, c.POINTER(Buffer)).contents
        self.signatures = read_signatures(c.string_at(buffer.data, buffer.length))

    def check(self) -> None:
        if self.tf.TF_GetCode(self.status):
            raise RuntimeError(c.string_at(self.tf.TF_Message(self.status)).decode())

    def run(self, signature: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        taken, given = self.signatures[signature]
        feeds = (Output * len(taken))(*(self.output(name) for name in taken.values()))
        tensors = (c.c_void_p * len(taken))(*(self.tensor(inputs[name]) for name in taken))
        fetches = (Output * len(given))(*(self.output(name) for name in given.values()))
        answers = (c.c_void_p * len(given))()
        self.tf.TF_SessionRun(
            self.session, None, feeds, tensors, len(taken), fetches, answers, len(given), None, 0, None, self.status
        )
        self.check()
        return {name: self.array(c.c_void_p(answer)) for name, answer in zip(given, answers, strict=True)}

    def output(self, name: str) -> Output:
        operation, _, index = name.partition(":")
        return Output(self.tf.TF_GraphOperationByName(self.graph, operation.encode()), int(index))

    def tensor(self, array: np.ndarray) -> int:
        kind = next(number for number, dtype in TYPES.items() if array.dtype == dtype)
        size = array.size * STRING_SIZE if kind == 7 else array.nbytes
        shape = (c.c_int64 * array.ndim)(*array.shape)
        tensor = self.tf.TF_AllocateTensor(kind, shape, array.ndim, c.c_size_t(size))
        data = self.tf.TF_TensorData(c.c_void_p(tensor))
        if kind != 7:
            c.memmove(data, np.ascontiguousarray(array).ctypes.data, size)
            return tensor
        for index, item in enumerate(array.ravel()):
            place = c.c_void_p(data + STRING_SIZE * index)
            self.tf.TF_StringInit(place)
            self.tf.TF_StringCopy(place, c.c_char_p(item), c.c_size_t(len(item)))
        return tensor

    def array(self, tensor: c.c_void_p) -> np.ndarray:
        dtype = TYPES[self.tf.TF_TensorType(tensor)]
        shape = [self.tf.TF_Dim(tensor, axis) for axis in range(self.tf.TF_NumDims(tensor))]
        data = self.tf.TF_TensorData(tensor)
        count = int(np.prod(shape))
        if dtype is not object:
            raw = c.string_at(data, count * np.dtype(dtype).itemsize)
            return np.frombuffer(raw, dtype).reshape(shape).copy()
        places = [c.c_void_p(data + STRING_SIZE * index) for index in range(count)]
        words = [c.string_at(self.tf.TF_StringGetDataPointer(p), self.tf.TF_StringGetSize(p)).decode() for p in places]
        return np.array(words).reshape(shape)


def read_signatures(meta_graph: bytes) -> dict[str, tuple[dict[str, str], dict[str, str]]]:
    """Names of the tensors of each signature from a serialised MetaGraphDef, without its generated classes."""
    found = {}
    for entry in fields(meta_graph, 5):  # map<string, SignatureDef> signature_def = 5
        definition = fields(entry, 2)[0]
        maps = tuple(
            {fields(item, 1)[0].decode(): fields(fields(item, 2)[0], 1)[0].decode() for item in fields(definition, n)}
            for n in (1, 2)  # map<string, TensorInfo> inputs = 1, outputs = 2; TensorInfo.name = 1
        )
        found[fields(entry, 1)[0].decode()] = maps
    return found


def fields(message: bytes, wanted: int) -> list[bytes]:
    """The length-delimited fields of that number."""
    found, place = [], 0
    while place < len(message):
        key, place = varint(message, place)
        kind = key & 7
        if kind == 2:
            length, place = varint(message, place)
            if key >> 3 == wanted:
                found.append(message[place : place + length])
            place += length
        elif kind == 0:
            _, place = varint(message, place)
        else:
            place += {1: 8, 5: 4}[kind]
    return found


def varint(message: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value, place


def answer_request(loader: Loader, request: Path) -> None:
    """Writes what a request of any signature is answered, or the error."""
    given = dict(np.load(request, allow_pickle=True))
    try:
        answer = loader.run(str(given.pop("signature")), given)
    except RuntimeError as error:
        answer = {"error": np.array(str(error))}
    np.savez(request.with_suffix(".answer.npz"), **answer)


def print_detections(loader: Loader, image: Path) -> None:
    """Prints what the signature for encoded images finds, an object a line."""
    found = loader.run("serving_default", {"image_bytes": np.array([image.read_bytes()], object)})
    for row in range(found["num_detections"][0]):
        corners = " ".join(f"{side:.2f}" for side in found["boxes"][0, row])
        print(f"{image}: {found['class_names'][0, row]} {found['scores'][0, row]:.4f} at {corners}")


if __name__ == "__main__":
    model = Loader(sys.argv[1])
    for path in map(Path, sys.argv[2:]):
        (answer_request if path.suffix == ".npz" else print_detections)(model, path)
    assert not any(name.split(".")[0] == "tensorflow" for name in sys.modules)
