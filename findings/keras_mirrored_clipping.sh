#!/usr/bin/env bash
# Keras 3.15.1 (and 3.15.0) on TensorFlow 2.21.0: gradient clipping (`global_clipnorm`, `clipnorm`) under tf.distribute.MirroredStrategy.
#
# Guess before running: `fit` with several devices clips the gradient of the whole batch, as with one device; that is the
# promise of data-parallel training.
#
# Seen: each replica clips its own part of the gradient, and the clipped parts are summed. A batch of two images whose
# gradients are (1.5, 0) and (0, 2) is updated by (0.6, 0.8), of norm 1, on one device, and by (1, 1), of norm 1.41, on
# two: larger than the limit, and in another direction. With N devices an update may be N times the limit. Without
# clipping both are equal.
#
# Why it matters: detectors are usually trained with a clipped norm, and batches with many objects have gradients far
# above it. A run then takes other, larger steps as soon as a second GPU is used.
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
IMAGES, TARGETS = np.float32([[3, 0], [0, 4]]), np.zeros((2, 1), np.float32)


def update(devices, **clipping):
    """Weights after one step of SGD at rate 1 from zero; the loss is minus the mean output."""
    with tf.distribute.MirroredStrategy(devices).scope():
        dense = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")
        model = keras.Sequential([keras.Input((2,)), dense])
        model.compile(keras.optimizers.SGD(1.0, **clipping), loss=lambda y, outputs: -outputs)
    model.fit(tf.data.Dataset.from_tensor_slices((IMAGES, TARGETS)).batch(2), verbose=0)
    return model.get_weights()[0].ravel()


for clipping in ({}, {"global_clipnorm": 1.0}, {"clipnorm": 1.0}):
    one, two = update(["CPU:0"], **clipping), update(["CPU:0", "CPU:1"], **clipping)
    print(f"{clipping or 'no clipping'}: one device {one}, two {two}")
    np.testing.assert_allclose(one, [0.6, 0.8] if clipping else [1.5, 2], atol=1e-6)
    np.testing.assert_allclose(two, [1, 1] if clipping else [1.5, 2], atol=1e-6)
PY
