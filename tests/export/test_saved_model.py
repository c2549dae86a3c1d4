"""The SavedModel against the Keras model that it was made of, run by TensorFlow's own C++ loader."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from keras_retinanet import build, winograd
from keras_retinanet.config import AnchorConfig, ExportConfig, FilterConfig, ModelConfig, ResizeConfig
from keras_retinanet.export import export_saved_model
from keras_retinanet.export.detection_graph import prepare_model
from keras_retinanet.export.saved_model import unservable_ops
from keras_retinanet.export.serving_graph import ServingGraph
from keras_retinanet.framework_internals import nested_layers, parse_saved_model
from keras_retinanet.model.detection_model import DetectionModel

LOADER = Path(__file__).with_name("native_loader.py")
NAMES = ["ant", "bee"]
Arrays = dict[str, np.ndarray]


def picture(height: int, width: int, seed: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
    return np.kron(coarse, np.ones((8, 8, 1), np.uint8))[:height, :width]


def encoded(image: np.ndarray, kind: str = "png", orientation: int = 1) -> bytes:
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(image).save(buffer, kind, **({"exif": exif.tobytes()} if orientation > 1 else {}))
    return buffer.getvalue()


IMAGES = [picture(90, 130, 1), picture(141, 77, 2), picture(64, 64, 3)]
PHOTOS = [encoded(IMAGES[0], "png", 8), encoded(IMAGES[1], "jpeg", 6), encoded(IMAGES[0], "webp", 5)]
FILES = np.array([encoded(IMAGES[0]), encoded(IMAGES[1], "jpeg"), encoded(IMAGES[2])], object)


@pytest.fixture(scope="module")
def detector() -> DetectionModel:
    keras.utils.set_random_seed(4)
    model = build(
        ModelConfig("resnet10_050", "none", 3, 5, fpn_width=32, head_width=32, head_depth=1),
        class_names=NAMES,
        anchors=AnchorConfig((16.0, 32.0, 64.0), (8, 16, 32)),
        resize=ResizeConfig(64, 96),
        filter=FilterConfig(score_threshold=0.3, max_detections=20),
    )
    final = model.class_head.predictors[0]  # scores on both sides of the threshold, and without ties
    kernel, bias = final.get_weights()
    final.set_weights([np.random.default_rng(5).normal(0, 0.3, kernel.shape), 0 * bias])
    return DetectionModel(model)


@pytest.fixture(scope="module")
def version(detector: DetectionModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Written into a folder that holds a version already, and something else."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "7").mkdir()
    (folder / "notes").mkdir()
    return export_saved_model(detector, folder)


def example(file: bytes) -> bytes:
    feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[file]))
    serialised: bytes = tf.train.Example(
        features=tf.train.Features(feature={"image/encoded": feature})
    ).SerializeToString()
    return serialised


def files(*contents: bytes) -> Arrays:
    return {"image_bytes": np.array(contents, object)}


NETWORK_INPUT = np.random.default_rng(6).uniform(0, 255, (2, 64, 96, 3)).astype(np.float32)
TWINS = [IMAGES[0], IMAGES[0][:, ::-1]]
REQUESTS: dict[str, tuple[str, Arrays]] = {
    "twins": ("serving_default", files(*map(encoded, TWINS))),
    "png": ("serving_default", files(FILES[0])),
    "jpeg": ("serving_default", files(FILES[1])),
    "square": ("serving_default", files(FILES[2])),
    "mixed": ("serving_default", files(*FILES)),
    "photos": ("serving_default", files(*PHOTOS[:1])),
    "lying": ("serving_default", files(PHOTOS[1])),
    "mirrored": ("serving_default", files(PHOTOS[2])),
    "pixels": ("image_tensor", {"images": np.stack(TWINS)}),
    "example": ("tf_example", {"examples": np.array([example(FILES[2])], object)}),
    "raw": ("raw_outputs", {"images": NETWORK_INPUT}),
    "none": ("serving_default", files()),
    "empty": ("serving_default", files(FILES[0], b"")),
    "text": ("serving_default", files(FILES[0], b"no image")),
    "truncated": ("serving_default", files(FILES[0], FILES[1][:200])),
    "png again": ("serving_default", files(FILES[0])),
}


@pytest.fixture(scope="module")
def answers(version: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Arrays]:
    """What the C++ loader answers, all in one process, and in this order."""
    folder = tmp_path_factory.mktemp("requests")
    paths = [folder / f"{name}.npz" for name in REQUESTS]
    for path, (signature, inputs) in zip(paths, REQUESTS.values(), strict=True):
        np.savez(path, signature=signature, **inputs)
    words = [sys.executable, str(LOADER), str(version), *map(str, paths)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {path.stem: dict(np.load(path.with_suffix(".answer.npz"))) for path in paths}


@pytest.fixture(scope="module")
def expected(detector: DetectionModel, network_input: Callable[..., Any]) -> Callable[..., Arrays]:
    """What the Keras model finds in one image, padded to its own shape or another, in pixels of the image (NumPy)."""

    def find(image: np.ndarray, shape: tuple[int, int] | None = None) -> Arrays:
        colour = detector.network.pad_value
        pixels, size, scale = map(np.asarray, network_input(tf.constant(image), detector.network.resize_config, colour))
        if shape is not None:
            height, width = size.astype(int)
            larger = np.tile(np.array(colour, np.float32), (*shape, 1))
            larger[:height, :width] = pixels[:height, :width]
            pixels = larger
        found = detector.predict_on_batch({"images": pixels[None], "sizes": size[None]})
        count = int(found["num_detections"][0])
        boxes = found["boxes"][0, :count] / scale[[1, 0, 1, 0]]
        limit = np.array([image.shape[1], image.shape[0]] * 2, np.float32)
        return {"boxes": np.clip(boxes, 0, limit), **{k: found[k][0, :count] for k in ("scores", "labels")}}

    return find


def assert_same(answer: Arrays, row: int, wanted: Arrays) -> None:
    count = int(answer["num_detections"][row])
    assert count == len(wanted["scores"]) > 3
    np.testing.assert_array_equal(answer["labels"][row, :count], wanted["labels"])
    np.testing.assert_allclose(answer["scores"][row, :count], wanted["scores"], rtol=1e-5)
    np.testing.assert_allclose(answer["boxes"][row, :count], wanted["boxes"], rtol=1e-5, atol=1e-3)
    assert answer["class_names"][row, :count].tolist() == [NAMES[k] for k in wanted["labels"]]
    assert (answer["boxes"][row, count:] == -1).all()
    assert (answer["labels"][row, count:] == -1).all()
    assert set(answer["class_names"][row, count:].tolist()) <= {""}


def decoded(file: bytes) -> np.ndarray:
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(file))).convert("RGB"))


@pytest.mark.parametrize(
    ("name", "images"),
    [
        ("twins", TWINS),
        ("pixels", TWINS),
        ("png", [IMAGES[0]]),
        ("jpeg", [decoded(FILES[1])]),
        ("square", [IMAGES[2]]),
        ("photos", [decoded(PHOTOS[0])]),
        ("lying", [decoded(PHOTOS[1])]),
        ("mirrored", [decoded(PHOTOS[2])]),
        ("example", [IMAGES[2]]),
        ("png again", [IMAGES[0]]),
    ],
)
def test_boxes_are_those_of_the_keras_model(
    expected: Callable[..., Arrays], answers: dict[str, Arrays], name: str, images: list[np.ndarray]
) -> None:
    for row, image in enumerate(images):
        assert_same(answers[name], row, expected(image))


def test_mixed_sizes_share_the_smallest_shape(expected: Callable[..., Arrays], answers: dict[str, Arrays]) -> None:
    """64 px the shorter side: 64 × 92, 96 × 52 (the longer decides) and 64 × 64, so 96 × 96 holds them all."""
    for row, file in enumerate(FILES):
        assert_same(answers["mixed"], row, expected(decoded(file), (96, 96)))


def test_raw_outputs(detector: DetectionModel, answers: dict[str, Arrays]) -> None:
    """Of the very model that was written, its batch normalisation folded; equal to 1e-5 of the largest output."""
    wanted = prepare_model(detector, ExportConfig()).network.predict(NETWORK_INPUT, verbose=0)
    for name in ("deltas", "logits"):
        np.testing.assert_allclose(answers["raw"][name], wanted[name], rtol=0, atol=1e-5 * np.abs(wanted[name]).max())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none", "the request has no images"),
        ("empty", "is empty; send the bytes of a file"),
        ("text", "Unknown image file format"),
        ("truncated", "JPEG"),
    ],
)
def test_what_is_no_image_fails_its_request(answers: dict[str, Arrays], name: str, message: str) -> None:
    assert message in str(answers[name]["error"])


def test_class_names_thresholds_and_origin_travel_along(version: Path) -> None:
    assert (version / "assets" / "labels.txt").read_text() == "ant\nbee\n"
    origin: dict[str, Any] = json.loads((version / "assets.extra" / "keras_retinanet.json").read_text())
    assert origin["class_names"] == NAMES
    assert origin["filter"]["score_threshold"] == 0.3
    assert origin["resize"]["max_side"] == 96


def test_signatures_that_detect_share_one_network(version: Path) -> None:
    """One function convolves for the three that detect, and another for the raw outputs."""
    (meta,) = parse_saved_model((version / "saved_model.pb").read_bytes()).meta_graphs
    functions = meta.graph_def.library.function
    assert sum(any(node.op == "Conv2D" for node in function.node_def) for function in functions) == 2


def test_winograd_convolutions_give_the_same_boxes(
    detector: DetectionModel, version: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Maps of 64 x 96 at the first level have 6 tiles of 8 x 12 outputs; the model keeps its own convolutions."""
    monkeypatch.setattr(winograd, "LEAST_CHANNELS", 32)
    monkeypatch.setattr(winograd.convolution, "LEAST_TILES", 6)
    written = export_saved_model(detector, tmp_path, ExportConfig(winograd="auto"))
    assert unservable_ops(written) == []
    graph = parse_saved_model((written / "saved_model.pb").read_bytes()).meta_graphs[0].graph_def
    shared = [function for function in graph.library.function if "by_tiles" in function.signature.name]
    kernels = [layer.kernel for layer in nested_layers(detector.network) if winograd._is_suitable(layer)]
    channels = {tuple(kernel.shape[2:]) for kernel in kernels}
    assert len(shared) == len(channels) < len(kernels), "layers and levels of the same channels share a function"
    ours, direct = (tf.saved_model.load(str(folder)).signatures for folder in (written, version))
    found, wanted = (signatures["serving_default"](image_bytes=tf.constant(FILES[:1])) for signatures in (ours, direct))
    assert int(wanted["num_detections"][0]) > 3
    np.testing.assert_array_equal(found["labels"], wanted["labels"])
    np.testing.assert_allclose(found["boxes"], wanted["boxes"], atol=1e-3)
    found, wanted = (signatures["raw_outputs"](images=tf.constant(NETWORK_INPUT)) for signatures in (ours, direct))
    np.testing.assert_allclose(found["logits"], wanted["logits"], atol=1e-4 * abs(wanted["logits"]).numpy().max())
    assert (found["logits"].numpy() != wanted["logits"].numpy()).any(), "other sums"
    predict = tf.function(detector.network).get_concrete_function(tf.TensorSpec((1, 64, 96, 3)))
    assert "by_tiles" not in str(predict.graph.as_graph_def())


def test_winograd_without_a_large_convolution_is_refused(
    detector: DetectionModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(winograd, "LEAST_CHANNELS", 4096)
    with pytest.raises(ValueError, match="no 3x3 convolution has 128 channels on both sides"):
        export_saved_model(detector, tmp_path, ExportConfig(winograd="auto"))
    assert list(tmp_path.iterdir()) == []


def test_versions_count_up_and_nothing_half_written_stays(version: Path) -> None:
    assert version.name == "8"
    assert sorted(path.name for path in version.parent.iterdir()) == ["7", "8", "notes"]


def test_a_python_function_in_the_graph_is_refused(
    detector: DetectionModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @tf.function(input_signature=[tf.TensorSpec((None,))])
    def call_back(images: Any) -> dict[str, Any]:
        return {"same": tf.numpy_function(lambda x: x, [images], tf.float32)}

    monkeypatch.setattr(ServingGraph, "signatures", {"raw_outputs": call_back})
    with pytest.raises(ValueError, match="PyFunc"):
        export_saved_model(detector, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_functions_that_must_be_compiled_are_found(tmp_path: Path) -> None:
    module = tf.Module()
    module.call = tf.function(lambda x: x + 1, jit_compile=True, input_signature=[tf.TensorSpec((None,))])
    tf.saved_model.save(module, str(tmp_path), signatures={"call": module.call})
    assert any(problem.endswith("(must be compiled)") for problem in unservable_ops(tmp_path))
