"""Requests that TensorFlow Serving replays when it loads a model, so that no user waits for the first request."""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf

from keras_retinanet.config import ResizeConfig
from keras_retinanet.data.batch_shapes import common_image_sizes
from keras_retinanet.serving.predict_messages import warmup_record

WARMUP = "tf_serving_warmup_requests"
"""In `assets.extra/`: a TFRecord of `PredictionLog`s; the server takes at most 1,000."""
BATCHES = (2, 4)
"""Images in the larger requests; every batch shape also has a request with one."""


def write_warmup(folder: Path, model: str, resize: ResizeConfig) -> Path:
    """Writes one request per batch shape of the common aspect ratios, and larger ones of the most common.

    Args:
        folder: The `assets.extra` of a SavedModel.
        model: Name of the model.
        resize: The rule that its graph applies.

    Returns:
        The file.
    """
    sizes = common_image_sizes(resize)
    requests = [(size, 1) for size in sizes] + [(sizes[0], count) for count in BATCHES]
    with tf.io.TFRecordWriter(str(folder / WARMUP)) as writer:
        for (height, width), count in requests:
            grey = tf.io.encode_jpeg(tf.fill((height, width, 3), tf.constant(127, tf.uint8))).numpy()
            writer.write(warmup_record(model, [grey] * count))
    return folder / WARMUP
