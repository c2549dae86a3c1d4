"""A few images with what a model finds in them, so that a run can be judged at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from keras_retinanet.config import ResizeConfig
from keras_retinanet.data.bad_images import BadImages
from keras_retinanet.data.sample_table import SampleTable
from keras_retinanet.drawing.visualize import contact_sheet, draw_detections
from keras_retinanet.schema import Detections, Sample
from keras_retinanet.snapshots.atomic_files import write_whole

COUNT, COLUMNS = 12, 4
MIN_SCORE = 0.3
"""Less sure detections are not drawn."""


def draw_examples(
    samples: Sequence[Sample],
    found: Sequence[Detections],
    class_names: Sequence[str],
    resize: ResizeConfig,
    path: Path,
    bad_images: BadImages | None = None,
) -> None:
    """Draws the detections of the first images on one sheet, in the size in which the network sees them.

    Args:
        samples: Images; the first twelve are taken.
        found: The detections of each.
        class_names: Names of the labels.
        resize: The model's rule.
        path: The JPEG or PNG file.
        bad_images: Takes account of images that cannot be decoded. Defaults to `None`: such an image is an error.
    """
    table = SampleTable(samples[:COUNT], resize, bad_images)
    drawn = []
    for index in range(len(table)):
        detections, scale = found[index], np.asarray(table.scale(index))
        boxes, labels = detections["boxes"] * scale[[1, 0, 1, 0]], detections["labels"]
        image = np.asarray(table.load_image(index))
        drawn.append(
            draw_detections(image, boxes, labels, detections["scores"], class_names, score_threshold=MIN_SCORE)
        )
    sheet = contact_sheet(drawn, COLUMNS)
    write_whole(path, lambda temporary: Image.fromarray(sheet).save(temporary))
