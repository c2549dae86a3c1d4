"""Opens snapshots. Importing this module registers every class of a snapshot for `keras.models.load_model`."""

from __future__ import annotations

import zipfile
from pathlib import Path

import keras

from keras_retinanet.geometry.default_boxes import DefaultBoxes
from keras_retinanet.model.detection_model import DetectionModel
from keras_retinanet.model.fpn import FeaturePyramid
from keras_retinanet.model.retinanet import RetinaNet
from keras_retinanet.model.ssd_neck import SsdNeck
from keras_retinanet.model.ssdlite_head import LiteHead
from keras_retinanet.model.ssdlite_neck import SsdLiteNeck
from keras_retinanet.optimizers.averaging import AveragedAdam, AveragedAdamW, AveragedMuon, AveragedSGD
from keras_retinanet.optimizers.muon import ConvolutionMuon
from keras_retinanet.optimizers.schedules import WarmupSchedule

SNAPSHOT_CLASSES = (
    FeaturePyramid, SsdNeck, SsdLiteNeck, LiteHead, DefaultBoxes, ConvolutionMuon, AveragedSGD, AveragedAdam,
    AveragedAdamW, AveragedMuon, WarmupSchedule,
)  # fmt: skip
"""Classes that a snapshot may hold and `RetinaNet` does not import; imported here so that Keras finds them."""

__all__ = ["SNAPSHOT_CLASSES", "DetectionModel", "load_model"]


def load_model(path: str | Path, compile: bool = True) -> RetinaNet | DetectionModel:
    """Opens a snapshot in any process.

    Args:
        path: A `.keras` file written by training or by `model.save`.
        compile: Restore the optimizer too. Defaults to `True`.

    Returns:
        The model as it was saved.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is not a snapshot of this package.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no snapshot {str(path)!r}.")
    if not zipfile.is_zipfile(path):
        raise ValueError(
            f"{str(path)!r} is not a snapshot, or is damaged: a .keras file is a ZIP archive. Copy it again."
        )
    try:
        model = keras.models.load_model(path, compile=compile)
    except Exception as error:  # Keras, h5py and zipfile raise a dozen kinds on damaged files
        raise ValueError(f"{str(path)!r} cannot be opened as a snapshot: {error}") from error
    if not isinstance(model, (RetinaNet, DetectionModel)):
        raise ValueError(f"{str(path)!r} holds a {type(model).__name__}, not a RetinaNet.")
    return model
