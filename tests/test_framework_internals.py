"""Each private name of a framework does what the package needs, is missed loudly, and is used in one module only."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

import keras_retinanet
from keras_retinanet.framework_internals import (
    MissingInternalError,
    MuonForAnyShape,
    RatesAndAverages,
    call_inputs,
    coordination_client,
    litert_converter_error,
    litert_format,
    nested_layers,
    parse_object_graph,
    parse_saved_model,
)

# What each name does


class Pair(layers.Layer):
    """A layer with two layers inside, one of which is nested once more."""

    def __init__(self) -> None:
        super().__init__(name="pair")
        self.left = layers.Dense(1, name="left")
        self.right = keras.Sequential([layers.Dense(1, name="deep")], name="right")


def test_nested_layers_reaches_every_depth_and_lists_each_layer_once() -> None:
    pair = Pair()
    assert nested_layers(pair)[0] is pair
    assert sorted(layer.name for layer in nested_layers(pair)) == ["deep", "left", "pair", "right"]
    pair.again = pair.left
    assert len(nested_layers(pair)) == 4


def test_call_inputs_lists_every_call() -> None:
    first, second = keras.Input((3,)), keras.Input((3,))
    twice, add = layers.Dense(3), layers.Add()
    mapped = [twice(first), twice(second)]
    add(mapped)
    assert [[id(tensor) for tensor in inputs] for inputs in call_inputs(twice)] == [[id(first)], [id(second)]]
    assert [[id(tensor) for tensor in inputs] for inputs in call_inputs(add)] == [[id(tensor) for tensor in mapped]]
    assert call_inputs(layers.Dense(3)) == []


class HalfMuon(MuonForAnyShape):
    """AdamW for variables named `slow`; else plain descent, with the learning rate kept as momentum."""

    def uses_adamw(self, variable: keras.Variable) -> bool:
        return "slow" in variable.path

    def update_by_muon(self, gradient: Any, variable: keras.Variable, learning_rate: Any, momentum: Any) -> None:
        self.assign(momentum, ops.full_like(gradient, learning_rate))
        self.assign_sub(variable, learning_rate * gradient)


def test_a_subclass_of_muon_decides_who_learns_how() -> None:
    """Weights decay by rate · decay of their kind. AdamW's first step is the rate itself; the other one is 0.1 · 2."""
    slow, fast = (keras.Variable(np.ones((1, 1, 2, 2), np.float32), name=name) for name in ("slow", "fast"))
    optimizer = HalfMuon(0.1, weight_decay=0.2, adam_weight_decay=0.5)
    optimizer.apply([ops.full((1, 1, 2, 2), 2.0)] * 2, [slow, fast])
    np.testing.assert_allclose(ops.convert_to_numpy(slow), 1 - 0.1 * 0.5 - 0.1, rtol=1e-5)
    np.testing.assert_allclose(ops.convert_to_numpy(fast), 1 - 0.1 * 0.2 - 0.1 * 2, rtol=1e-5)
    assert optimizer.adam_velocities[1] is None
    np.testing.assert_allclose(ops.convert_to_numpy(optimizer.momentums[1]), 0.1, rtol=1e-6)


def test_both_decisions_are_left_to_the_subclass() -> None:
    with pytest.raises(NotImplementedError):
        MuonForAnyShape().build([keras.Variable(np.zeros((2, 2), np.float32))])


class Averaged(RatesAndAverages, keras.optimizers.SGD):
    """Keeps three quarters of an average."""

    def averaging_momentum(self, updates: Any) -> Any:
        return ops.where(updates > 1, 0.75, 0.0)


def test_a_rate_for_each_variable_and_averages_of_any_decay() -> None:
    """Rate 0.5 and decay 0.1 at factors 1 and 0.5: 1 - 0.05 - 0.5 and 1 - 0.025 - 0.25."""
    pair = [keras.Variable(np.ones((1,), np.float32), name=name) for name in ("first", "second")]
    optimizer = Averaged(0.5, weight_decay=0.1, rate_factors=(1.0, 0.5), use_ema=True)
    optimizer.apply([ops.ones((1,))] * 2, pair)
    once = [float(v.numpy()[0]) for v in pair]
    assert once == pytest.approx([0.45, 0.725])
    optimizer.apply([ops.ones((1,))] * 2, pair)
    averages = [float(average.numpy()[0]) for average in optimizer.averages]
    assert averages == pytest.approx([0.75 * a + 0.25 * float(v.numpy()[0]) for a, v in zip(once, pair, strict=True)])
    with pytest.raises(NotImplementedError):
        RatesAndAverages.averaging_momentum(optimizer, 1)


@pytest.mark.parametrize("name", ["_apply_weight_decay", "_update_model_variables_moving_average"])
def test_a_keras_without_the_hooks_of_averaging_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for base in keras.optimizers.Optimizer.__mro__:
        if name in vars(base):
            monkeypatch.delattr(base, name)
    with pytest.raises(MissingInternalError, match=name):
        Averaged()


def test_a_saved_model_is_parsed() -> None:
    """Field 1 is the version of the format, field 2 the graphs: three bytes of wire format each."""
    message = parse_saved_model(b"\x08\x07" + b"\x12\x00" * 2)
    assert message.saved_model_schema_version == 7
    assert [len(graph.graph_def.node) for graph in message.meta_graphs] == [0, 0]


def test_object_graphs_are_parsed() -> None:
    """Two nodes, the second a child named `a` of the first."""
    nodes = parse_object_graph(b"\x0a\x07\x0a\x05\x08\x01\x12\x01a\x0a\x00").nodes
    assert len(nodes) == 2
    assert [(child.node_id, child.local_name) for child in nodes[0].children] == [(1, "a")]


def test_the_converter_raises_the_class_that_is_waited_for() -> None:
    @tf.function(input_signature=[tf.TensorSpec([], tf.string)])
    def unknown_to_litert(text: tf.Tensor) -> tf.Tensor:
        return tf.strings.to_hash_bucket_fast(text, 7)

    converter = tf.lite.TFLiteConverter.from_concrete_functions([unknown_to_litert.get_concrete_function()])
    with pytest.raises(litert_converter_error(), match="StringToHashBucketFast"):
        converter.convert()
    assert not issubclass(litert_converter_error(), (ValueError, OSError))


def test_a_litert_file_is_read_and_written_as_objects() -> None:
    schema, utils = litert_format()
    model, buffer, entry = schema.ModelT(), schema.BufferT(), schema.MetadataT()
    model.version, buffer.data, entry.name, entry.buffer = 3, [1, 2, 250], "note", 0
    model.buffers, model.metadata, model.subgraphs = [buffer], [entry], []
    contents = utils.convert_object_to_bytearray(model)
    assert bytes(contents[4:8]) == b"TFL3"
    read = utils.read_model_from_bytearray(bytearray(contents))
    assert [list(item.data) for item in read.buffers] == [[1, 2, 250]]
    assert [(item.name, item.buffer) for item in read.metadata] == [(b"note", 0)]


def test_a_program_of_one_process_has_no_client_of_a_coordination_service() -> None:
    pytest.importorskip("jax")
    assert coordination_client() is None


# What happens when a name is gone


@pytest.mark.parametrize(("find", "name"), [(nested_layers, "_flatten_layers"), (call_inputs, "_inbound_nodes")])
def test_a_missing_attribute_is_named(find: Any, name: str) -> None:
    with pytest.raises(MissingInternalError, match=f"{name}.*install the versions that keras_retinanet's pyproject"):
        find(object())


@pytest.mark.parametrize("name", ["_should_use_adamw", "_muon_update_step"])
def test_a_keras_whose_muon_decides_elsewhere_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    HalfMuon()
    monkeypatch.delattr(keras.optimizers.Muon, name)
    with pytest.raises(MissingInternalError, match=name):
        HalfMuon()


@pytest.mark.parametrize(
    ("find", "module"),
    [
        (lambda: parse_saved_model(b""), "tensorflow.core.protobuf.saved_model_pb2"),
        (lambda: parse_object_graph(b""), "tensorflow.core.protobuf.trackable_object_graph_pb2"),
        (litert_converter_error, "tensorflow.lite.python.convert"),
        (litert_format, "tensorflow.lite.tools"),
        (coordination_client, "jax._src"),
    ],
)
def test_a_missing_module_is_named(find: Any, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    find()
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingInternalError, match=re.escape(module)):
        find()


# No other module uses a private name

PACKAGE = Path(keras_retinanet.__file__).parent
FRAMEWORKS = {"keras", "tensorflow", "tf", "jax", "torch", "keras_hub"}
PRIVATE_PARTS = {"src", "python", "core", "lite"}
"""Packages inside a framework that are not public. `tf.lite` is, as an attribute of the module `tensorflow`."""
STANDARD_LIBRARY = {"_replace", "_asdict", "_actions", "_ActionsContainer", "_exit"}
"""Of named tuples and `os`, which document it, and of argparse."""


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name != "_"


def own_attributes(tree: ast.AST) -> Iterator[str]:
    """Private names that classes of a parsed module define: methods, fields, and what is assigned to `self`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            for child in node.body:
                targets = child.targets if isinstance(child, ast.Assign) else [getattr(child, "target", child)]
                yield from (getattr(target, "id", getattr(target, "name", "")) for target in targets)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self":
            yield node.attr


def private_uses(tree: ast.AST, own: set[str]) -> Iterator[str]:
    """Imports and attributes of a parsed module that are private and not its package's own."""
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            prefix = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
            names = [prefix + alias.name for alias in node.names]
        elif isinstance(node, ast.Attribute):
            if is_private(node.attr) and node.attr not in own:
                yield f"line {node.lineno}: {ast.unparse(node)}"
            if isinstance(node.value, ast.Name) and node.attr in PRIVATE_PARTS - {"lite"}:
                names = [ast.unparse(node)]
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "hasattr", "setattr"):
            attribute = node.args[1]
            if isinstance(attribute, ast.Constant) and is_private(str(attribute.value)):
                yield f"line {node.lineno}: {ast.unparse(node)}"
        for name in names:
            root, *parts = name.split(".")
            if root in FRAMEWORKS and any(part in PRIVATE_PARTS or is_private(part) for part in parts):
                yield f"line {node.lineno}: {name}"


TREES = {str(file.relative_to(PACKAGE)): ast.parse(file.read_text()) for file in sorted(PACKAGE.rglob("*.py"))}
OWN = {name for tree in TREES.values() for name in own_attributes(tree) if is_private(name)} | STANDARD_LIBRARY


@pytest.mark.parametrize(
    "source",
    [
        "import keras.src",
        "import tensorflow.python.ops as ops",
        "from keras.src.utils import file_utils",
        "from tensorflow.lite.python.convert import ConverterError",
        "from tensorflow.core import protobuf",
        "import jax._src.core",
        "keras.src.backend.name()",
        "tf.python.ops",
        "layer._flatten_layers()",
        "getattr(layer, '_inbound_nodes')",
    ],
)
def test_the_check_sees_private_names(source: str) -> None:
    assert len(list(private_uses(ast.parse(source), {"_mine"}))) == 1


@pytest.mark.parametrize(
    "source",
    [
        "import keras",
        "from keras import ops",
        "import tensorflow as tf\nfrom tensorflow import io",
        "tf.lite.TFLiteConverter",
        "self._mine",
        "tf.io.__name__",
        "from concurrent.futures import thread\nthing.core",
        "getattr(layer, 'name')",
    ],
)
def test_the_check_lets_public_names_pass(source: str) -> None:
    assert list(private_uses(ast.parse(source), {"_mine"})) == []


def test_own_attributes_are_those_of_classes() -> None:
    source = "class A:\n _a: int\n _b = 1\n def _c(self): self._d = other._e\ndef _f(): pass\nself._g"
    assert {name for name in own_attributes(ast.parse(source)) if name} == {"_a", "_b", "_c", "_d"}


@pytest.mark.parametrize("file", sorted(set(TREES) - {"framework_internals.py"}))
def test_no_other_module_uses_a_private_name(file: str) -> None:
    assert list(private_uses(TREES[file], OWN)) == []


def framework_classes() -> Iterator[type]:
    """The package's classes that derive from a class of Keras."""
    for module in pkgutil.walk_packages([str(PACKAGE)], "keras_retinanet."):
        for item in vars(importlib.import_module(module.name)).values():
            if inspect.isclass(item) and item.__module__ == module.name and keras_sources(item):
                yield item


def keras_sources(item: type) -> str:
    """Source text of the classes of Keras that a class derives from."""
    bases = [base for base in item.__mro__ if base.__module__.split(".")[0] == "keras"]
    return "\n".join(inspect.getsource(base) for base in bases)


def test_private_names_of_our_layers_are_not_those_of_keras() -> None:
    """A method or attribute that Keras also has, or gets with its next version, would replace it unnoticed."""
    shared = set()
    classes = list(framework_classes())
    for item in classes:
        own = set(own_attributes(ast.parse(textwrap.dedent(inspect.getsource(item)))))
        theirs = set(re.findall(r"(?:self\.|def )(_[a-z]\w*)", keras_sources(item)))
        shared |= {(item.__name__, name) for name in own & theirs}
    assert {"RetinaNet", "DetectionModel", "FeaturePyramid", "ConvolutionMuon"} <= {item.__name__ for item in classes}
    assert shared == {("MuonForAnyShape", "_should_use_adamw"), ("MuonForAnyShape", "_muon_update_step")}
