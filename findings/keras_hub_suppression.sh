#!/usr/bin/env bash
# keras-hub 0.32.0 on Keras 3.15.1: `keras_hub.layers.NonMaxSuppression`, the decoder of its RetinaNet and D-FINE.
#
# Guess before running: suppression by class, as in the RetinaNet paper, torchvision, TensorFlow's
# `combined_non_max_suppression` and KerasCV, from whose RetinaNet this one was made.
#
# Seen: all classes suppress each other. Of a person with score 0.9 and a bicycle with 0.8 whose boxes overlap by 0.6 only
# the person is returned; and each box keeps only its best class, so that a box with 0.9 for one class and 0.85 for another
# is one detection, not two.
#
# Why it matters: a network imported from another library answers fewer boxes here, and COCO's AP falls, although every raw
# output is equal; objects that lie on each other (rider and horse, food and plate) are lost.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet keras-hub==0.32.0 keras==3.15.1 tensorflow==2.21.0
TF_CPP_MIN_LOG_LEVEL=3 CUDA_VISIBLE_DEVICES=-1 "$folder/venv/bin/python" - <<'PY'
import keras_hub
import numpy as np
import tensorflow as tf

BOXES = np.float32([[[0, 0, 10, 10], [0, 0, 10, 6], [30, 30, 40, 40]]])  # IoU of the first two: 0.6
SCORES = np.float32([[[0.9, 0.0], [0.0, 0.8], [0.9, 0.85]]])

layer = keras_hub.layers.NonMaxSuppression(
    "xyxy", from_logits=False, iou_threshold=0.5, confidence_threshold=0.1, max_detections=10
)
hub = layer(BOXES, SCORES)
count = int(hub["num_detections"][0])
print("keras-hub:", count, "detections of classes", np.asarray(hub["labels"])[0, :count])
by_class = tf.image.combined_non_max_suppression(BOXES[:, :, None], SCORES, 10, 10, 0.5, 0.1, clip_boxes=False)
print("TensorFlow:", int(by_class.valid_detections[0]), "detections of classes", by_class.nmsed_classes.numpy()[0, :4])
assert count == 2
assert np.asarray(hub["labels"])[0, :2].tolist() == [0, 0]
assert int(by_class.valid_detections[0]) == 4
PY
