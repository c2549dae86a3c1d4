"""Detections of the validation images by all processes, gathered in the first."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from keras_retinanet.data.pipeline import InferenceBatches
from keras_retinanet.evaluation import detect_dataset
from keras_retinanet.evaluation.detections import Detector
from keras_retinanet.schema import Detections, Sample
from keras_retinanet.training.callbacks import GivenUpError
from keras_retinanet.training.devices import Devices

NAMES: tuple[Literal["boxes", "scores", "labels"], ...] = ("boxes", "scores", "labels")


def detect_shared(
    model: Detector,
    batches: InferenceBatches,
    samples: Sequence[Sample],
    progress: Callable[[int], None],
    devices: Devices,
) -> Sequence[Detections] | None:
    """Detects objects in every image; each process in its batches.

    Args:
        model: The detector.
        batches: Those of all images.
        samples: The images.
        progress: Called after each batch with the number of its images.
        devices: Those that train.

    Returns:
        The detections of all images in the first process, `None` in the others.

    Raises:
        GivenUpError: A signal came to one of the processes.
    """
    processes = devices.processes
    if processes.count == 1:
        return detect_dataset(model, batches, samples, progress=progress)
    left_out = batches.outside(devices.share)
    try:
        own = detect_dataset(model, batches, samples, progress=progress, left_out=left_out, full=batches.largest)
        data = pack_detections(own)
    except GivenUpError:
        data = b""
    parts = processes.gather(data)
    if not processes.broadcast(lambda: all(parts)):
        raise GivenUpError
    if not processes.is_first:
        return None
    found: dict[int | str, Detections] = {}
    for index, part in enumerate(parts):
        outside = batches.outside(devices.share_of(index))
        ids = [sample["image_id"] for sample, is_other in zip(samples, outside, strict=True) if not is_other]
        found.update((one["image_id"], one) for one in unpack_detections(part, ids))
    return [found[sample["image_id"]] for sample in samples]


def pack_detections(found: Sequence[Detections]) -> bytes:
    """Detections as bytes.

    Args:
        found: Detections of some images.

    Returns:
        An `.npz` file, without the ids of the images.
    """
    file = io.BytesIO()
    arrays: dict[str, Any] = {"counts": np.array([len(one["scores"]) for one in found], np.int64)}
    for name in NAMES if found else ():
        arrays[name] = np.concatenate([np.asarray(one[name]) for one in found])
    np.savez(file, **arrays)
    return file.getvalue()


def unpack_detections(data: bytes, ids: Sequence[int | str]) -> list[Detections]:
    """The inverse of `pack_detections`.

    Args:
        data: Its bytes.
        ids: Ids of the images.

    Returns:
        The detections.
    """
    arrays = np.load(io.BytesIO(data), allow_pickle=False)
    ends = np.cumsum(arrays["counts"])[:-1]
    parts = {name: np.split(arrays[name], ends) for name in NAMES if name in arrays}
    return [
        {"image_id": image_id, "boxes": parts["boxes"][k], "scores": parts["scores"][k], "labels": parts["labels"][k]}
        for k, image_id in enumerate(ids)
    ]
