#!/usr/bin/env bash
# tf2onnx 1.17.0 with TensorFlow 2.21.0, ONNX 1.23.2 and ONNX Runtime 1.32.0: tf.math.floordiv (`//`) of integers.
#
# Guess before running: the converter writes nodes that round down as TensorFlow does, or refuses.
#
# Seen: for int32 and int64 it writes a single Div, which truncates: -7 // 2 is -4 in TensorFlow and -3 in the file,
# -1 // 2 is -1 and 0. No warning. For float32 it writes Div and Floor, which is right.
#
# Why it matters: integer arithmetic on coordinates left of or above an image (padding, crops, centred resizes) passes
# every test on positive numbers and shifts by one pixel in the exported detector.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet tensorflow==2.21.0 tf2onnx==1.17.0 onnx==1.23.2 onnxruntime==1.32.0
CUDA_VISIBLE_DEVICES=-1 TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - <<'PY'
import numpy as np
import onnxruntime
import tensorflow as tf
import tf2onnx


def halves(dtype):
    """-7, -1 and 7, floor-divided by 2 in TensorFlow and in the converted graph, and the graph's operators."""
    signature = [tf.TensorSpec([None], dtype, name="x")]
    function = tf.function(lambda x: x // tf.constant(2, dtype), input_signature=signature)
    model, _ = tf2onnx.convert.from_function(function, signature, opset=18)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    x = np.array([-7, -1, 7], dtype.as_numpy_dtype)
    ours, theirs = function(tf.constant(x)).numpy(), session.run(None, {"x": x})[0]
    return ours.tolist(), theirs.tolist(), [node.op_type for node in model.graph.node]


for dtype in (tf.int32, tf.int64):
    found = halves(dtype)
    print(dtype.name, *found)
    assert found == ([-4, -1, 3], [-3, 0, 3], ["Div"]), found
found = halves(tf.float32)
print("float32", *found)
assert found == ([-4, -1, 3], [-4, -1, 3], ["Div", "Floor"]), found
PY
