"""The resize inside an artefact gives the pixels of the pipeline, in TensorFlow and in every other runtime."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from keras_retinanet.config import ResizeConfig
from keras_retinanet.data.preparation import fit_image, prepare_batch
from keras_retinanet.data.resized_sizes_graph import floor_divided
from keras_retinanet.export.resize_graph import check_rule, exact_ratio, resize_in_graph

PAD = (123.675, 116.28, 103.53)
RULE = ResizeConfig(48, 80)
SIZES = ((101, 95), (48, 64), (33, 77), (20, 90), (110, 91))
IMAGES = [np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8) for size in SIZES]


def resize_function() -> Any:
    def resize(images: tf.Tensor) -> dict[str, tf.Tensor]:
        resized = resize_in_graph(images, RULE, None, PAD)
        return {"pixels": resized.images, "sizes": resized.sizes}

    signature = [tf.TensorSpec((None, None, None, 3), tf.uint8, "images")]
    return tf.function(resize, input_signature=signature, autograph=False)


@pytest.mark.parametrize(
    ("rule", "share"),
    [
        ({}, 0.0),
        ({"method": "float"}, 0.0),
        ({"method": "tf1"}, 0.0),
        ({"method": "cv2", "has_one_scale": True, "rounding": "even"}, 0.0),
        ({"shape": (50, 70), "shape_mode": "stretch"}, 0.0),
        ({"method": "pillow"}, 0.05),
        ({"method": "cv2"}, 0.01),
        ({"antialias": True}, 0.01),
    ],
)
def test_pixels_are_those_of_the_pipeline(rule: dict[str, Any], share: float) -> None:
    """Equal; where weights are computed in another precision, off by one grey level in a few."""
    config = ResizeConfig(**{"min_side": 48, "max_side": 80, **rule})
    for image in IMAGES:
        fit = fit_image(*image.shape[:2], config)
        wanted, sizes = prepare_batch([image], [fit], config, PAD)
        found = resize_in_graph(tf.constant(image[None]), config, None, PAD)
        np.testing.assert_array_equal(found.sizes, sizes)
        distance = np.abs(found.images.numpy() - wanted)
        assert found.images.shape == wanted.shape
        assert distance.max() <= 1.001
        assert (distance > 1e-4).mean() <= share


def test_a_fixed_canvas_shrinks_what_is_larger() -> None:
    for image in IMAGES:
        fit = fit_image(*image.shape[:2], RULE, fixed_shape=(32, 64))
        wanted, sizes = prepare_batch([image], [fit], RULE, PAD)
        found = resize_in_graph(tf.stack([image, image]), RULE, (32, 64), PAD)
        np.testing.assert_array_equal(found.sizes, np.tile(sizes, (2, 1)))
        np.testing.assert_allclose(found.images[1], wanted[0], atol=1e-4)


def open_onnx(graph: Any, folder: Path) -> Callable[..., Any]:
    import onnxruntime
    import tf2onnx

    model, _ = tf2onnx.convert.from_function(graph, input_signature=graph.input_signature, opset=18)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return lambda images: session.run(["pixels", "sizes"], {"images": images})


def open_openvino(graph: Any, folder: Path) -> Callable[..., Any]:
    from keras_retinanet.export.openvino_rules import convert
    from keras_retinanet.runtimes.openvino_folder import HINT, shared_core

    model = shared_core().compile_model(convert(str(save(graph, folder))), "CPU", {HINT: "f32"})
    return lambda images: [model({"images": images})[name] for name in ("pixels", "sizes")]


def open_litert(graph: Any, folder: Path) -> Callable[..., Any]:
    from ai_edge_litert.interpreter import Interpreter

    converter = tf.lite.TFLiteConverter.from_saved_model(str(save(graph, folder)), signature_keys=["serving_default"])
    run = Interpreter(model_content=converter.convert()).get_signature_runner("serving_default")

    def answer(images: Any) -> Any:
        found = run(images=images)
        return found["pixels"], found["sizes"]

    return answer


def save(graph: Any, folder: Path) -> Path:
    tf.saved_model.save(tf.Module(), str(folder), signatures={"serving_default": graph})
    return folder


@pytest.mark.parametrize(
    ("package", "opened"), [("onnxruntime", open_onnx), ("openvino", open_openvino), ("ai_edge_litert", open_litert)]
)
def test_pixels_are_equal_in_every_runtime(package: str, opened: Any, tmp_path: Path) -> None:
    """Off by one grey level in one pixel of a thousand at most: where a value lies halfway between two."""
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"needs {package}: pip install -e '.[test]'")
    run = opened(resize_function(), tmp_path)
    for image in IMAGES[:3]:
        wanted, sizes = prepare_batch([image], [fit_image(*image.shape[:2], RULE)], RULE, PAD)
        pixels, found_sizes = run(image[None])
        np.testing.assert_array_equal(found_sizes, sizes)
        assert np.abs(pixels - wanted).max() <= 1.001
        assert (np.abs(pixels - wanted) > 1e-4).mean() <= 1e-3


def test_ratios_are_the_nearest_float32() -> None:
    given, new = np.random.default_rng(1).integers(1, 9000, (2, 2000)).astype(np.int32)
    np.testing.assert_array_equal(exact_ratio(tf.constant(given), tf.constant(new)), (given / new).astype(np.float32))


def test_whole_quotients_by_hand() -> None:
    values, by = tf.constant([0, 6, 7, 39992666]), tf.constant([7, 7, 7, 7])
    np.testing.assert_array_equal(floor_divided(values, by), [0, 0, 1, 5713238])


def test_rules_in_float64_are_refused_where_there_is_none() -> None:
    check_rule("onnx", ResizeConfig(rounding="down", has_one_scale=True))
    check_rule("openvino", ResizeConfig(method="pillow"))
    with pytest.raises(ValueError, match=r"in float64 \(rounding 'down'\), which openvino lacks: omit --with-resize"):
        check_rule("openvino", ResizeConfig(rounding="down"))
    with pytest.raises(ValueError, match=r"\(has_one_scale\), which litert lacks"):
        check_rule("litert", ResizeConfig(method="cv2", has_one_scale=True))
