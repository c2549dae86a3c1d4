"""A few images with what a model finds in them, so that a run can be judged at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from keras_retinanet.data.pipeline import InferenceBatches
from keras_retinanet.inference import DetectionModel
from keras_retinanet.runs import write_whole
from keras_retinanet.schema import Sample
from keras_retinanet.visualize import contact_sheet, draw_detections

COUNT, COLUMNS = 12, 4
MIN_SCORE = 0.3
"""Less sure detections are not drawn."""


def draw_examples(detector: DetectionModel, samples: Sequence[Sample], path: Path) -> None:
    """Draws the detections of the first images on one sheet, in the size in which the network sees them.

    Args:
        detector: DetectionModel.
        samples: Sequence. Images; the first twelve are taken.
        path: Path. The JPEG or PNG file.
    """
    model = detector.detector
    batches = InferenceBatches(samples[:COUNT], resize=model.resize, pad_value=model.pad_value, batch_size=1)
    drawn: dict[int, np.ndarray] = {}
    for images, origin in batches.dataset():
        pixels, sizes = np.asarray(images), np.asarray(origin["size"])
        found = detector.predict_on_batch({"images": pixels, "sizes": sizes})
        height, width = sizes[0].astype(int)
        image = pixels[0, :height, :width].round().clip(0, 255).astype(np.uint8)
        boxes, labels, scores = (found[name][0] for name in ("boxes", "labels", "scores"))
        drawn[int(origin["image_index"][0])] = draw_detections(
            image, boxes, labels, scores, detector.class_names, score_threshold=MIN_SCORE
        )
    sheet = contact_sheet([drawn[index] for index in sorted(drawn)], COLUMNS)
    write_whole(path, lambda temporary: Image.fromarray(sheet).save(temporary))
