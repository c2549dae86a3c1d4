#!/usr/bin/env bash
# TensorFlow 2.21.0, CPU, on x86-64 with AVX2 and without AVX-512, where oneDNN is off unless TF_ENABLE_ONEDNN_OPTS=1.
#
# Guess before running: with that variable every convolution is as fast or faster.
#
# Seen (one thread, 64 x 80 pixels, 256 channels in and out, 3 x 3, float32): that holds for two images. A convolution of
# one image takes 2.6 times as long as without oneDNN, followed by batch normalisation in inference 5.5 times.
# ONEDNN_VERBOSE=1 shows why: TensorFlow asks for plain weights where the batch is one image, for which oneDNN has
# x64:gemm:jit, and lets it choose blocked ones for two images, with brg_conv_fwd:avx2 (seen with 128 channels).
#
# Why it matters: advice to set the variable is common, and a training step is indeed faster with it, while detection,
# image by image, becomes several times slower.
set -euo pipefail
if ! grep -qw avx2 /proc/cpuinfo || grep -qw avx512f /proc/cpuinfo; then
    echo "not checked: this processor does not have AVX2 as its widest instructions"
    exit 0
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet tensorflow==2.21.0
cat > "$folder/measure.py" <<'PY'
import json
import time

import tensorflow as tf

tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)
kernel, ones, zeros = tf.random.normal((3, 3, 256, 256)), tf.ones(256), tf.zeros(256)


@tf.function
def alone(features):
    return tf.nn.conv2d(features, kernel, 1, "SAME")


@tf.function
def norm(features):
    return tf.raw_ops.FusedBatchNormV3(
        x=alone(features), scale=ones, offset=zeros, mean=zeros, variance=ones, epsilon=1e-3, is_training=False
    )[0]


def least(run, images):
    features = tf.random.normal((images, 64, 80, 256))
    run(features)
    times = []
    for _ in range(6):
        start = time.process_time()
        run(features)
        times.append(time.process_time() - start)
    return min(times)


print(json.dumps({"two": least(alone, 2), "one": least(alone, 1), "one, norm": least(norm, 1)}))
PY
export TF_CPP_MIN_LOG_LEVEL=3 CUDA_VISIBLE_DEVICES=-1
TF_ENABLE_ONEDNN_OPTS=0 "$folder/venv/bin/python" "$folder/measure.py" > "$folder/off.json" 2> /dev/null
TF_ENABLE_ONEDNN_OPTS=1 "$folder/venv/bin/python" "$folder/measure.py" > "$folder/on.json" 2> /dev/null
"$folder/venv/bin/python" - "$folder" <<'PY'
import json
import pathlib
import sys

folder = pathlib.Path(sys.argv[1])
off, on = (json.loads((folder / name).read_text()) for name in ("off.json", "on.json"))
ratios = {name: on[name] / off[name] for name in off}
print({name: f"{ratio:.2f} of the time without oneDNN" for name, ratio in ratios.items()})
assert ratios["two"] < 1.3, ratios
assert ratios["one"] > 1.7, ratios
assert ratios["one, norm"] > 3, ratios
PY
