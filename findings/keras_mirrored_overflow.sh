#!/usr/bin/env bash
# Keras 3.15.1 on TensorFlow 2.21.0: LossScaleOptimizer (float16) under tf.distribute.MirroredStrategy, when the
# gradient of one replica alone overflows.
#
# Guess before running: the step is skipped on all replicas and the loss scale is halved, as on one device.
#
# Seen: whether a gradient is finite is decided on each replica's own part before the parts are summed. If the first
# replica's part is finite, its decision stands for all: the sum, which is infinite, is applied, the weights of both
# replicas become infinite, the step counts, and the scale is not halved. On one device the same batch is skipped.
#
# Why it matters: an overflow is what loss scaling is there for, and an image with many objects often overflows alone. A
# float16 run that is safe on one GPU ends in infinite weights on two.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet tensorflow==2.21.0 keras==3.15.1
TF_CPP_MIN_LOG_LEVEL=3 CUDA_VISIBLE_DEVICES=-1 "$folder/venv/bin/python" - <<'PY'
import keras
import numpy as np
import tensorflow as tf

(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
IMAGES = np.float32([[3, 0], [0, np.inf]])  # the gradient of the second is infinite, as after an overflow


def values(variable):
    """The variable's value on each device."""
    return [np.array(value).ravel() for value in variable.value.values]


def step(devices):
    """Weights and scale after one step of SGD at rate 1 from zero; the loss is minus the mean output."""
    with tf.distribute.MirroredStrategy(devices).scope():
        dense = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")
        model = keras.Sequential([keras.Input((2,)), dense])
        optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(1.0), initial_scale=4.0)
        model.compile(optimizer, loss=lambda y, outputs: -outputs)
    model.fit(tf.data.Dataset.from_tensor_slices((IMAGES, np.zeros((2, 1), np.float32))).batch(2), verbose=0)
    return values(dense.kernel), values(optimizer.dynamic_scale)


for devices, weights, scale in ((["CPU:0"], [0, 0], 2), (["CPU:0", "CPU:1"], [1.5, np.inf], 4)):
    found, scales = step(devices)
    print(f"{len(devices)} device(s): weights {found}, scale {scales}")
    np.testing.assert_array_equal(found, [weights] * len(devices))
    np.testing.assert_array_equal(scales, [[scale]] * len(devices))
PY
