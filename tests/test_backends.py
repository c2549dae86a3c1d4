"""The model core gives the same numbers on every Keras backend: forward, loss, one step of `fit`, decoding, filter."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from keras_retinanet import Detector
from keras_retinanet.model.retinanet import RetinaNet

ROOT = Path(__file__).resolve().parents[1]
SNAPSHOT, ANSWERS = "start.keras", "answers.npz"
Arrays = dict[str, np.ndarray]

MAKE = """
import sys
import keras
from pathlib import Path
from keras_retinanet.config import AnchorConfig, AssignerConfig, LossConfig, ModelConfig
from keras_retinanet.model.build import build

keras.utils.set_random_seed(3)
model = build(
    ModelConfig("resnet10_050", "none", fpn_width=16, head_width=32, head_depth=1, head_norm="group"),
    class_names=["a", "b", "c"], loss=LossConfig(box="giou"),
)
for head, spread in ((model.class_head, 0.3), (model.box_head, 0.05)):  # answers worth comparing
    kernel = head.predictors[0].kernel
    kernel.assign(keras.random.normal(kernel.shape, stddev=spread, seed=1))
model.save(sys.argv[1])
modern = build(
    ModelConfig(
        "mobilenet_025", "none", 3, 5, fpn_width=16, head_width=16, head_depth=1, head_norm="batch",
        box_coder="distribution", has_quality=True,
    ),
    class_names=["a", "b", "c"], anchors=AnchorConfig((32.0, 64.0, 128.0), (8, 16, 32), (1.0,), (1.0,)),
    assigner=AssignerConfig(assigner="task_aligned"),
    loss=LossConfig("quality_focal", "giou", box_weighting="quality", class_weights=(1.0, 2.0, 0.5)),
)
modern.save(Path(sys.argv[1]).with_name("modern.keras"))
"""

NO_DRAWING = """
import keras

for kind in (keras.initializers.VarianceScaling, keras.initializers.RandomNormal):  # what is loaded replaces the draws
    kind.__call__ = lambda self, shape, dtype=None, **rest: keras.ops.zeros(shape, dtype)  # one program for each shape
"""

RUN = """
import sys
from pathlib import Path
import keras, numpy as np
import keras_retinanet
from keras import ops
from keras_retinanet.config import AssignerConfig, FilterConfig, LossConfig

import keras_retinanet.inference

has_tensorflow = "tensorflow" in sys.modules
model = keras_retinanet.load_model(sys.argv[1])
rng = np.random.default_rng(0)
images = rng.uniform(0, 255, (2, 75, 101, 3)).astype("float32")
boxes = np.array([[[10, 8, 42, 40], [50, 20, 90, 60]], [[5, 5, 60, 50], [0, 0, 0, 0]]], "float32")
targets = {
    "boxes": boxes, "labels": np.array([[0, 2], [1, -1]], "int32"), "ignore": np.array([[False, True], [False, False]]),
    "size": np.array([[75, 101], [60, 101]], "float32"), "image_index": np.arange(2, dtype="int32"),
}


def predict(model):
    model(keras.Input(batch_shape=images.shape))  # builds it: JAX's `predict` would by one operation after the other
    return model.predict(images, verbose=0)


raw = predict(model)
found = predict(keras_retinanet.DetectionModel(model, FilterConfig(0.02, 0.5, 50, 100)))
model.compile(keras.optimizers.SGD(0.01, momentum=0.9))
logs = model.fit(((images, targets) for _ in range(1)), steps_per_epoch=1, epochs=1, verbose=0, shuffle=False).history
other = model.replaced(
    loss_config=LossConfig("varifocal", "giou"), assigner_config=AssignerConfig(assigner="atss", nearest_cells=5)
)
other.compile(keras.optimizers.SGD(0.01))
for step in ("first", "second"):
    values = other.train_on_batch(images, targets, return_dict=True)
    logs |= {f"{step}_varifocal_{name}": [value] for name, value in values.items()}
modern = keras_retinanet.load_model(Path(sys.argv[1]).with_name("modern.keras"))
# Of its 360,000 ReLUs some have an input within rounding of 0, which changes the gradients before them by a percent.
modern.backbone.trainable = False
modern_found = predict(keras_retinanet.DetectionModel(modern, FilterConfig(0.02, 0.5, 20, 100)))
modern.compile(keras.optimizers.SGD(0.01))
for step in ("first", "second"):
    values = modern.train_on_batch(images, targets, return_dict=True)
    logs |= {f"{step}_modern_{name}": [value] for name, value in values.items()}
np.savez(
    sys.argv[2], deltas=raw["deltas"], logits=raw["logits"], has_tensorflow=has_tensorflow,
    **{f"found_{name}": value for name, value in found.items()}, modern_scores=modern_found["scores"],
    **{f"log_{name}": value[0] for name, value in logs.items()},
    **{f"weight_{i}": ops.convert_to_numpy(v.value) for i, v in enumerate(model.trainable_variables)},
)
"""

DETECT = """
import sys
from pathlib import Path
import numpy as np
import keras_retinanet

found = keras_retinanet.Detector(sys.argv[1], batch_size=2).detect(sys.argv[2])
names = ("boxes", "scores", "labels")
np.savez(sys.argv[3], **{f"{Path(one.image).stem}_{name}": getattr(one, name) for one in found for name in names})
"""


def run(backend: str, script: str, *arguments: Path) -> None:
    environment = os.environ | {
        "KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "2",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",  # compiling takes longer than the little that is computed
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)], capture_output=True, text=True, check=False,
        env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a snapshot and TensorFlow's answers, computed in this process where its backend is TensorFlow."""
    folder = tmp_path_factory.mktemp("backends")
    if keras.backend.backend() != "tensorflow":
        run("tensorflow", MAKE + RUN, folder / SNAPSHOT, folder / ANSWERS)
        return folder
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["-c", str(folder / SNAPSHOT), str(folder / ANSWERS)])
        exec(MAKE + RUN, {"__name__": "__main__"})
    return folder


@pytest.fixture(scope="module", params=["jax", "torch"])
def answers(request: pytest.FixtureRequest, reference: Path, tmp_path_factory: pytest.TempPathFactory) -> Arrays:
    """What another backend answers, in one fresh process."""
    if importlib.util.find_spec(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    path = tmp_path_factory.mktemp(request.param) / ANSWERS
    run(request.param, NO_DRAWING + RUN, reference / SNAPSHOT, path)
    return dict(np.load(path))


def test_numbers_are_those_of_tensorflow(reference: Path, answers: Arrays) -> None:
    wanted = dict(np.load(reference / ANSWERS))
    assert set(answers) == set(wanted)
    for name in ("deltas", "logits"):
        np.testing.assert_allclose(answers[name], wanted[name], rtol=1e-3, atol=1e-4)
    for name in (name for name in wanted if name.startswith("log_")):
        assert wanted[name] > 0.1
        np.testing.assert_allclose(answers[name], wanted[name], rtol=1e-4)
    np.testing.assert_allclose(answers["modern_scores"], wanted["modern_scores"], atol=1e-4)
    count = int(wanted["found_num_detections"][0])
    assert count > 5
    np.testing.assert_array_equal(answers["found_num_detections"], wanted["found_num_detections"])
    np.testing.assert_array_equal(answers["found_labels"], wanted["found_labels"])
    np.testing.assert_allclose(answers["found_scores"], wanted["found_scores"], atol=1e-4)
    np.testing.assert_allclose(answers["found_boxes"], wanted["found_boxes"], atol=2e-2)
    weights = [name for name in wanted if name.startswith("weight_")]
    for name in weights:
        np.testing.assert_allclose(answers[name], wanted[name], rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_a_folder_of_many_sizes_is_detected_in_as_with_tensorflow(spread_model: RetinaNet, tmp_path: Path) -> None:
    """Three lying images, which make a full batch and one that is filled up, and one that stands."""
    if importlib.util.find_spec("jax") is None or keras.backend.backend() != "tensorflow":
        pytest.skip("compares jax with tensorflow; needs jax, and KERAS_BACKEND=tensorflow here")
    folder, rng = tmp_path / "photos", np.random.default_rng(3)
    folder.mkdir()
    for name, size in (("a", (60, 90, 3)), ("b", (90, 61, 3)), ("c", (128, 190, 3)), ("d", (33, 50, 3))):
        Image.fromarray(rng.integers(0, 256, size, np.uint8)).save(folder / f"{name}.png")
    spread_model.save(tmp_path / SNAPSHOT)
    run("jax", DETECT, tmp_path / SNAPSHOT, folder, tmp_path / ANSWERS)
    answers = np.load(tmp_path / ANSWERS)
    for wanted in Detector(spread_model, batch_size=2).detect(folder):
        name = Path(wanted.image).stem
        assert len(wanted.scores) > 3
        np.testing.assert_array_equal(answers[f"{name}_labels"], wanted.labels)
        np.testing.assert_allclose(answers[f"{name}_scores"], wanted.scores, atol=1e-4)
        np.testing.assert_allclose(answers[f"{name}_boxes"], wanted.boxes, atol=1e-2)


def test_the_model_needs_no_tensorflow_on_other_backends(answers: Arrays) -> None:
    assert not answers["has_tensorflow"]
