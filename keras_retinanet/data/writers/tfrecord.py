"""Writes TFRecords of the TF Object Detection API: `<set>.tfrecord-00000-of-00004` …, `label_map.pbtxt`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from keras_retinanet.data.datasets.shared.label_map import write_label_map
from keras_retinanet.data.writers.jobs import (
    Omission,
    OutputSplit,
    ProgressCallback,
    WriteJob,
    image_bytes,
    image_suffix,
)
from keras_retinanet.schema import Sample

_FORMATS = {".jpg": b"jpeg", ".png": b"png", ".gif": b"gif", ".bmp": b"bmp", ".webp": b"webp"}


def write_job(job: WriteJob, progress: ProgressCallback) -> None:
    """Write one file: the images of the job with their annotations."""
    file = Path(job.folder) / f"{job.split.name}.tfrecord-{job.number:05}-of-{job.count:05}"
    with tf.io.TFRecordWriter(str(file)) as writer:
        for position, sample in enumerate(job.split.samples):
            example = _example(sample, job.split.names[position], job.split)
            writer.write(example.SerializeToString())
            progress(1)


def write_index(folder: Path, splits: list[OutputSplit], images: str) -> None:
    """Write the label map."""
    del images
    write_label_map(folder / "label_map.pbtxt", dict(zip(splits[0].category_ids, splits[0].class_names, strict=True)))


def omissions(splits: list[OutputSplit]) -> list[Omission]:
    """None: `is_crowd` represents ignore regions."""
    del splits
    return []


def _example(sample: Sample, name: str, split: OutputSplit) -> Any:
    encoded = image_bytes(sample)
    height, width = sample["size"]
    shares = sample["boxes"].astype(np.float64) / [width, height, width, height]
    labels = sample["labels"].tolist()
    features = {
        "image/height": _integers([height]),
        "image/width": _integers([width]),
        "image/filename": _texts([name]),
        "image/source_id": _texts([str(sample["image_id"])]),
        "image/encoded": tf.train.Feature(bytes_list=tf.train.BytesList(value=[encoded])),
        "image/format": tf.train.Feature(bytes_list=tf.train.BytesList(value=[_FORMATS[image_suffix(encoded)]])),
        "image/object/class/text": _texts(split.class_names[label] for label in labels),
        "image/object/class/label": _integers(split.category_ids[label] for label in labels),
        "image/object/is_crowd": _integers(int(flag) for flag in sample["ignore"]),
    }
    for column, side in enumerate(("xmin", "ymin", "xmax", "ymax")):
        features[f"image/object/bbox/{side}"] = _floats(shares[:, column])
    if "areas" in sample:
        features["image/object/area"] = _floats(sample["areas"])
    return tf.train.Example(features=tf.train.Features(feature=features))


def _integers(values: Iterable[int]) -> Any:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=list(values)))


def _floats(values: Iterable[float]) -> Any:
    return tf.train.Feature(float_list=tf.train.FloatList(value=list(values)))


def _texts(values: Iterable[str]) -> Any:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value.encode() for value in values]))
