"""The inference model as one Keras file: network input in, detections in its pixels out."""

from __future__ import annotations

from pathlib import Path

from keras_retinanet.inference import DetectionModel
from keras_retinanet.runs import write_whole


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
    write_whole(out, detector.save)
    return out
