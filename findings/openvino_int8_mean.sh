#!/usr/bin/env bash
# OpenVINO 2026.4.1, CPU plugin (seen on x86-64 with AVX512-VNNI and AMX): ReduceMean over the output of an int8
# convolution whose height and width are dynamic, where something else reads that output too.
#
# Guess before running: means of an int8 model are those of the float32 model, apart from the rounding of quantisation.
#
# Seen: as soon as the convolution has a second reader, its mean over height and width is multiplied by the scale of the
# dequantisation once more: here by 2.4e-6, which leaves next to nothing. `x - mean(x)` then returns `x`. The convolution
# itself is right, and so are the mean if nothing else reads the convolution, and all of it if the sides are static.
# The operation GroupNormalization is right too.
#
# Why it matters: group and instance normalisation that a converter has spelled out subtract such a mean. A detector
# whose heads have group normalisation fell from AP .57 to .41 after NNCF's quantisation; with GroupNormalization in
# place of the spelled-out form it loses as much as its rounding.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet openvino==2026.4.1
"$folder/venv/bin/python" - <<'PY'
import numpy as np
import openvino
from openvino import opset13 as ops

CHANNELS, SCALE = 32, np.float32(1e-4)
rng = np.random.default_rng(0)
KERNEL = rng.integers(-127, 128, (CHANNELS, CHANNELS, 3, 3)).astype(np.int8)
IMAGE = rng.uniform(0, 6, (1, CHANNELS, 16, 16)).astype(np.float32)


def outputs(is_int8, is_dynamic, readers):
    """Answers of a convolution and of its mean, or of one of them."""
    x = ops.parameter([-1, CHANNELS, -1, -1] if is_dynamic else list(IMAGE.shape), np.float32)
    rounded = ops.fake_quantize(x, np.float32(0), np.float32(6), np.float32(0), np.float32(6), 256)
    kernel = ops.multiply(ops.convert(ops.constant(KERNEL), "f32"), ops.constant(np.full((CHANNELS, 1, 1, 1), SCALE)))
    if not is_int8:
        kernel = ops.constant(KERNEL * SCALE)
    found = ops.convolution(rounded, kernel, [1, 1], [0, 0], [0, 0], [1, 1])
    results = {"convolution": found, "mean": ops.reduce_mean(found, np.array([2, 3]), keep_dims=True)}
    results["difference"] = ops.subtract(found, results["mean"])
    model = openvino.Model([results[name] for name in readers], [x])
    compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return dict(zip(readers, (np.asarray(value) for value in compiled([IMAGE]).values()), strict=True))


def size(values):
    return float(np.abs(values).mean())


for readers in (["mean"], ["convolution", "mean"], ["difference"]):
    for is_dynamic in (False, True):
        right, found = (outputs(is_int8, is_dynamic, readers) for is_int8 in (False, True))
        for name in readers:
            ratio = size(found[name]) / size(right[name])
            print(f"{'dynamic' if is_dynamic else 'static':8}{' and '.join(readers):22}{name:12}{ratio:.6f}")
            is_wrong = is_dynamic and (readers, name) in ((["convolution", "mean"], "mean"), (["difference"], "difference"))
            assert (abs(ratio - 1) > 0.1) == is_wrong, (readers, name, ratio)
lost = outputs(True, True, ["convolution", "mean"])
print(f"mean {size(lost['mean']):.2g} of a convolution of {size(lost['convolution']):.2g}")
assert size(lost["mean"]) < 1e-5 * size(lost["convolution"])
PY
