"""Several replicas train as one: two logical CPUs in a process of their own, since they must exist from its start."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import sys

import keras
import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

from keras_retinanet import build

from keras_retinanet.demo import scenes
from keras_retinanet.backbones import freeze_batch_norm
from keras_retinanet.config import AnchorConfig, DataConfig, ModelConfig, ResizeConfig
from keras_retinanet.data.pipeline import TrainingBatches
from keras_retinanet.data.open_dataset import open_dataset

scenes.write_dataset(sys.argv[1], num_train=6, num_val=1, seed=1)
samples = list(open_dataset(DataConfig("coco", sys.argv[1]), "train"))
resize = ResizeConfig(64, 64, is_square=True)
weights = []
for strategy in (tf.distribute.get_strategy(), tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])):
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = build(
            ModelConfig("resnet10_050", "none", 3, 5, fpn_width=8, head_width=8, head_depth=1),
            class_names=scenes.CLASS_NAMES, anchors=AnchorConfig((16.0, 32.0, 64.0), (8, 16, 32)), resize=resize,
        )
        freeze_batch_norm(model.backbone)  # its statistics are those of a replica
        model.compile(keras.optimizers.SGD(0.01))
    before = [variable.numpy() for variable in model.trainable_variables]
    batches = TrainingBatches(samples, resize=resize, pad_value=model.pad_value, batch_size=4, seed=0)
    history = model.fit(batches.dataset(), steps_per_epoch=3, epochs=1, verbose=0)
    print(strategy.num_replicas_in_sync, history.history["box_loss"], history.history["classification_loss"])
    weights.append([variable.numpy() for variable in model.trainable_variables])
assert max(np.abs(one - start).max() for one, start in zip(weights[0], before, strict=True)) > 1e-3
for one, two in zip(*weights, strict=True):
    np.testing.assert_allclose(one, two, atol=1e-5)
"""


@pytest.mark.slow
def test_two_replicas_learn_what_one_learns(tmp_path):
    command = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
    one, two = (line.split(" ", 1) for line in result.stdout.splitlines())
    assert (one[0], two[0]) == ("1", "2")
