"""Object-based checkpoints of TensorFlow 2: `PREFIX.index`, `PREFIX.data-00000-of-00001` …, and SavedModels' variables.

A variable has one key in the file, which depends on how it was saved; the object graph in the checkpoint leads to it
along the names of attributes. The graph of a SavedModel is neither needed nor run.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_retinanet.framework_internals import parse_object_graph

GRAPH_KEY = "_CHECKPOINTABLE_OBJECT_GRAPH"
_VALUE = "VARIABLE_VALUE"
_NO_ATTRIBUTES = frozenset({"variables", "trainable_variables", "regularization_losses", "keras_api", "signatures"})
"""Children of a SavedModel's objects that list what attributes lead to, too."""
_PLACES = ("", "checkpoint", "variables", "saved_model/variables")
"""Folders below a given folder in which a checkpoint may lie."""


@dataclass(frozen=True)
class StoredVariable:
    """A variable of a checkpoint.

    Attributes:
        path: Attributes that lead to it from the root, such as `("model", "_head", "_classifier", "kernel")`.
        key: Its key in the file.
        full_name: Its name in Keras when it was saved; may be empty.
    """

    path: tuple[str, ...]
    key: str
    full_name: str


def find_tf_checkpoint(path: str | Path) -> Path | None:
    """Finds the prefix of a checkpoint.

    Args:
        path: A prefix, one of its files, or a folder: of checkpoints, of an exported detector, of a SavedModel.

    Returns:
        The prefix; in a folder of checkpoints, the one that its file `checkpoint` names, else the newest by number.
        `None` if there is none.
    """
    path = Path(path)
    if path.is_dir():
        found = (_newest_in(path / place) for place in _PLACES)
        return next((prefix for prefix in found if prefix is not None), None)
    prefix = path.with_name(re.sub(r"\.(index|data-\d+-of-\d+)$", "", path.name))
    return prefix if _index_of(prefix).is_file() else None


def _index_of(prefix: Path) -> Path:
    return prefix.with_name(f"{prefix.name}.index")


def _newest_in(folder: Path) -> Path | None:
    state = folder / "checkpoint"
    if state.is_file():
        text = state.read_text(encoding="utf-8", errors="replace")
        named = re.search(r'^model_checkpoint_path:\s*"([^"]+)"', text, re.MULTILINE)
        if named and _index_of(prefix := folder / Path(named[1].replace("\\", "/")).name).is_file():
            return prefix
    prefixes = [file.with_suffix("") for file in folder.glob("*.index")]
    return max(prefixes, key=lambda prefix: (_number_of(prefix), prefix.name), default=None)


def _number_of(prefix: Path) -> int:
    digits = re.search(r"(\d+)$", prefix.name)
    return int(digits[1]) if digits else -1


class TfCheckpoint:
    """An opened checkpoint. Arrays are read one by one.

    Args:
        prefix: From `find_tf_checkpoint`.

    Raises:
        ValueError: The files are damaged or incomplete, or hold no object graph (checkpoints of TensorFlow 1).
    """

    def __init__(self, prefix: Path) -> None:
        self.prefix = prefix
        self._reader = _open(prefix)
        if not self._reader.has_tensor(GRAPH_KEY):
            raise ValueError(
                f"{str(prefix)!r} is a checkpoint of variable names, as TensorFlow 1 writes; those of TensorFlow 2 can "
                "be read."
            )
        self._nodes = _read_nodes(self._read(GRAPH_KEY), prefix)  # as an array, it would lose zeros at its end

    def read(self, key: str) -> np.ndarray:
        """Reads an array.

        Args:
            key: Key of a variable.

        Returns:
            The array.

        Raises:
            ValueError: A file is damaged or missing.
        """
        return np.asarray(self._read(key))

    def _read(self, key: str) -> Any:
        import tensorflow as tf

        try:
            return self._reader.get_tensor(key)
        except (tf.errors.OpError, RuntimeError, IndexError) as error:
            raise ValueError(f"{key!r} of {str(self.prefix)!r} cannot be read: {_first_line(error)}") from error

    @property
    def roots(self) -> tuple[str, ...]:
        """The attributes of the root object."""
        return tuple(child.local_name for child in self._nodes[0].children)

    def slot_keys(self, name: str) -> dict[str, str]:
        """Finds what an optimizer keeps for variables.

        Args:
            name: What it is, such as `momentum` or `average`.

        Returns:
            Key of the variable → key of the slot; empty if there are none.
        """
        slots = (slot for node in self._nodes for slot in node.slot_variables if slot.slot_name == name)
        return {
            variable: kept
            for slot in slots
            for variable in self._keys_of(slot.original_variable_node_id)
            for kept in self._keys_of(slot.slot_variable_node_id)
        }

    def _keys_of(self, index: int) -> list[str]:
        """The key of a variable; none if it is not in the file."""
        attributes = self._nodes[index].attributes if 0 <= index < len(self._nodes) else ()
        return [attribute.checkpoint_key for attribute in attributes if attribute.name == _VALUE]

    def variables(self, *path: str) -> Iterator[StoredVariable]:
        """Lists the variables below an object, each once, by the shortest path.

        Args:
            *path: Attributes that lead from the root to the object.

        Yields:
            One `StoredVariable` per variable; none if there is no such object.
        """
        start = self._node_at(path)
        if start is None:
            return
        seen, queue = {start}, deque([(start, path)])
        while queue:
            index, here = queue.popleft()
            node = self._nodes[index]
            for attribute in node.attributes:
                if attribute.name == _VALUE:
                    yield StoredVariable(here, attribute.checkpoint_key, attribute.full_name)
            for child in sorted(node.children, key=_preference):
                is_new = child.node_id not in seen and child.local_name not in _NO_ATTRIBUTES
                if is_new and 0 <= child.node_id < len(self._nodes):
                    seen.add(child.node_id)
                    queue.append((child.node_id, (*here, child.local_name)))

    def _node_at(self, path: tuple[str, ...]) -> int | None:
        index = 0
        for name in path:
            found = (child.node_id for child in self._nodes[index].children if child.local_name == name)
            index = next(found, -1)
            if not 0 <= index < len(self._nodes):
                return None
        return index


def _preference(child: Any) -> tuple[bool, bool]:
    """Keras numbers layers twice: those with weights in `layer_with_weights-0` …, all in `layer-0` and following."""
    return not child.local_name.startswith("layer_with_weights-"), child.local_name.startswith("layer-")


def _open(prefix: Path) -> Any:
    import tensorflow as tf

    try:
        return tf.train.load_checkpoint(str(prefix))
    except (tf.errors.OpError, RuntimeError, ValueError) as error:
        raise ValueError(f"{str(prefix)!r} cannot be opened as a checkpoint: {_first_line(error)}") from error


def _read_nodes(serialised: bytes, prefix: Path) -> Any:
    from google.protobuf.message import DecodeError

    try:
        nodes = parse_object_graph(serialised).nodes
    except DecodeError as error:
        raise ValueError(f"The object graph of {str(prefix)!r} is damaged: {error}") from error
    if not nodes:
        raise ValueError(f"The object graph of {str(prefix)!r} is empty.")
    return nodes


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
