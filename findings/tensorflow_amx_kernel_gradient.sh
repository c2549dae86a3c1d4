#!/usr/bin/env bash
# TensorFlow 2.21.0 with oneDNN, CPU with AMX, bfloat16.
#
# Guess before running: the gradient of a 1 x 1 kernel is one matrix product, so TensorFlow's kernel for it takes about
# as long as tf.matmul of the same pixels; that of a 3 x 3 kernel takes less than gathering nine copies of the maps and
# multiplying them.
#
# Seen (one thread): 1 x 1, 4 x 20 x 26 pixels, 512 channels in and out: Conv2DBackpropFilter takes 4.6 ms, tf.matmul
# with transpose_a 1.6 ms, and the convolution itself 0.9 ms. 3 x 3 with a stride of 2 on 2 x 16 x 16 pixels, 2048
# channels in and 256 out, as the P6 of a ResNet's pyramid: 18.8 ms against 2.2 ms by gathered copies. Kernels of 3 x 3
# on large maps are faster by Conv2DBackpropFilter. In float32 the 1 x 1 kernel takes the same both ways.
#
# Why it matters: backbones are full of 1 x 1 convolutions and pyramids of small maps, so that this is a sixth of a
# training step in bfloat16.
set -euo pipefail
if ! grep -qw amx_bf16 /proc/cpuinfo; then
    echo "not checked: this processor has no AMX"
    exit 0
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet tensorflow==2.21.0
cat > "$folder/measure.py" <<'PY'
import time

import tensorflow as tf

tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)


def least(run, *arguments):
    run = tf.function(run)
    run(*arguments)
    times = []
    for _ in range(20):
        start = time.process_time()
        run(*arguments)
        times.append(time.process_time() - start)
    return min(times) * 1e3


def kernel(maps, upstream):
    return tf.raw_ops.Conv2DBackpropFilter(
        input=maps, filter_sizes=[1, 1, 512, 512], out_backprop=upstream, strides=[1, 1, 1, 1], padding="SAME"
    )


def product(maps, upstream):
    return tf.matmul(tf.reshape(maps, (-1, 512)), tf.reshape(upstream, (-1, 512)), transpose_a=True)


def strided_kernel(maps, upstream):
    return tf.raw_ops.Conv2DBackpropFilter(
        input=maps, filter_sizes=[3, 3, 2048, 256], out_backprop=upstream, strides=[1, 2, 2, 1], padding="VALID"
    )


def strided_product(maps, upstream):
    rows = tf.reshape(tf.range(2)[:, None, None] * 17 + tf.range(0, 16, 2)[:, None], (-1, 1)) * 17 + tf.range(0, 16, 2)
    taps = tf.reshape(tf.range(3)[:, None] * 17 + tf.range(3), (-1,))
    copies = tf.gather(tf.reshape(maps, (-1, 2048)), tf.reshape(rows, (-1, 1)) + taps)
    return tf.matmul(tf.reshape(copies, (-1, 9 * 2048)), tf.reshape(upstream, (-1, 256)), transpose_a=True)


maps = tf.cast(tf.random.normal((2, 17, 17, 2048), seed=2), tf.bfloat16)
upstream = tf.cast(tf.random.normal((2, 8, 8, 256), seed=3), tf.bfloat16)
values = [
    tf.reshape(tf.cast(run(maps, upstream), tf.float32), (-1, 256)) for run in (strided_kernel, strided_product)
]
assert tf.reduce_max(abs(values[0] - values[1])) < 0.01 * tf.reduce_max(abs(values[0])), "two results"
strided = least(strided_kernel, maps, upstream), least(strided_product, maps, upstream)
print(f"3 x 3, stride 2: Conv2DBackpropFilter {strided[0]:.1f} ms, gathered copies {strided[1]:.1f} ms")
assert strided[0] > 3 * strided[1], "3 x 3 with a stride as fast now"
ratios = {}
for dtype in (tf.bfloat16, tf.float32):
    maps, upstream = (tf.cast(tf.random.normal((4, 20, 26, 512), seed=seed), dtype) for seed in (0, 1))
    times = least(kernel, maps, upstream), least(product, maps, upstream)
    print(f"{dtype.name}: Conv2DBackpropFilter {times[0]:.1f} ms, tf.matmul {times[1]:.1f} ms")
    ratios[dtype.name] = times[0] / times[1]
assert ratios["bfloat16"] > 2, "as fast now in bfloat16"
assert ratios["float32"] < 1.5, "slower now in float32, too"
PY
TF_CPP_MIN_LOG_LEVEL=3 CUDA_VISIBLE_DEVICES=-1 "$folder/venv/bin/python" "$folder/measure.py" 2> /dev/null
echo "as stated"
