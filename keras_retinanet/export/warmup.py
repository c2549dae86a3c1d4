"""Requests that TensorFlow Serving replays on loading a model, so that the first user need not wait."""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf

from keras_retinanet.config import ResizeConfig
from keras_retinanet.data.batch_shapes import common_image_sizes
from keras_retinanet.serving.predict_messages import warmup_record

WARMUP = "tf_serving_warmup_requests"
"""File in `assets.extra/`, a TFRecord of `PredictionLog`s; the server reads at most 1,000."""
BATCHES = (2, 4)
"""Batch sizes of the larger requests; every batch shape also has a request with one image."""


def write_warmup(folder: Path, model: str, resize: ResizeConfig) -> Path:
    """Writes one request per batch shape of the common aspect ratios, and larger ones for the most common.

    Args:
        folder: The `assets.extra` folder of a SavedModel.
        model: Name of the model.
        resize: The resize rule of its graph.

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
