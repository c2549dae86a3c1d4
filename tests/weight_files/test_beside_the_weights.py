"""What trainers leave in a checkpoint beside its weights, and where the table of weights stands."""

from __future__ import annotations

import argparse
import collections
import datetime
import runpy
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from keras_retinanet.weight_files.pickle_stubs import Settings
from keras_retinanet.weight_files.torch_file import read_torch_checkpoint, read_torch_file
from keras_retinanet.weight_files.weight_file import open_weights

PICKLES = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("pickles.py"))))
BUFFER = PICKLES.Name("mmengine.logging.history_buffer", "HistoryBuffer")


def tensor(*values: float) -> Any:
    storage = PICKLES.Reference(("storage", PICKLES.Name("torch", "FloatStorage"), "0", "cpu", 3))
    rebuild = PICKLES.Name("torch._utils", "_rebuild_tensor_v2")
    return PICKLES.Call(rebuild, storage, 0, (len(values),), (1,), False, collections.OrderedDict())


def written(path: Path, content: Any) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", PICKLES.dumps(content))
        archive.writestr("a/data/0", np.float32([1, 2, 3]).tobytes())
    return path


def test_loggers_dates_and_arguments_are_read_over(tmp_path: Path) -> None:
    """As MMEngine writes them, whose buffers mention their methods by `getattr`."""
    mean = PICKLES.Call(PICKLES.Name("__builtin__", "getattr"), BUFFER, "mean")
    content = {
        "meta": {"date": datetime.datetime(2024, 1, 2), "epoch": 3},
        "state_dict": {"w": tensor(1, 2, 3)},
        "message_hub": {"loss": PICKLES.Call(BUFFER), "methods": {"mean": mean}},
        "seen": {1, 2},
        "by_name": collections.defaultdict(list, {"a": [1]}),
        "args": argparse.Namespace(weights=None, lr=0.1),
        "device": PICKLES.Call(PICKLES.Name("torch", "device"), "cpu"),
        "dtype": PICKLES.Name("torch", "float32"),
    }
    tensors, beside = read_torch_checkpoint(written(tmp_path / "a.pth", content))
    np.testing.assert_array_equal(tensors["w"], [1, 2, 3])
    assert beside["meta"]["epoch"] == 3
    assert beside["by_name"] == {"a": [1]}
    assert isinstance(beside["args"], Settings)
    assert beside["args"].values == {"weights": None, "lr": 0.1}


@pytest.mark.parametrize("owner", [PICKLES.Name("builtins", "dict"), {"a": 1}, "text"])
def test_attributes_of_anything_else_are_refused(owner: Any, tmp_path: Path) -> None:
    found = PICKLES.Call(PICKLES.Name("builtins", "getattr"), owner, "values")
    with pytest.raises(ValueError, match=r"a\.pth.*refused 'builtins.getattr'"):
        read_torch_file(written(tmp_path / "a.pth", {"w": tensor(1), "x": found}))


def test_a_logger_is_never_called(tmp_path: Path) -> None:
    call = PICKLES.Call(PICKLES.Call(BUFFER), 1)
    with pytest.raises(ValueError, match=r"refused to call 'Ignored'"):
        read_torch_file(written(tmp_path / "a.pth", {"w": tensor(1), "x": call}))


def test_paths_and_versions_beside_the_weights_are_read_over(tmp_path: Path) -> None:
    beside = {
        "folder": PICKLES.Call(PICKLES.Name("pathlib", "PosixPath"), "runs", "1"),
        "version": PICKLES.Call(PICKLES.Name("torch.torch_version", "TorchVersion"), "2.6"),
    }
    file = open_weights(written(tmp_path / "a.pth", {"model": {"w": tensor(1)}, **beside}))
    assert list(file.tensors) == ["w"]


def test_a_whole_object_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds a whole object, not a table of weights"):
        read_torch_file(written(tmp_path / "a.pth", PICKLES.Call(BUFFER)))


def test_one_table_under_any_name_is_found(tmp_path: Path) -> None:
    average = {"n_averaged": tensor(1), "module._orig_mod.w": tensor(1, 2, 3)}
    file = open_weights(written(tmp_path / "a.pth", {"model_ema": average, "epoch": 4, "log": {"loss": 0.5}}))
    assert list(file.tensors) == ["w"]
    assert file.beside == {"epoch": 4, "log": {"loss": 0.5}}
    both = {"first": {"w": tensor(1)}, "second": {"w": tensor(1)}}
    with pytest.raises(ValueError, match="entry 'first' is not a tensor"):
        open_weights(written(tmp_path / "b.pth", both))


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "model.module.", "_orig_mod.module."])
def test_wrappers_are_taken_off(prefix: str, tmp_path: Path) -> None:
    names = {f"{prefix}a.weight": tensor(1), f"{prefix}b.weight": tensor(1)}
    assert list(open_weights(written(tmp_path / "a.pth", names)).tensors) == ["a.weight", "b.weight"]
    mixed = names | {"other": tensor(1)}
    assert list(open_weights(written(tmp_path / "b.pth", mixed)).tensors) == list(mixed)
