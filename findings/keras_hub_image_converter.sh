#!/usr/bin/env bash
# keras-hub 0.32.0 on Keras 3.15.1: `keras_hub.layers.RetinaNetImageConverter(image_size=...)` with its default arguments.
#
# Guess before running: the image is scaled with its aspect ratio kept and padded (letterbox), as in the RetinaNet paper
# and in the presets of keras-hub; all boxes stay.
#
# Seen: the converter crops the centre to the aspect ratio of `image_size`. Of a 640 x 480 image for 800 x 800 it cuts off 80
# pixels left and right. Boxes there get the label -1, so they are not trained, and boxes that are cut keep their label.
# In this mode boxes lie up to one pixel beside their objects. `pad_to_aspect_ratio=True` with
# `crop_to_aspect_ratio=False`, which the presets store, gives the letterbox and exact boxes.
#
# Why it matters: who builds a detector from a backbone and this converter instead of a preset trains and measures on the
# middle of the images; a quarter of a 640 x 480 image is never seen, and no message says so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet keras-hub==0.32.0 keras==3.15.1 tensorflow==2.21.0
TF_CPP_MIN_LOG_LEVEL=3 CUDA_VISIBLE_DEVICES=-1 "$folder/venv/bin/python" - <<'PY'
import keras_hub
import numpy as np

image = np.zeros((1, 480, 640, 3), np.float32)
image[0, 96:192, 128:320] = 255  # the object of the first box; the others lie at the left, at the right, and are cut
BOXES = np.float32([[[128, 96, 320, 192], [0, 10, 60, 50], [620, 400, 640, 480], [40, 40, 120, 120]]])
LABELS = np.float32([[1, 2, 3, 4]])


def converted(size, **arguments):
    converter = keras_hub.layers.RetinaNetImageConverter(size, bounding_box_format="xyxy", **arguments)
    boxes = {"boxes": BOXES.copy(), "labels": LABELS.copy()}
    answer = converter({"images": image.copy(), "bounding_boxes": boxes})
    rows, columns = np.nonzero(np.asarray(answer["images"])[0, :, :, 0] > 127)
    seen = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    boxes, labels = (np.asarray(answer["bounding_boxes"][name])[0] for name in ("boxes", "labels"))
    print(size, arguments or "defaults", "labels", labels.tolist(), "object", list(map(int, seen)), "box", boxes[0].round(2))
    return labels.tolist(), np.abs(boxes[0] - seen).max()


labels, _ = converted((800, 800))
assert labels == [1, -1, -1, 4], labels
labels, error = converted((800, 1333))
assert labels == [1, 2, 3, 4] and 0.9 < error < 1, (labels, error)
labels, error = converted((800, 800), crop_to_aspect_ratio=False, pad_to_aspect_ratio=True)
assert labels == [1, 2, 3, 4] and error < 0.01, (labels, error)
PY
