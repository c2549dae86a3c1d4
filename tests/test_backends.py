"""The model core gives the same numbers on every Keras backend: forward, loss, one step of `fit`, decoding, filter.

As a script, `python test_backends.py SNAPSHOT ANSWERS.npz`, this file writes the answers of the backend that
`KERAS_BACKEND` names.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

import keras_retinanet
from keras_retinanet.config import AnchorConfig, FilterConfig, LossConfig, ModelConfig

ROOT = Path(__file__).resolve().parents[1]


def write_answers(snapshot: Path, out: Path) -> None:
    model = keras_retinanet.load_model(snapshot)
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (2, 75, 101, 3)).astype("float32")
    boxes = np.array([[[10, 8, 42, 40], [50, 20, 90, 60]], [[5, 5, 60, 50], [0, 0, 0, 0]]], "float32")
    targets = {
        "boxes": boxes,
        "labels": np.array([[0, 2], [1, -1]], "int32"),
        "ignore": np.array([[False, True], [False, False]]),
        "size": np.array([[75, 101], [60, 101]], "float32"),
        "image_index": np.arange(2, dtype="int32"),
    }
    raw = model.predict(images, verbose=0)
    found = keras_retinanet.DetectionModel(model, FilterConfig(0.02, 0.5, 50, 100)).predict(images, verbose=0)
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9))
    batches = ((images, targets) for _ in range(1))
    logs = model.fit(batches, steps_per_epoch=1, epochs=1, verbose=0, shuffle=False).history
    np.savez(
        out,
        **raw,
        **{f"found_{name}": value for name, value in found.items()},
        **{f"log_{name}": value[0] for name, value in logs.items()},
        **{f"weight_{i}": ops.convert_to_numpy(v.value) for i, v in enumerate(model.trainable_variables)},
    )


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory) -> Path:
    keras.utils.set_random_seed(3)
    model = keras_retinanet.build(
        ModelConfig("resnet10_050", "none", 3, 6, fpn_width=16, head_width=32, head_depth=1, head_norm="group"),
        class_names=["a", "b", "c"],
        anchors=AnchorConfig((32, 64, 128, 256), (8, 16, 32, 64)),
        loss=LossConfig(box="giou"),
    )
    for head, spread in ((model.class_head, 0.3), (model.box_head, 0.05)):  # answers worth comparing
        kernel = head.finals[0].kernel
        kernel.assign(keras.random.normal(kernel.shape, stddev=spread, seed=1))
    path = tmp_path_factory.mktemp("backends") / "start.keras"
    model.save(path)
    return path


@pytest.fixture(scope="module")
def reference(snapshot) -> np.lib.npyio.NpzFile:
    path = snapshot.with_name("answers.npz")
    write_answers(snapshot, path)
    return np.load(path)


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_numbers_are_those_of_tensorflow(snapshot, reference, backend, tmp_path):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    out = tmp_path / "answers.npz"
    done = subprocess.run(
        [sys.executable, __file__, str(snapshot), str(out)], capture_output=True, text=True, check=False,
        env=os.environ | {"KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    answers = np.load(out)
    assert set(answers.files) == set(reference.files)
    for name in ("deltas", "logits"):
        np.testing.assert_allclose(answers[name], reference[name], rtol=1e-3, atol=1e-4)
    for name in ("log_loss", "log_classification_loss", "log_box_loss"):
        assert reference[name] > 0.1
        np.testing.assert_allclose(answers[name], reference[name], rtol=1e-4)
    count = int(reference["found_num_detections"][0])
    assert count > 5
    np.testing.assert_array_equal(answers["found_num_detections"], reference["found_num_detections"])
    np.testing.assert_array_equal(answers["found_labels"], reference["found_labels"])
    np.testing.assert_allclose(answers["found_scores"], reference["found_scores"], atol=1e-4)
    np.testing.assert_allclose(answers["found_boxes"], reference["found_boxes"], atol=2e-2)
    weights = [name for name in reference.files if name.startswith("weight_")]
    for name in weights:
        np.testing.assert_allclose(answers[name], reference[name], rtol=1e-3, atol=1e-4)


if __name__ == "__main__":
    write_answers(Path(sys.argv[1]), Path(sys.argv[2]))
    needs = keras.backend.backend() == "tensorflow"
    assert needs or "tensorflow" not in sys.modules, "the model needs no TensorFlow on other backends"
