"""Assigners of one image on a batch: compiled once per shape, with known shapes, on every backend's loop."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from keras_retinanet.assigners import ASSIGNERS, AssignerInputs, assign, per_image
from keras_retinanet.assigners.per_image import assign_each_image, at_row, label_anchors
from keras_retinanet.config import AssignerConfig, AssignerName

ANCHORS = (np.array([[0, 0, 4, 4], [4, 0, 8, 4], [8, 0, 12, 4]], np.float32), np.array([[0, 0, 8, 8]], np.float32))
only_tensorflow = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="about TensorFlow's graphs")


class WideBoxCounter:
    """Labels every anchor 1, with the number of boxes wider than `limit` as its index; counts its own calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, anchors: Any, boxes: Any, *, limit: float) -> tuple[Any, Any]:
        self.calls += 1
        ones = ops.cast(ops.concatenate([level[:, 0] * 0 + 1 for level in anchors]), "int32")
        return ones, ones * ops.cast(ops.sum(boxes[:, 2] - boxes[:, 0] > limit), "int32")


BOXES = np.array([[[0, 0, 3, 3], [0, 0, 9, 3]], [[0, 0, 7, 3], [1, 0, 8, 3]]], np.float32)


def check(found: Any) -> None:
    np.testing.assert_array_equal(found.anchor_labels, np.ones((2, 4)))
    np.testing.assert_array_equal(found.matched_idxs, [[1] * 4, [2] * 4])


@only_tensorflow
def test_a_batch_is_traced_once_per_shape() -> None:
    assigner = WideBoxCounter()
    for _ in range(2):
        check(assign_each_image(assigner, ANCHORS, (ops.convert_to_tensor(BOXES),), limit=5.0))
    assert assigner.calls == 1
    assign_each_image(assigner, ANCHORS, (ops.convert_to_tensor(BOXES[:, :1]),), limit=5.0)
    assert assigner.calls == 2


@only_tensorflow
@pytest.mark.parametrize("name", list(ASSIGNERS))
def test_no_box_or_label_is_a_constant_of_the_compiled_program(
    name: AssignerName, monkeypatch: pytest.MonkeyPatch
) -> None:
    """XLA compiles once per value of its constants: for a batch of other labels again, if these were among them."""
    programs, compile_loop = [], per_image._compiled.__wrapped__

    def keep(*constants: Any) -> Any:
        def run(*arguments: Any) -> Any:
            programs.append(compiled.experimental_get_compiler_ir(*arguments)(stage="hlo"))
            return compiled(*arguments)

        compiled = compile_loop(*constants)
        return run

    monkeypatch.setattr(per_image, "_compiled", keep)
    levels = tuple(ops.convert_to_tensor(level) for level in ANCHORS)
    boxes, labels = ops.convert_to_tensor(BOXES), ops.convert_to_tensor(np.array([[0, -1], [1, 0]], np.int32))
    sizes, predicted = ops.ones((2, 2)), ops.ones((2, 4, 4))
    inputs = AssignerInputs(levels, (1, 1), boxes, labels, labels * 0, sizes, predicted, ops.ones((2, 4, 3)))
    assign(AssignerConfig(assigner=name), inputs)
    entry = programs[0].split("ENTRY")[1].split("->")[0]
    assert entry.count("s32[2,2]") == 2, entry  # labels and ignore
    assert entry.count("f32[2,2,4]") == 1, entry  # boxes
    assert entry.count("f32[2,4,3]") == (1 if ASSIGNERS[name].uses_predictions else 0), entry  # logits


@pytest.mark.parametrize("row", [0, 1])
def test_at_row_is_indexing(row: int) -> None:
    found = at_row(ops.convert_to_tensor(BOXES), ops.convert_to_tensor(row, "int32"))
    np.testing.assert_array_equal(ops.convert_to_numpy(found), BOXES[row])


def test_the_loop_of_other_backends(monkeypatch: pytest.MonkeyPatch) -> None:
    """`check` asserts the assigned labels and indices."""
    monkeypatch.setattr(keras.backend, "backend", lambda: "another")
    check(assign_each_image(WideBoxCounter(), ANCHORS, (BOXES,), limit=5.0))


@only_tensorflow
def test_the_number_of_anchors_is_part_of_the_shape_where_it_is_known() -> None:
    import tensorflow as tf

    def shapes(*counts: int | None) -> list[list[int | None]]:
        @tf.function
        def run(*levels: Any) -> Any:
            return tuple(assign_each_image(WideBoxCounter(), levels, (ops.convert_to_tensor(BOXES),), limit=5.0))[:2]

        traced = run.get_concrete_function(*(tf.TensorSpec((count, 4)) for count in counts))
        return [output.shape.as_list() for output in traced.outputs]

    assert shapes(3, 1) == [[2, 4], [2, 4]]
    assert shapes(3, None) == [[2, None], [2, None]]


def test_anchors_centred_outside_the_image_are_ignored() -> None:
    """In an image of 2 × 8 pixels the third centre (10, 2) is right of it, and the first two at its lower edge."""
    anchors, is_object = ANCHORS[0], np.array([True, False, False])
    inside = label_anchors(is_object, np.array([False, False, True]), anchors, np.array([3.0, 12.0], np.float32))
    assert ops.convert_to_numpy(inside).tolist() == [1, 0, -1]
    right = label_anchors(is_object, is_object, anchors, np.array([3.0, 8.0], np.float32))
    assert ops.convert_to_numpy(right).tolist() == [1, 0, -1]
    below = label_anchors(is_object, is_object, anchors, np.array([2.0, 12.0], np.float32))
    assert ops.convert_to_numpy(below).tolist() == [-1, -1, -1]
