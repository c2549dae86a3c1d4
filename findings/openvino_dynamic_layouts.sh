#!/usr/bin/env bash
# OpenVINO 2026.4.1, CPU with AMX, bfloat16 and int8.
#
# Guess before running: a model of unknown height and width takes as long as the same model of known ones, once the
# first image of a size has been seen.
#
# Seen: a convolution in bfloat16 leaves its map channels last; a transposition to NHWC of it, as every model from TensorFlow
# ends with, costs nothing in a model of fixed shape (no such operation is run), but in one of any shape the map is first
# reordered to NCHW in float32 and then transposed back: both operations are in the profile. A RetinaNet with ResNet-50 at
# 800 x 1344 takes 0.57 in place of 0.47 s of CPU time in bfloat16, and 0.46 in place of 0.31 s in int8.
#
# Why it matters: detectors are exported for images of any size. Compile the model for the shapes that come
# (`model.reshape`) where there are few of them.
set -euo pipefail
if ! grep -qwE 'amx_bf16|avx512_bf16' /proc/cpuinfo; then
    echo "not checked: this processor has no bfloat16"
    exit 0
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet openvino==2026.4.1 numpy==2.3.5
cat > "$folder/measure.py" <<'PY'
import numpy as np
import openvino as ov
from openvino import opset13 as ops

CHANNELS, ANCHORS, CLASSES = 256, 9, 80


def make():
    images = ops.parameter([1, CHANNELS, -1, -1], np.float32, name="images")
    kernel = np.random.default_rng(0).normal(size=(ANCHORS * CLASSES, CHANNELS, 3, 3)).astype(np.float32) / 50
    maps = ops.convolution(ops.relu(images), ops.constant(kernel), [1, 1], [1, 1], [1, 1], [1, 1])
    last = ops.transpose(maps, ops.constant([0, 2, 3, 1]))
    rows = ops.reshape(last, ops.constant([1, -1, CLASSES]), special_zero=False)
    return ov.Model([ops.reduce_max(rows, ops.constant([2]))], [images])


core, image = ov.Core(), np.random.default_rng(1).normal(size=(1, CHANNELS, 64, 96)).astype(np.float32)
found = {}
for name in ("any", "fixed"):
    model = make()
    if name == "fixed":
        model.reshape({"images": image.shape})
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "bf16", "PERF_COUNT": True})
    request = compiled.create_infer_request()
    for _ in range(3):
        request.infer({"images": image})
    times = {}
    for part in request.profiling_info:
        if part.node_type in ("Transpose", "Reorder", "Convolution") and part.status.name == "EXECUTED":
            times[part.node_type] = times.get(part.node_type, 0.0) + part.real_time.total_seconds() * 1e3
    print(name, {kind: round(time, 2) for kind, time in times.items()})
    found[name] = times
assert found["any"].get("Transpose", 0.0) > 0.3, "no longer transposed"
assert found["fixed"].get("Transpose", 0.0) < 0.1, "transposed now, too"
PY
"$folder/venv/bin/python" "$folder/measure.py"
echo "as stated"
