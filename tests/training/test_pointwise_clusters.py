"""Pointwise operations of a training step that XLA compiles."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import keras
import pytest

from keras_retinanet.config import TrainConfig, xla_flags
from keras_retinanet.config.xla_flags import VARIABLE
from keras_retinanet.training import pointwise_clusters
from keras_retinanet.training.devices import Devices
from keras_retinanet.training.pointwise_clusters import join_pointwise, use_clusters

STEPS = """
import os, sys
import numpy as np
from keras_retinanet.config.xla_flags import allow_clusters
if sys.argv[1] == "clusters":
    allow_clusters()
import keras
from tensorflow.python.eager import context
keras.utils.set_random_seed(0)
keras.config.set_dtype_policy("mixed_bfloat16")
layers = [keras.layers.Conv2D(8, 3), keras.layers.Activation("silu"), keras.layers.GlobalAveragePooling2D()]
model = keras.Sequential([keras.Input((None, None, 3)), *layers, keras.layers.Dense(1, dtype="float32")])
model.compile(keras.optimizers.AdamW(0.01), "mse")
from keras_retinanet.training.pointwise_clusters import use_clusters
uses = use_clusters(model)
rng = np.random.default_rng(0)
images, targets = rng.normal(size=(4, 12, 12, 3)).astype("float32"), np.ones((4, 1), "float32")

def kinds(run):
    context.context().enable_graph_collection()
    run()
    graphs = context.context().export_run_metadata().partition_graphs
    context.context().disable_graph_collection()
    return {node.op for graph in graphs for part in (graph, *graph.library.function)
            for node in getattr(part, "node", None) or part.node_def}

def train(side=12):
    return model.train_on_batch(images[:, :side, :side], targets)

step = kinds(lambda: train(8))
other = kinds(lambda: model.predict_on_batch(images))
train(10)  # from here on the graph takes any shape
variables = [*model.variables, *model.optimizer.variables]
start = [np.array(variable) for variable in variables]
losses = [train() for _ in range(4)]
for variable, value in zip(variables, start):
    variable.assign(value)
losses += [train() for _ in range(4)]
model.compile(keras.optimizers.AdamW(0.01), "mse")
again = kinds(lambda: train(8))
print(uses, *("_XlaRun" in found for found in (step, other, again)), *losses)
"""


def test_steps_are_compiled_and_predictions_are_not() -> None:
    """Also after another `compile`. Losses agree to the rounding of bfloat16, and fall; the first steps of a
    shape are computed as later ones are, or a resumed run would have other bits."""

    def run(how: str) -> tuple[list[str], list[float]]:
        kept = {name: value for name, value in os.environ.items() if name != VARIABLE}
        command = [sys.executable, "-c", STEPS, how]
        answer = subprocess.run(command, env=kept, capture_output=True, text=True, check=True)
        words = answer.stdout.split()
        return words[:4], [float(word) for word in words[4:]]

    if keras.backend.backend() != "tensorflow":
        pytest.skip("TensorFlow's steps")
    is_clustered, losses = run("clusters")
    is_plain, wanted = run("plain")
    assert is_clustered == ["True", "True", "False", "True"]
    assert is_plain == ["False"] * 4
    assert losses == pytest.approx(wanted, rel=0.01)
    assert losses[3] < losses[0]
    assert losses[4:] == losses[:4]


def test_without_the_flags_a_model_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xla_flags.os, "environ", {VARIABLE: "--tf_xla_max_cluster_size=9"})
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    make = model.make_train_function
    assert not use_clusters(model)
    assert model.make_train_function == make


@pytest.mark.parametrize(
    ("changes", "shapes", "weights", "expected"),
    [
        ({}, 2, 2_000_000, True),  # 5 epochs of 200 steps: 500 for each shape
        ({}, 3, 2_000_000, False),
        ({"epochs": 4}, 2, 2_000_000, False),
        ({"epochs": 4, "time": "20m"}, 2, 2_000_000, True),  # its epochs are not known yet: ten minutes for each shape
        ({"time": "19m"}, 2, 2_000_000, False),
        ({}, 2, 1_999_999, False),
        ({"mixed_precision": "none"}, 2, 2_000_000, False),
    ],
)
def test_long_runs_of_large_networks_in_bfloat16_have_clusters(
    changes: dict[str, Any], shapes: int, weights: int, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pointwise_clusters, "use_clusters", lambda model: True)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(weights, use_bias=False)])
    batches: Any = SimpleNamespace(steps_per_epoch=200, batch_shapes=[(64, 64)] * shapes)
    config = TrainConfig(**{"mixed_precision": "bfloat16", "epochs": 5, **changes})
    assert join_pointwise(config, model, batches, Devices()) is expected
    assert not join_pointwise(config, model, batches, Devices(("a", "b"), distribution=object()))
