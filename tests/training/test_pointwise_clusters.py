"""Pointwise operations of a training step that XLA compiles."""

from __future__ import annotations

import os
import subprocess
import sys

import keras
import pytest

from keras_retinanet.config import xla_flags
from keras_retinanet.config.xla_flags import VARIABLE
from keras_retinanet.training.pointwise_clusters import use_clusters

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
layers = [keras.layers.Conv2D(8, 3, activation="relu"), keras.layers.ReLU(6), keras.layers.GlobalAveragePooling2D()]
model = keras.Sequential([keras.Input((8, 8, 3)), *layers, keras.layers.Dense(1, dtype="float32")])
model.compile(keras.optimizers.AdamW(0.01), "mse")
from keras_retinanet.training.pointwise_clusters import use_clusters
uses = use_clusters(model)
rng = np.random.default_rng(0)
images, targets = rng.normal(size=(4, 8, 8, 3)).astype("float32"), np.ones((4, 1), "float32")

def kinds(run):
    context.context().enable_graph_collection()
    run()
    graphs = context.context().export_run_metadata().partition_graphs
    context.context().disable_graph_collection()
    return {node.op for graph in graphs for part in (graph, *graph.library.function)
            for node in getattr(part, "node", None) or part.node_def}

losses = []
step = kinds(lambda: losses.append(model.train_on_batch(images, targets)))
other = kinds(lambda: model.predict_on_batch(images))
losses += [model.train_on_batch(images, targets) for _ in range(3)]
model.compile(keras.optimizers.AdamW(0.01), "mse")
again = kinds(lambda: model.train_on_batch(images, targets))
print(uses, *("_XlaRun" in found for found in (step, other, again)), *losses)
"""


def test_steps_are_compiled_and_predictions_are_not() -> None:
    """Also after another `compile`; losses agree to the rounding of bfloat16, and fall."""

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


def test_without_the_flags_a_model_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xla_flags.os, "environ", {VARIABLE: "--tf_xla_max_cluster_size=9"})
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    make = model.make_train_function
    assert not use_clusters(model)
    assert model.make_train_function == make
