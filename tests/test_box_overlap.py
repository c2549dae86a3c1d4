from __future__ import annotations

import subprocess
import sys

import numpy as np
from keras import ops

from keras_retinanet.box_overlap import areas, intersections, iou, share_of_smaller
from keras_retinanet.geometry import boxes

A = np.array([[0, 0, 10, 10], [0, 0, 4, 2], [5, 5, 5, 9], [8, 8, 2, 2]], np.float32)
B = np.array([[5, 5, 15, 15], [0, 0, 10, 10]], np.float32)


def test_worked_by_hand() -> None:
    assert areas(A).tolist() == [100, 8, 0, 0]  # without width, and with swapped corners
    assert intersections(A[0], B).tolist() == [25, 100]
    np.testing.assert_allclose(iou(A[:2, None], B[None]), [[25 / 175, 1], [0, 8 / 100]], rtol=1e-6)
    np.testing.assert_allclose(share_of_smaller(A[:2, None], B[None]), [[0.25, 1], [0, 1]], rtol=1e-6)


def test_empty_boxes_overlap_nothing() -> None:
    for function in (iou, share_of_smaller):
        assert function(A[2], A[2]) == 0
        assert function(A[3], B).tolist() == [0, 0]


def test_equals_the_tensor_functions() -> None:
    rng = np.random.default_rng(0)
    corner, side = rng.uniform(0, 50, (2, 40, 2)), rng.uniform(0, 40, (2, 40, 2))
    one, other = np.concatenate([corner, corner + side], axis=-1).astype(np.float32)
    np.testing.assert_allclose(areas(one), ops.convert_to_numpy(boxes.area(one)), rtol=1e-6)
    expected = ops.convert_to_numpy(boxes.iou(one[:, None], other[None]))
    np.testing.assert_allclose(iou(one[:, None], other[None]), expected, rtol=1e-5)


def test_no_framework_is_imported() -> None:
    script = "import sys, keras_retinanet.box_overlap; print({'keras', 'tensorflow'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
