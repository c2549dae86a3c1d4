"""What the converter writes differently from the ONNX standard."""

from __future__ import annotations

import numpy as np
import pytest

from keras_retinanet.export.onnx_file import set_limits_as_vectors

onnx = pytest.importorskip("onnx", reason="onnx is not installed")


def test_limits_of_suppression_are_vectors() -> None:
    """Which ONNX's reference evaluator demands. Of three boxes, the second has an IoU of 0.9 with the first."""
    from onnx import TensorProto, helper, numpy_helper
    from onnx.reference import ReferenceEvaluator

    inputs = [
        helper.make_tensor_value_info("boxes", TensorProto.FLOAT, [1, 3, 4]),
        helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 1, 3]),
    ]
    output = helper.make_tensor_value_info("kept", TensorProto.INT64, [None, 3])
    limits = {"most": np.int64(5), "iou": np.float32(0.5), "score": np.float32(0.1)}
    node = helper.make_node("NonMaxSuppression", ["boxes", "scores", *limits], ["kept"], "nms")
    constants = [numpy_helper.from_array(np.array(value), name) for name, value in limits.items()]
    graph = helper.make_graph([node], "nms", inputs, [output], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    boxes = np.array([[[0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30]]], np.float32)
    values = {"boxes": boxes, "scores": np.array([[[0.9, 0.8, 0.7]]], np.float32)}
    set_limits_as_vectors(model)
    onnx.checker.check_model(model, full_check=True)
    shapes = {
        value.name: value.type.tensor_type.shape.dim
        for value in onnx.shape_inference.infer_shapes(model).graph.value_info
    }
    for name in model.graph.node[-1].input[2:]:
        assert name not in limits
        assert [axis.dim_value for axis in shapes[name]] == [1]
    (kept,) = ReferenceEvaluator(model).run(None, values)
    np.testing.assert_array_equal(kept, [[0, 0, 0], [0, 0, 2]])
