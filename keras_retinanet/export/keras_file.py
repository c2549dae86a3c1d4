"""The inference model as one Keras file: network input in, detections in its pixels out."""

from __future__ import annotations

import os
from pathlib import Path

from keras_retinanet.inference import DetectionModel


def export_keras(detector: DetectionModel, out: Path) -> Path:
    """Write the inference model, to be opened by `keras_retinanet.load_model`.

    Args:
        detector: The model, with the thresholds that it keeps.
        out: A file that ends in `.keras`; replaced if it is there.

    Returns:
        The file.

    Raises:
        ValueError: The name does not end in `.keras`.
    """
    if out.suffix != ".keras":
        raise ValueError(f"The keras format is a file that ends in .keras; got {str(out)!r}.")
    out.parent.mkdir(parents=True, exist_ok=True)
    aside = out.with_name(f".{out.stem}.writing.keras")
    try:
        detector.save(aside)
        os.replace(aside, out)
    finally:
        aside.unlink(missing_ok=True)
    return out
