"""Snapshot and artefacts answer the same, in the pixels of each image."""

from __future__ import annotations

import functools
import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_retinanet import DetectionModel
from keras_retinanet.config import ExportConfig, FilterConfig, ResizeConfig
from keras_retinanet.data.preparation import prepare_batch
from keras_retinanet.export import FORMATS, Verification, VerificationError, export_litert, export_openvino
from keras_retinanet.export.tolerances import TOLERANCES
from keras_retinanet.runtimes import (
    RUNTIMES,
    Description,
    Runtime,
    open_runtime,
    openvino_folder,
)
from keras_retinanet.runtimes.keras_file import KerasRuntime
from keras_retinanet.runtimes.openvino_folder import shared_core
from keras_retinanet.schema import Detections
from keras_retinanet.version import __version__

RANDOM = np.random.default_rng(1)
IMAGES = [RANDOM.integers(0, 256, size, np.uint8) for size in ((50, 91, 3), (120, 80, 3), (64, 96, 3))]
NAMES = {"keras": "out.keras", "saved_model": "out", "onnx": "out.onnx", "openvino": "out", "litert": "out.tflite"}
SUFFIXES = r"\.keras, \.onnx, \.tflite"
PACKAGES = {"onnx": ("onnx", "tf2onnx", "onnxruntime"), "openvino": ("openvino",), "litert": ("ai_edge_litert",)}


def need(*packages: str) -> None:
    """Skips where a package of an extra is not installed."""
    if missing := [name for name in packages if importlib.util.find_spec(name) is None]:
        pytest.skip(f"needs {', '.join(missing)}: pip install -e '.[test]'")


@pytest.fixture(scope="module")
def detector(small_network: Any) -> DetectionModel:
    """A small detector, whose calibrated scores spread around one half."""
    model = small_network(0.3)
    random = np.random.default_rng(6)
    for layer in model.backbone.layers:
        if layer.name.endswith("_bn1"):
            layer.set_weights([random.uniform(0.8, 1.2, weight.shape) for weight in layer.get_weights()])
    settings = FilterConfig(max_detections=20, class_thresholds=(0.5, 0.7), temperature=1.25, score_bias=0.1)
    return DetectionModel(model, settings)


Reference = Callable[..., list[Detections]]


@pytest.fixture(scope="module")
def reference(detector: DetectionModel) -> Reference:
    """What the Keras model finds in images, given by their places, on one canvas; each asked once."""

    @functools.cache
    def detect(*places: int, image_size: tuple[int, int] | None = None) -> list[Detections]:
        return KerasRuntime(detector, image_size).detect([IMAGES[place] for place in places])

    return detect


@pytest.fixture(scope="module", params=RUNTIMES)
def artefact(
    request: pytest.FixtureRequest, detector: DetectionModel, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Each format with its defaults, written, compared by itself and moved to another place."""
    need(*PACKAGES.get(request.param, ()))
    folder = tmp_path_factory.mktemp(request.param)
    check = Verification(request.param, detector, "float32", IMAGES)
    written = FORMATS[request.param](detector, folder / NAMES[request.param], None, check)
    assert check.agreement.raw < 1e-5
    assert check.agreement.detections == check.agreement.agreeing > 40
    return written.rename(folder / f"moved{written.suffix}")


@pytest.fixture(scope="module")
def runtime(artefact: Path) -> Runtime:
    """The artefact, opened."""
    return open_runtime(artefact)


def test_an_artefact_answers_as_its_model(reference: Reference, runtime: Runtime) -> None:
    assert runtime.class_names == ("ant", "bee")
    assert runtime.resize == ResizeConfig(64, 96)
    for place, image in enumerate(IMAGES):
        (expected,), (found,) = reference(place, image_size=runtime.image_size), runtime.detect([image])
        assert len(found["scores"]) > 3
        assert (found["scores"] > np.array([0.5, 0.7])[found["labels"]]).all()
        np.testing.assert_array_equal(found["labels"], expected["labels"])
        np.testing.assert_allclose(found["scores"], expected["scores"], rtol=1e-5)
        np.testing.assert_allclose(found["boxes"], expected["boxes"], rtol=1e-5, atol=1e-3)
        assert found["boxes"].max(axis=0)[2] <= image.shape[1]
        assert found["boxes"].max(axis=0)[3] <= image.shape[0]
        assert (found["boxes"].dtype, found["scores"].dtype, found["labels"].dtype) == ("float32", "float32", "int32")


def test_a_batch_answers_as_its_images(reference: Reference, runtime: Runtime) -> None:
    """Of one canvas both, 64 × 96."""
    wanted = reference(0, 2, image_size=runtime.image_size)
    for found, expected in zip(runtime.detect([IMAGES[0], IMAGES[2]]), wanted, strict=True):
        np.testing.assert_array_equal(found["labels"], expected["labels"])
        np.testing.assert_allclose(found["boxes"], expected["boxes"], rtol=1e-5, atol=1e-3)


def test_raw_outputs(detector: DetectionModel, runtime: Runtime) -> None:
    fit = runtime.fit(*IMAGES[0].shape[:2])
    images, _ = prepare_batch(IMAGES[:1], [fit], runtime.resize, detector.network.pad_value)
    wanted = detector.network.predict_on_batch(images)
    given = runtime.raw_outputs(images)
    for name in ("deltas", "logits"):
        np.testing.assert_allclose(given[name], wanted[name], atol=1e-4 * np.abs(wanted[name]).max())


DETECT = """
import sys
from keras_retinanet.cli.detect import main
status = main(sys.argv[1:])
print(status, sorted({name.partition(".")[0] for name in sys.modules} & {"tensorflow", "keras", "jax", "torch"}))
"""


def test_detection_with_other_runtimes_imports_no_framework(runtime: Runtime, artefact: Path, tmp_path: Path) -> None:
    if type(runtime).__name__ not in ("OnnxRuntime", "OpenVinoRuntime", "LiteRtRuntime"):
        pytest.skip("runs in TensorFlow")
    Image.fromarray(IMAGES[0]).save(tmp_path / "a.png")
    words = [artefact, tmp_path / "a.png", "--out", tmp_path / "out", "--csv", tmp_path / "found.csv"]
    ran = subprocess.run([sys.executable, "-c", DETECT, *words], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "0 []"
    (found,) = runtime.detect([IMAGES[0]])
    rows = np.loadtxt(tmp_path / "found.csv", delimiter=",", skiprows=1, usecols=(1, 2, 3, 4))
    np.testing.assert_allclose(rows, found["boxes"], atol=0.01)


def test_only_the_format_that_needs_it_has_a_fixed_size(runtime: Runtime) -> None:
    assert runtime.image_size == ((96, 96) if type(runtime).__name__ == "LiteRtRuntime" else None)


def test_a_description_travels_inside(detector: DetectionModel, runtime: Runtime) -> None:
    about = runtime.description
    assert about.filter == detector.filter_config
    assert about.pad_value == pytest.approx((123.675, 116.28, 103.53))
    if not isinstance(runtime, KerasRuntime):  # the model itself was written by nobody
        assert (about.dtype, about.has_folded_batch_norm, about.keras_retinanet) == ("float32", True, __version__)
    assert about.metadata["model"]["backbone"] == "resnet10_050"
    assert Description.from_json(about.to_json(), "text") == about


def test_one_openvino_core_serves_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second one would break signals."""
    need("openvino")
    shared_core()
    monkeypatch.delattr("openvino.Core")
    assert "CPU" in shared_core().available_devices


def test_openvino_compiles_a_graph_for_the_first_shapes(
    runtime: Runtime, artefact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One in float32, two in half precision; the next one gets a graph for all, which then takes those too."""
    if type(runtime).__name__ != "OpenVinoRuntime":
        pytest.skip("is about OpenVINO")
    compiled: list[str] = []
    real = openvino_folder.shared_core()

    class Core:
        read_model = staticmethod(real.read_model)

        @staticmethod
        def compile_model(model: Any, device: str, settings: dict[str, str]) -> Any:
            compiled.append(str(model.input("images").partial_shape))
            return real.compile_model(model, device, settings | {openvino_folder.HINT: "f32"})

    monkeypatch.setattr(openvino_folder, "shared_core", Core)
    shapes = [(1, 64, 96), (1, 96, 64), (1, 64, 64)]
    for hint, own in (("f32", 1), ("bf16", 2)):
        runtime = openvino_folder.OpenVinoRuntime(artefact, hint=hint)
        for n, height, width in (*shapes[:own], *shapes[:own], shapes[own], *shapes):
            cells = sum(height * width // 4**level for level in (3, 4, 5))
            assert runtime.raw_outputs(np.zeros((n, height, width, 3), np.float32))["logits"].shape[1] == 9 * cells
        assert compiled == [*(f"[{n},{h},{w},3]" for n, h, w in shapes[:own]), "[?,?,?,3]"]
        compiled.clear()


@pytest.mark.slow
def test_a_smaller_canvas_than_the_rule_wants(detector: DetectionModel, tmp_path: Path) -> None:
    """And bfloat16, in the runtime that has the most to do with it."""
    need("openvino")
    settings = ExportConfig(image_size=(64, 64), dtype="bfloat16")
    path = export_openvino(detector, tmp_path / "out", settings)
    runtime = open_runtime(path)
    assert runtime.image_size == (64, 64)
    raw = runtime.raw_outputs(np.zeros((2, 64, 64, 3), np.float32))
    assert raw["logits"].shape == (2, 9 * (64 + 16 + 4), 2)
    wanted = KerasRuntime(detector, (64, 64)).detect(IMAGES)
    for found, expected in zip(runtime.detect(IMAGES), wanted, strict=True):
        np.testing.assert_allclose(found["boxes"][:1], expected["boxes"][:1], atol=3)
    size = (path / "model.bin").stat().st_size
    assert size < 0.6 * 4 * detector.network.count_params()  # weights of two bytes


# Fewer bits


def calm(detector: DetectionModel) -> DetectionModel:
    """Scores between 0.2 and 0.8, no suppression: what few bits change is the numbers alone, not who wins."""
    network = detector.network
    final = network.class_head.predictors[0]
    kernel, bias = final.get_weights()
    final.set_weights([kernel / 20, bias])
    return DetectionModel(network, FilterConfig(score_threshold=0.01, max_detections=3000, top_k=3000, nms="none"))


@pytest.fixture(scope="module")
def calm_detector(detector: DetectionModel, tmp_path_factory: pytest.TempPathFactory) -> DetectionModel:
    path = tmp_path_factory.mktemp("calm") / "model.keras"
    detector.save(path)
    return calm(keras.models.load_model(path))


@pytest.fixture(scope="module")
def representative(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("representative")
    for index, image in enumerate(IMAGES):
        keras.utils.save_img(folder / f"{index}.png", image, scale=False)
    return str(folder)


@pytest.mark.slow
def test_an_int8_artefact_that_disagrees_is_not_kept(calm_detector: DetectionModel, tmp_path: Path) -> None:
    """Black images do not show the ranges of the numbers."""
    need("ai_edge_litert", "ai_edge_quantizer")
    keras.utils.save_img(tmp_path / "black.png", np.zeros((64, 96, 3)), scale=False)
    settings = ExportConfig(dtype="int8", representative=str(tmp_path))
    check = Verification("litert", calm_detector, "int8", IMAGES)
    with pytest.raises(VerificationError, match="differs from its snapshot and was not kept"):
        export_litert(calm_detector, tmp_path / "out.tflite", settings, check)
    assert [path.name for path in tmp_path.iterdir()] == ["black.png"]


SLOW = [key for key in TOLERANCES if key[1] != "float32" and key != ("openvino", "bfloat16")]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "dtype"), SLOW)
def test_fewer_bits(calm_detector: DetectionModel, representative: str, tmp_path: Path, name, dtype) -> None:
    need(*PACKAGES.get(name, ()), *(["nncf"] if (name, dtype) == ("openvino", "int8") else []))
    settings = ExportConfig(dtype=dtype, representative=representative if dtype == "int8" else None)
    check = Verification(name, calm_detector, dtype, IMAGES)
    written = FORMATS[name](calm_detector, tmp_path / NAMES[name], settings, check)
    assert check.agreement.detections > 1000
    assert 1e-5 < check.agreement.raw < 0.1
    weights = written / "variables" if name == "saved_model" else written  # its graph is as large as these few weights
    size = sum(path.stat().st_size for path in ([weights] if weights.is_file() else weights.rglob("*")))
    assert size < (0.5 if dtype == "int8" else 0.75) * 4 * calm_detector.network.count_params()


# Every way of suppression


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["agnostic", "none"])
@pytest.mark.parametrize("name", [name for name in RUNTIMES if name != "keras"])
def test_every_suppression_runs_everywhere(detector: DetectionModel, tmp_path: Path, name, mode) -> None:
    need(*PACKAGES.get(name, ()))
    model = DetectionModel(detector.network, FilterConfig(max_detections=20, class_thresholds=(0.5, 0.7), nms=mode))
    check = Verification(name, model, "float32", IMAGES)
    FORMATS[name](model, tmp_path / NAMES[name], None, check)
    assert check.agreement.detections == check.agreement.agreeing > 40


# What cannot be opened


def test_files_of_others_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no snapshot or exported model"):
        open_runtime(tmp_path / "none.onnx")
    with pytest.raises(ValueError, match=f"neither a file that ends in {SUFFIXES} nor the folder"):
        open_runtime(tmp_path)
    (tmp_path / "a.onnx").write_bytes(b"none")
    (tmp_path / "a.tflite").write_bytes(b"none")
    (tmp_path / "model.xml").write_text("none")
    for name, packages in PACKAGES.items():
        need(*packages)
        path = tmp_path / {"onnx": "a.onnx", "openvino": "", "litert": "a.tflite"}[name]
        with pytest.raises(ValueError, match=r"cannot be (run|opened) by"):
            open_runtime(path)


@pytest.mark.parametrize("file", ["saved_model.pb", "variables/variables.index", "variables/variables.data-*"])
def test_a_damaged_saved_model_is_named(tmp_path: Path, file: str) -> None:
    """Each of its files is told by another exception; folders beside the versions are none."""
    module = tf.Module()
    module.weights = tf.Variable(tf.zeros(100))
    tf.saved_model.save(module, str(tmp_path / "2"))
    about = tmp_path / "2" / "assets.extra" / "keras_retinanet.json"
    about.parent.mkdir()
    about.write_text(Description(("ant",), ResizeConfig(), (1.0, 2.0, 3.0), FilterConfig()).to_json())
    (tmp_path / "9").mkdir()
    shutil.copytree(tmp_path / "2", tmp_path / "10-old")
    assert open_runtime(tmp_path).class_names == ("ant",)
    (damaged,) = (tmp_path / "2").glob(file)
    damaged.write_bytes(damaged.read_bytes()[: damaged.stat().st_size // 2])
    with pytest.raises(ValueError, match=r"/2' cannot be opened by TensorFlow: "):
        open_runtime(tmp_path)


def test_an_onnx_file_without_description(tmp_path: Path) -> None:
    need("onnx", "onnxruntime")
    from onnx import TensorProto, helper, save

    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "relu", [x], [y])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), tmp_path / "relu.onnx")
    with pytest.raises(ValueError, match="has no description: it was not written by retinanet-convert-model"):
        open_runtime(tmp_path / "relu.onnx")


@pytest.mark.parametrize(
    ("package", "extra"), [("onnxruntime", "onnx"), ("openvino", "openvino"), ("ai_edge_litert.interpreter", "litert")]
)
def test_a_missing_runtime_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr(openvino_folder, "shared_core", shared_core.__wrapped__)  # not the core that is there already
    (tmp_path / "a.onnx").touch()
    (tmp_path / "a.tflite").touch()
    (tmp_path / "model.xml").touch()
    path = tmp_path / {"onnx": "a.onnx", "openvino": "", "litert": "a.tflite"}[extra]
    with pytest.raises(ImportError, match=rf"pip install '\.\[{extra}\]' in the checkout"):
        open_runtime(path)


def test_a_description_of_a_later_version_is_read_and_a_broken_one_named() -> None:
    about = Description(("ant",), ResizeConfig(), (1.0, 2.0, 3.0), FilterConfig(class_thresholds=(0.5,)), (64, 96))
    later = json.dumps(json.loads(about.to_json()) | {"colour": "blue"})
    assert Description.from_json(later, "file") == about
    with pytest.raises(ValueError, match="'file' has a description that cannot be read"):
        Description.from_json("{", "file")
