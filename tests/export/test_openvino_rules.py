"""OpenVINO's operations answer what TensorFlow's do, ties and edges included."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from keras_retinanet.export.openvino_rules import convert
from keras_retinanet.runtimes.openvino_folder import shared_core

pytest.importorskip("openvino", reason="OpenVINO is not installed")


def compile_function(
    function: Callable[..., Any], folder: Path, **shapes: tuple[int | None, ...]
) -> Callable[..., Any]:
    signature = [tf.TensorSpec(shape, tf.float32, name) for name, shape in shapes.items()]
    graph = tf.function(function, input_signature=signature, autograph=False)
    tf.saved_model.save(tf.Module(), str(folder), signatures={"serving_default": graph})
    model = convert(str(folder))
    assert not [node for node in model.get_ops() if node.get_type_name() in ("Loop", "TensorIterator")]
    compiled = shared_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda **values: compiled(values)


@pytest.fixture(scope="module")
def best_five(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    def best(x: tf.Tensor) -> dict[str, tf.Tensor]:
        values, positions = tf.math.top_k(x, tf.minimum(5, tf.shape(x)[1]))
        return {"values": values, "positions": positions}

    return compile_function(best, tmp_path_factory.mktemp("best"), x=(None, None))


def test_equal_values_are_sorted_by_position(best_five: Callable[..., Any]) -> None:
    rows = np.array([[1, 3, 1, 3, 1, 2, 1], [0, 0, 0, 0, 0, 0, 0]], np.float32)
    answer = best_five(x=rows)
    np.testing.assert_array_equal(answer["values"], [[3, 3, 2, 1, 1], [0, 0, 0, 0, 0]])
    np.testing.assert_array_equal(answer["positions"], [[1, 3, 5, 0, 2], [0, 1, 2, 3, 4]])


def test_values_that_are_not_there(best_five: Callable[..., Any]) -> None:
    nothing = -np.inf
    answer = best_five(x=np.array([[nothing, 2, nothing, 2, nothing, nothing, nothing]], np.float32))
    np.testing.assert_array_equal(answer["values"], [[2, 2, nothing, nothing, nothing]])
    np.testing.assert_array_equal(answer["positions"], [[1, 3, 0, 2, 4]])
    np.testing.assert_array_equal(best_five(x=np.array([[4, 7]], np.float32))["positions"], [[1, 0]])


@pytest.mark.parametrize("highest", [3, 1000])
def test_many_values(best_five: Callable[..., Any], highest: int) -> None:
    rows = np.random.default_rng(0).integers(0, highest, (3, 4000)).astype(np.float32)
    expected = np.argsort(-rows, axis=1, kind="stable")[:, :5]
    np.testing.assert_array_equal(best_five(x=rows)["positions"], expected)


@pytest.fixture(scope="module")
def suppress(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    def kept(boxes: tf.Tensor, scores: tf.Tensor) -> dict[str, tf.Tensor]:
        found = tf.image.combined_non_max_suppression(
            boxes, scores, max_output_size_per_class=4, max_total_size=4, iou_threshold=0.5, clip_boxes=False
        )
        return {"kept": tf.identity(found.nmsed_scores) + 1}

    folder = tmp_path_factory.mktemp("suppress")
    return compile_function(kept, folder, boxes=(None, None, 1, 4), scores=(None, None, 2))


def test_suppression_is_within_a_class_and_strictly_above_the_threshold(suppress: Callable[..., Any]) -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 20], [0, 0, 10, 11], [20, 10, 0, 0], [0, 0, 10, 10]], np.float32)
    by_class = np.array([[9, 0], [8, 0], [7, 0], [6, 0], [0, 5]], np.float32)
    # with the first box, the second has an IoU of exactly one half, the third of 10 / 11, and the fourth, whose corners
    # are the wrong way round, of one half again (of a third with the second); the last is of another class
    answer = suppress(boxes=boxes[None, :, None], scores=by_class[None])["kept"]
    np.testing.assert_array_equal(answer, [[10, 9, 7, 6]])
    one_class = np.array([[9, 0], [8, 0], [7, 0], [6, 0], [5, 0]], np.float32)
    np.testing.assert_array_equal(suppress(boxes=boxes[None, :, None], scores=one_class[None])["kept"], [[10, 9, 7, 1]])


def test_suppression_of_several_images_and_of_none(suppress: Callable[..., Any]) -> None:
    boxes = np.zeros((2, 3, 1, 4), np.float32)
    boxes[0, :, 0, 2:], boxes[1, :, 0] = 8, [[0, 0, 4, 4], [4, 4, 8, 8], [0, 0, 4, 4]]
    scores = np.array([[[1, 0], [3, 0], [2, 0]], [[1, 0], [2, 0], [3, 0]]], np.float32)
    np.testing.assert_array_equal(suppress(boxes=boxes, scores=scores)["kept"], [[4, 1, 1, 1], [4, 3, 1, 1]])
    nothing = suppress(boxes=boxes[:1, :0], scores=scores[:1, :0])["kept"]
    np.testing.assert_array_equal(nothing, [[1, 1, 1, 1]])
