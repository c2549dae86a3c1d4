from __future__ import annotations

from typing import Any, get_args

import keras
import numpy as np
import pytest
from keras import ops

from keras_retinanet.assigners import ASSIGNERS, AssignerInputs, assign, assigner_constants
from keras_retinanet.config import AssignerConfig, AssignerName


def test_names_of_the_flags_are_those_of_the_table() -> None:
    assert get_args(AssignerName) == tuple(ASSIGNERS)


def test_constants_are_those_of_the_assigner() -> None:
    thresholds = {"positive_iou": 0.6, "negative_iou": 0.3, "use_force_match": True, "forced_box": "best"}
    assert assigner_constants(AssignerConfig(0.6, 0.3, True)) == thresholds
    assert assigner_constants(AssignerConfig(assigner="atss", nearest_cells=5)) == {"nearest_cells": 5}


@pytest.mark.parametrize(
    "settings",
    [{}, {"use_force_match": True, "forced_box": "own"}, {"assigner": "atss"}, {"assigner": "task_aligned"}],
    ids=str,
)
@pytest.mark.parametrize("is_traced", [False, True])
def test_without_a_row_of_boxes_all_anchors_are_background(settings: dict[str, Any], is_traced: bool) -> None:
    """Also where the number of rows is known only when a batch arrives; one anchor lies outside the second image."""
    if keras.backend.backend() != "tensorflow" and is_traced:
        pytest.skip("only TensorFlow traces batches of any number of rows")
    anchors = np.array([[0, 0, 8, 8], [8, 0, 16, 8]], "float32")
    sizes = np.array([[8, 16], [8, 12]], "float32")
    predictions = (np.zeros((2, 2, 4), "float32"), np.zeros((2, 2, 3), "float32"))

    def run(boxes: Any, labels: Any, ignore: Any) -> Any:
        inputs = AssignerInputs((ops.convert_to_tensor(anchors),), (1,), boxes, labels, ignore, sizes, *predictions)
        return assign(AssignerConfig(**settings), inputs).anchor_labels

    if is_traced:
        import tensorflow as tf

        rows = tf.TensorSpec((2, None), tf.int32)
        run = tf.function(run, [tf.TensorSpec((2, None, 4)), rows, rows])
    found = run(np.zeros((2, 0, 4), "float32"), np.zeros((2, 0), "int32"), np.zeros((2, 0), "int32"))
    assert ops.convert_to_numpy(found).tolist() == [[0, 0], [0, -1]]


def test_a_constant_of_another_assigner_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"--positive-iou 0\.6 .* atss, which has: --atss-nearest-cells"):
        assigner_constants(AssignerConfig(0.6, assigner="atss"))
    with pytest.raises(ValueError, match=r"--atss-nearest-cells 5 .* iou_threshold"):
        assigner_constants(AssignerConfig(nearest_cells=5))
