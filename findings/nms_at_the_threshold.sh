#!/usr/bin/env bash
# Non-maximum suppression at an IoU that equals the threshold: TensorFlow 2.21.0, ai-edge-litert 2.3.0, ONNX Runtime
# 1.32.0, OpenVINO 2026.4.1, two boxes of IoU 0.5 and a threshold of 0.5 (all exact in float32).
#
# Guess before running: all suppress what is above the threshold, as the documents of TensorFlow, ONNX and torchvision
# say; at most one differs.
#
# Seen: TensorFlow disagrees with itself. `tf.image.non_max_suppression` (V3, V4 and V5) and
# `combined_non_max_suppression` keep both boxes; `tf.image.non_max_suppression_padded` drops the second, and so does
# LiteRT's kernel of the same operation V5. ONNX Runtime keeps it, OpenVINO's operation of the same ONNX file drops it.
# At the score threshold all agree: a score that equals it is dropped.
#
# Why it matters: boxes with whole coordinates (labels given as predictions, detectors that round, tiles joined on a
# grid) often overlap by exactly 1/2 or 1/3. One model then answers another number of boxes in each runtime, though all
# raw outputs are equal, and a comparison of runtimes by count fails.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet tensorflow==2.21.0 ai-edge-litert==2.3.0 onnx==1.23.2 onnxruntime==1.32.0 openvino==2026.4.1
cd "$folder"
TF_CPP_MIN_LOG_LEVEL=3 CUDA_VISIBLE_DEVICES=-1 "$folder/venv/bin/python" - <<'PY'
import numpy as np
import onnx
import onnxruntime
import openvino
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from onnx import TensorProto, helper

BOXES = np.float32([[0, 0, 2, 2], [0, 0, 2, 1], [10, 10, 12, 12], [20, 20, 22, 22]])  # IoU of the first two: 0.5
SCORES = np.float32([0.9, 0.8, 0.5, 0.25])
IOU, SCORE = 0.5, 0.25


def version_5(boxes, scores):
    return tf.raw_ops.NonMaxSuppressionV5(
        boxes=boxes, scores=scores, max_output_size=4, iou_threshold=IOU, score_threshold=SCORE, soft_nms_sigma=0.0
    )[0]


def litert():
    signature = [tf.TensorSpec((4, 4)), tf.TensorSpec((4,))]
    function = tf.function(version_5, input_signature=signature)
    model = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()], function).convert()
    interpreter = Interpreter(model_content=model)
    interpreter.allocate_tensors()
    for detail in interpreter.get_input_details():
        interpreter.set_tensor(detail["index"], BOXES if len(detail["shape"]) == 2 else SCORES)
    interpreter.invoke()
    found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).tolist()
    return [row for place, row in enumerate(found) if row or place == 0]  # zeros fill it up


def onnx_file():
    inputs = [
        helper.make_tensor_value_info("boxes", TensorProto.FLOAT, [1, 4, 4]),
        helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 1, 4]),
    ]
    limits = [
        helper.make_tensor("count", TensorProto.INT64, [1], [4]),
        helper.make_tensor("iou", TensorProto.FLOAT, [1], [IOU]),
        helper.make_tensor("score", TensorProto.FLOAT, [1], [SCORE]),
    ]
    node = helper.make_node("NonMaxSuppression", ["boxes", "scores", "count", "iou", "score"], ["selected"])
    output = helper.make_tensor_value_info("selected", TensorProto.INT64, None)
    graph = helper.make_graph([node], "suppression", inputs, [output], limits)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, "suppression.onnx")
    return "suppression.onnx", {"boxes": BOXES[None], "scores": SCORES[None, None]}


combined = tf.image.combined_non_max_suppression(
    BOXES[None, :, None], SCORES[None, :, None], 4, 4, IOU, SCORE, clip_boxes=False
)
padded, count = tf.image.non_max_suppression_padded(BOXES, SCORES, 4, IOU, SCORE, pad_to_max_output_size=True)
path, feeds = onnx_file()
kept = {
    "tf.image.non_max_suppression": tf.image.non_max_suppression(BOXES, SCORES, 4, IOU, SCORE).numpy().tolist(),
    "NonMaxSuppressionV5": version_5(BOXES, SCORES).numpy().tolist(),
    "combined_non_max_suppression": list(range(int(combined.valid_detections[0]))),
    "ONNX Runtime": onnxruntime.InferenceSession(path).run(None, feeds)[0][:, 2].tolist(),
    "tf.image.non_max_suppression_padded": padded.numpy()[: int(count)].tolist(),
    "LiteRT": litert(),
    "OpenVINO": sorted(row[2] for row in openvino.compile_model(path)(feeds)[0].tolist() if row[0] >= 0),
}
for name, rows in kept.items():
    print(f"{name:36s} keeps {rows}")
both, one = list(kept)[:4], list(kept)[4:]
assert all(kept[name] == [0, 1, 2] for name in both), kept
assert all(kept[name] == [0, 2] for name in one), kept
PY
