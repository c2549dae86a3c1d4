#!/usr/bin/env bash
# OpenVINO 2026.4.1, CPU plugin (seen on x86-64 with AVX-512): Divide of two float32 tensors.
#
# Guess before running: Divide is the division of IEEE 754, as in NumPy, so that n·b / b is exactly n for whole numbers
# that float32 holds; with INFERENCE_PRECISION_HINT f32 at least.
#
# Seen: with that hint, 21 / 7 is 3.0000002, as if the plugin multiplied by a rounded reciprocal. Of the divisors
# 1 … 200, 26 give quotients above the whole number (7, 13, 14, 15, 26 …), whose ceil is one too large. Integer division
# is exact.
#
# Why it matters: graphs that compute sizes (resize, grids, padding to a multiple) from image sizes in float32 get maps
# that are off by one for some sizes only. Integers, or a division whose remainder is corrected, avoid it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet openvino==2026.4.1
"$folder/venv/bin/python" - <<'PY'
import numpy as np
import openvino
from openvino import opset13 as ops


def division(dtype):
    """A compiled model of one Divide."""
    left, right = ops.parameter([-1], dtype), ops.parameter([-1], dtype)
    model = openvino.Model([ops.divide(left, right)], [left, right], "division")
    compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda a, b: compiled([a, b])[0]


floats, integers = division(np.float32), division(np.int32)
third = floats(np.float32([21]), np.float32([7]))[0]
print(f"21 / 7 = {third!r}")
assert third == np.float32(3.0000002), third
quotients, missed = np.arange(1, 2001), []
for divisor in range(1, 201):
    products = quotients * divisor
    found = floats(products.astype(np.float32), np.full(2000, divisor, np.float32))
    if (np.ceil(found) != quotients).any():
        missed.append(divisor)
    whole = integers(products.astype(np.int32), np.full(2000, divisor, np.int32))
    assert (whole == quotients).all(), divisor
print(f"{len(missed)} of 200 divisors give a quotient whose ceil is too large: {missed[:8]} …")
assert 7 in missed and len(missed) > 20, missed
PY
