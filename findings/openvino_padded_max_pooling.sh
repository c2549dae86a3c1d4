#!/usr/bin/env bash
# OpenVINO 2026.4.1, CPU plugin, float32.
#
# Guess before running: zeros around a map are taken over by the operation that follows, a convolution or a max pooling:
# after a ReLU both may pad by themselves with the same result.
#
# Seen: a convolution takes the zeros over and no Pad is run; a max pooling does not. The Pad before it runs in a reference
# kernel (ref_f32), which takes 21 ms for 64 x 400 x 672 in one thread, where the same max pooling with pads of its own has
# equal results without it.
#
# Why it matters: a Keras ResNet begins with ZeroPadding2D and MaxPooling2D("valid"), so every detector exported from one
# pays for it: 3 % of a RetinaNet with ResNet-50 in int8. Give the pooling its own pads.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet openvino==2026.4.1 numpy==2.3.5
cat > "$folder/measure.py" <<'PY'
import numpy as np
import openvino
from openvino import opset14 as ops

KERNEL = np.random.default_rng(2).normal(size=(64, 64, 3, 3)).astype(np.float32)


def make(last, is_padded):
    """A ReLU, zeros around unless the last operation pads by itself, and that operation."""
    images = ops.parameter([1, 64, 100, 168], np.float32)
    maps = ops.relu(ops.convolution(images, KERNEL[:, :, :1, :1], [1, 1], [0, 0], [0, 0], [1, 1]))
    side = [0, 0] if is_padded else [1, 1]
    if is_padded:
        maps = ops.pad(maps, np.int64([0, 0, 1, 1]), np.int64([0, 0, 1, 1]), "constant", np.float32(0))
    if last == "max pooling":
        answer = ops.max_pool(maps, [2, 2], [1, 1], side, side, [3, 3], "floor", "explicit").output(0)
    else:
        answer = ops.convolution(maps, KERNEL, [2, 2], side, side, [1, 1])
    return openvino.Model([answer], [images])


image = np.random.default_rng(1).normal(size=(1, 64, 100, 168)).astype(np.float32)
settings = {"INFERENCE_PRECISION_HINT": "f32", "PERF_COUNT": True}
for last, expected in (("convolution", []), ("max pooling", ["ref_f32"])):
    answers = []
    for is_padded in (True, False):
        request = openvino.Core().compile_model(make(last, is_padded), "CPU", settings).create_infer_request()
        answers.append(request.infer([image])[0].copy())
        run = [row for row in request.profiling_info if row.node_type == "Pad" and row.real_time.total_seconds() > 0]
        kernels = [row.exec_type for row in run]
        print(f"{last}, {'Pad before it' if is_padded else 'pads of its own'}: Pad is run by {kernels or 'nobody'}")
        assert kernels == (expected if is_padded else []), "changed"
    np.testing.assert_allclose(*answers, rtol=1e-4, atol=1e-3)
PY
"$folder/venv/bin/python" "$folder/measure.py"
echo "as stated"
