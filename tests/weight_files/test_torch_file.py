"""PyTorch files written by hand, by PyTorch where it is installed, and by people who mean harm."""

from __future__ import annotations

import argparse
import collections
import decimal
import io
import os
import pickle
import runpy
import struct
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from keras_retinanet.weight_files import restricted_pickle
from keras_retinanet.weight_files.torch_file import LEGACY_MAGIC, is_torch_file, read_torch_file

PICKLES = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("pickles.py"))))
Name, Call, Reference, dumps, Exploit = (
    PICKLES.Name, PICKLES.Call, PICKLES.Reference, PICKLES.dumps, PICKLES.Exploit,
)  # fmt: skip
REBUILD = Name("torch._utils", "_rebuild_tensor_v2")


def storage(kind: str, key: str, length: int) -> Reference:
    return Reference(("storage", Name("torch", kind), key, "cpu", length))


def tensor(kind: str, key: str, length: int, size: tuple[int, ...], stride: tuple[int, ...], offset: int = 0) -> Call:
    hooks = Call(Name("collections", "OrderedDict"))
    return Call(REBUILD, storage(kind, key, length), offset, size, stride, False, hooks)


def write_zip(path: Path, content: Any, storages: dict[str, bytes], **options: Any) -> Path:
    with zipfile.ZipFile(path, "w", **options) as archive:
        archive.writestr("archive/data.pkl", content if isinstance(content, bytes) else dumps(content))
        for key, data in storages.items():
            archive.writestr(f"archive/data/{key}", data)
        archive.writestr("archive/version", "3\n")
    return path


def write_legacy(path: Path, content: Any, storages: dict[str, tuple[int, bytes]]) -> Path:
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2}}
    data = b"".join(map(dumps, (LEGACY_MAGIC, 1001, system, content, list(storages))))
    for length, values in storages.values():
        data += struct.pack("<q", length) + values
    path.write_bytes(data)
    return path


FLOATS = np.arange(6, dtype="<f4") / 4


def test_a_zip_written_by_hand(tmp_path: Path) -> None:
    content = collections.OrderedDict(
        weight=tensor("FloatStorage", "0", 6, (2, 3), (3, 1)),
        turned=tensor("FloatStorage", "0", 6, (3, 2), (1, 3)),
        part=tensor("FloatStorage", "0", 6, (2,), (1,), offset=4),
        count=tensor("LongStorage", "1", 1, (), ()),
        empty=tensor("FloatStorage", "0", 6, (0, 3), (3, 1)),
    )
    path = write_zip(tmp_path / "a.pth", content, {"0": FLOATS.tobytes(), "1": np.int64(-7).tobytes()})
    assert is_torch_file(path)
    arrays = read_torch_file(path)
    assert list(arrays) == ["weight", "turned", "part", "count", "empty"]
    np.testing.assert_array_equal(arrays["weight"], [[0, 0.25, 0.5], [0.75, 1, 1.25]])
    np.testing.assert_array_equal(arrays["turned"], [[0, 0.75], [0.25, 1], [0.5, 1.25]])
    np.testing.assert_array_equal(arrays["part"], [1, 1.25])
    assert arrays["count"].shape == ()
    assert arrays["count"] == -7
    assert arrays["count"].dtype == np.int64
    assert arrays["empty"].shape == (0, 3)
    with pytest.raises(ValueError, match="read-only"):
        arrays["weight"][0] = 1


def test_a_legacy_file_written_by_hand(tmp_path: Path) -> None:
    content = {"a": tensor("FloatStorage", "17", 6, (6,), (1,)), "b": tensor("ByteStorage", "x", 2, (2,), (1,))}
    path = write_legacy(tmp_path / "a.pth", content, {"x": (2, b"\x01\xff"), "17": (6, FLOATS.tobytes())})
    assert is_torch_file(path)
    arrays = read_torch_file(path)
    np.testing.assert_array_equal(arrays["a"], FLOATS)
    np.testing.assert_array_equal(arrays["b"], np.array([1, 255], "uint8"))


@pytest.mark.parametrize(
    ("kind", "data", "dtype", "expected"),
    [
        ("BFloat16Storage", b"\x80\x3f\x20\xc1", "float32", [1, -10]),
        ("HalfStorage", np.array([1, -10], "<f2").tobytes(), "float16", [1, -10]),
        ("DoubleStorage", np.array([1, -10], "<f8").tobytes(), "float64", [1, -10]),
        ("ShortStorage", np.array([1, -10], "<i2").tobytes(), "int16", [1, -10]),
        ("BoolStorage", b"\x01\x00", "bool", [True, False]),
    ],
)
def test_types(kind: str, data: bytes, dtype: str, expected: list[Any], tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.pth", {"x": tensor(kind, "0", 2, (2,), (1,))}, {"0": data})
    array = read_torch_file(path)["x"]
    assert array.dtype == dtype
    np.testing.assert_array_equal(array, expected)


def test_big_endian(tmp_path: Path) -> None:
    path = write_zip(
        tmp_path / "a.pth", {"x": tensor("FloatStorage", "0", 6, (6,), (1,))}, {"0": FLOATS.astype(">f4").tobytes()}
    )
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("archive/byteorder", "big")
    np.testing.assert_array_equal(read_torch_file(path)["x"], FLOATS)


@pytest.mark.parametrize("key", ["model", "state_dict", "model_state_dict", "teacher", "student"])
def test_a_training_checkpoint_and_parameters(key: str, tmp_path: Path) -> None:
    parameter = Call(
        Name("torch._utils", "_rebuild_parameter"),
        tensor("FloatStorage", "0", 6, (6,), (1,)),
        True,
        Call(Name("collections", "OrderedDict")),
    )
    path = write_zip(tmp_path / "a.pth", {key: {"w": parameter}, "epoch": 3, "lr": 0.1}, {"0": FLOATS.tobytes()})
    np.testing.assert_array_equal(read_torch_file(path)["w"], FLOATS)


def test_tensors_to_which_someone_gave_attributes(tmp_path: Path) -> None:
    """PyTorch then wraps the function that makes them; only its own is called."""
    plain = tensor("FloatStorage", "0", 6, (2, 3), (3, 1))
    typed = Name("torch._tensor", "_rebuild_from_type_v2")
    content = {
        "tensor": Call(typed, REBUILD, Name("torch", "Tensor"), plain.arguments, {"note": 1}),
        "parameter": Call(Name("torch._utils", "_rebuild_parameter_with_state"), plain, True, None, {"note": 1}),
    }
    found = read_torch_file(write_zip(tmp_path / "a.pth", content, {"0": FLOATS.tobytes()}))
    for name in content:
        np.testing.assert_array_equal(found[name], FLOATS.reshape(2, 3))
    other = {"w": Call(typed, Name("collections", "OrderedDict"), Name("torch", "Tensor"), ([],), None)}
    with pytest.raises(ValueError, match=r"b\.pth.*something else than PyTorch's function"):
        read_torch_file(write_zip(tmp_path / "b.pth", other, {}))


def test_what_training_scripts_put_beside_the_weights(tmp_path: Path) -> None:
    """torchvision's write the arguments and the milestones of the schedule; both are dropped."""
    arguments = argparse.Namespace(lr=0.1, data="x")
    beside = pickle.dumps({"args": arguments, "milestones": collections.Counter({16: 1, 22: 1})}, 2)
    whole = dumps({"model": {"w": tensor("FloatStorage", "0", 6, (6,), (1,))}})
    # One dict of both: the second pickle's items are set on the first one's.
    joined = whole[:-1] + beside[beside.index(b"}") + 3 :]
    path = write_zip(tmp_path / "a.pth", joined, {"0": FLOATS.tobytes()})
    np.testing.assert_array_equal(read_torch_file(path)["w"], FLOATS)


def test_new_objects_are_made_of_allowed_names_only() -> None:
    class_of_file = pickle.dumps(WithNew(), 2)
    assert b"\x81" in class_of_file  # NEWOBJ
    with pytest.raises(ValueError, match=r"refused '.*WithNew'"):
        restricted_pickle.load(io.BytesIO(class_of_file), {})


def test_other_content_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a\.pth.*'epoch' is not a tensor"):
        read_torch_file(write_zip(tmp_path / "a.pth", {"epoch": 3}, {}))
    with pytest.raises(ValueError, match=r"a\.pth.*holds a list"):
        read_torch_file(write_zip(tmp_path / "a.pth", [1, 2], {}))


# Files that want something run.


class WithNew:
    """Pickles into NEWOBJ."""


class WithState:
    """Pickles into a call of `__setstate__`."""

    def __setstate__(self, state: Any) -> None:
        raise AssertionError("was run")

    def __reduce__(self) -> Any:
        return collections.OrderedDict, (), {"marker": 1}


EXPLOITS = {
    "os.system": (Exploit(os.system, "touch marker"), r"(posix|nt)\.system"),
    "eval": (Exploit(eval, "open('marker', 'w')"), r"builtins?\.eval|__builtin__\.eval"),
    "exec": (Exploit(exec, "open('marker', 'w')"), r"\.exec"),
    "nested": (Exploit(getattr, Exploit(__import__, "os"), "system"), r"\.(getattr|__import__)"),
    "in a list": ({"w": [1, {"deep": Exploit(os.system, "touch marker")}]}, r"\.system"),
    "pickle in pickle": (Exploit(pickle.loads, pickle.dumps(Exploit(os.system, "touch marker"))), r"pickle\.loads"),
    "another class": (decimal.Decimal(1), r"decimal"),
    "numpy": (Exploit(np.load, "marker"), r"numpy.*load"),
}


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("exploit", EXPLOITS)
@pytest.mark.parametrize("layout", ["zip", "legacy"])
def test_exploits_are_refused_by_name(
    layout: str, exploit: str, protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    content, forbidden = EXPLOITS[exploit]
    data = pickle.dumps(content, protocol)
    path = tmp_path / "evil.pth"
    if layout == "zip":
        write_zip(path, data, {})
    else:
        path.write_bytes(b"".join(map(dumps, (LEGACY_MAGIC, 1001, {}))) + data)
    # Protocols 0 and 1 may meet an opcode that no weight file has before they meet the name.
    message = rf"refused '.*({forbidden})" if protocol >= 2 else r"refused|uses"
    with pytest.raises(ValueError, match=rf"evil\.pth.*({message})"):
        read_torch_file(path)
    assert not (tmp_path / "marker").exists()


def test_instances_and_extension_codes_are_refused(tmp_path: Path) -> None:
    """INST, OBJ, NEWOBJ and EXT make objects without the two opcodes that name them."""
    for opcodes in (
        b"(S'touch marker'\nios\nsystem\n.",
        b"(cos\nsystem\nS'x'\no.",
        b"\x80\x02\x82\x01.",
        b"cos\nsystem\n.",
    ):
        with pytest.raises(ValueError, match=r"refused|uses"):
            restricted_pickle.load(io.BytesIO(opcodes), {})


def test_state_is_never_set(tmp_path: Path) -> None:
    """An OrderedDict may carry attributes, as state dicts do; they are dropped. Nothing else may have a state."""
    path = write_zip(tmp_path / "a.pth", pickle.dumps(collections.OrderedDict(), 2), {})
    assert read_torch_file(path) == {}
    with_attributes = pickle.dumps(WithState(), 2)
    answer = restricted_pickle.load(io.BytesIO(with_attributes), {"collections.OrderedDict": dict})
    assert answer == {}
    assert not hasattr(answer, "marker")
    evil = dumps(storage("FloatStorage", "0", 1))[:-1] + b"}b."
    with pytest.raises(ValueError, match="refused to set the state of a _Storage"):
        read_torch_file(write_zip(tmp_path / "b.pth", evil, {"0": b"1234"}))


@pytest.mark.parametrize("callee", [Name("torch", "FloatStorage"), "text", 3])
def test_only_functions_of_the_table_are_called(callee: Any, tmp_path: Path) -> None:
    data = dumps(callee)[:-1] + b")R."
    with pytest.raises(ValueError, match=r"refused to call"):
        read_torch_file(write_zip(tmp_path / "a.pth", data, {}))


# Files that are wrong.

GOOD = {"x": tensor("FloatStorage", "0", 6, (2, 3), (3, 1))}


@pytest.mark.parametrize(
    ("size", "stride", "offset"),
    [
        ((7,), (1,), 0),
        ((2, 3), (4, 1), 0),
        ((6,), (1,), 1),
        ((-1,), (1,), 0),
        ((2,), (-1,), 3),
        ((10**12,), (0,), 0),  # would be 4 TB
        ((2, 3), (3,), 0),
        (("2",), (1,), 0),
    ],
)
def test_tensors_beyond_their_storage(size: Any, stride: Any, offset: int, tmp_path: Path) -> None:
    content = {"x": tensor("FloatStorage", "0", 6, size, stride, offset)}
    with pytest.raises(ValueError, match=r"a\.pth.*tensor"):
        read_torch_file(write_zip(tmp_path / "a.pth", content, {"0": FLOATS.tobytes()}))


@pytest.mark.parametrize(
    ("content", "storages", "message"),
    [
        (GOOD, {}, "lacks 'archive/data/0'"),
        (GOOD, {"0": b"12"}, "6 × f4 has 2 bytes"),
        ({"x": tensor("FloatStorage", "0", 10**13, (1,), (1,))}, {"0": b""}, "larger than the file"),
        ({"x": tensor("FloatStorage", "0", -1, (1,), (1,))}, {"0": b""}, "view"),
        ({"x": Call(REBUILD, 1, 2)}, {}, "wrong arguments for torch._utils._rebuild_tensor_v2"),
        ({"x": Reference(("module", "os"))}, {}, "something else than a storage"),
        ({"x": Reference(("storage", Name("collections", "OrderedDict"), "0", "cpu", 1))}, {}, "not a storage"),
        ({("a", "b"): 1}, {}, "dict key of type tuple"),
    ],
)
def test_wrong_archives(content: Any, storages: dict[str, bytes], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"a\.pth.*{message}"):
        read_torch_file(write_zip(tmp_path / "a.pth", content, storages))


def test_compressed_archives_are_refused(tmp_path: Path) -> None:
    bomb = write_zip(tmp_path / "a.pth", GOOD, {"0": bytes(10**6)}, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match="compressed"):
        read_torch_file(bomb)


def test_every_shortened_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    whole = write_zip(tmp_path / "zip.pth", GOOD, {"0": FLOATS.tobytes()}).read_bytes()
    old = write_legacy(tmp_path / "old.pth", GOOD, {"0": (6, FLOATS.tobytes())}).read_bytes()
    path = tmp_path / "short.pth"
    for data in (whole, old):
        for length in range(0, len(data), 3):
            path.write_bytes(data[:length])
            with pytest.raises(ValueError, match=r"short\.pth"):
                read_torch_file(path)


def test_random_changes_end_in_an_answer_or_a_named_error(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    old = write_legacy(tmp_path / "old.pth", GOOD, {"0": (6, FLOATS.tobytes())}).read_bytes()
    data_pickle = dumps(GOOD)
    path = tmp_path / "changed.pth"
    errors: list[str] = []
    for index in range(600):
        source = bytearray(old if index % 2 else data_pickle)
        for place in rng.integers(0, len(source), rng.integers(1, 6)):
            source[place] = rng.integers(256)
        path.write_bytes(source) if index % 2 else write_zip(path, bytes(source), {"0": FLOATS.tobytes()})
        try:
            assert all(isinstance(array, np.ndarray) for array in read_torch_file(path).values())
        except ValueError as error:
            errors.append(str(error))
    assert len(errors) > 300
    assert all("changed.pth" in error for error in errors)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", bytes(range(256)), b"\x80\x02}q\x00.", b"\x89HDF\r\n\x1a\n"])
def test_other_files(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    path.write_bytes(content)
    assert not is_torch_file(path)
    with pytest.raises(ValueError, match=r"other\.pth"):
        read_torch_file(path)


def test_missing_files(tmp_path: Path) -> None:
    assert not is_torch_file(tmp_path / "missing.pth")
    with pytest.raises(FileNotFoundError, match=r"missing\.pth"):
        read_torch_file(tmp_path / "missing.pth")


# PyTorch itself.


@pytest.mark.parametrize("is_zip", [True, False])
def test_equals_torch(is_zip: bool, tmp_path: Path) -> None:
    torch: Any = pytest.importorskip("torch")
    generator = torch.Generator().manual_seed(0)
    base = torch.randn(4, 6, generator=generator)
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3), torch.nn.BatchNorm2d(2))
    tensors: dict[str, Any] = {
        **module.state_dict(),
        "parameter": torch.nn.Parameter(base),
        "turned": base.t(),
        "slice": base[1:3, ::2],
        "scalar": torch.tensor(3),
        "half": base.half(),
        "bfloat16": base.bfloat16(),
        "double": base.double(),
        "int8": torch.tensor([-3, 4], dtype=torch.int8),
        "bool": torch.tensor([True, False]),
        "empty": torch.zeros(0, 3),
    }
    torch.save(collections.OrderedDict(tensors), tmp_path / "a.pth", _use_new_zipfile_serialization=is_zip)
    arrays = read_torch_file(tmp_path / "a.pth")
    assert list(arrays) == list(tensors)
    for name, value in tensors.items():
        expected = value.detach().float() if value.dtype == torch.bfloat16 else value.detach()
        np.testing.assert_array_equal(arrays[name], expected.numpy(), err_msg=name)
        assert arrays[name].dtype == expected.numpy().dtype


def test_a_whole_module_is_refused_by_name(tmp_path: Path) -> None:
    torch: Any = pytest.importorskip("torch")
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pth")
    with pytest.raises(ValueError, match=r"refused 'torch\.nn\.modules\.linear\.Linear'"):
        read_torch_file(tmp_path / "module.pth")
