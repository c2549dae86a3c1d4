"""Runs the inference model over a data set and maps its boxes to the pixels of the image files."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from keras_retinanet.data.preparation import fill_batch, restore_detections
from keras_retinanet.evaluation.columns import Pairs, list_ids
from keras_retinanet.evaluation.detection_file import DetectionFile, StoredDetections
from keras_retinanet.schema import Detections, Sample

Array = NDArray[Any]


class Batches(Protocol):
    """The input of `detect_dataset`; satisfied by `data.pipeline.InferenceBatches`."""

    def dataset(self, *done: Any) -> Iterable[Any]:
        """Yields batches of images, with size, scale and index of each; `done` `(I,)` bool leaves images out."""


class Detector(Protocol):
    """The model of `detect_dataset`; satisfied by `inference.DetectionModel`."""

    def predict_on_batch(self, x: Any) -> dict[str, Any]:
        """Returns the detections of a batch as NumPy arrays.

        A model on several devices has `num_devices` and `predict_on_batches`, which takes a list of as many batches.
        """


def detect_dataset(
    model: Detector,
    batches: Batches,
    samples: Sequence[Sample],
    *,
    progress: Callable[[int], object] | None = None,
    file: DetectionFile | None = None,
    left_out: Any = None,
    full: int = 0,
) -> Sequence[Detections]:
    """Detects objects in every image of a data set.

    A batch smaller than an earlier one is filled up with copies, so that the model is not compiled for another size.

    Args:
        model: `inference.DetectionModel`.
        batches: `data.pipeline.InferenceBatches` over `samples`: `dataset()` yields images `(B, H, W, 3)` and
            `{"size": (B, 2) unpadded height and width, "original_size": (B, 2) of the stored image, "scale": (B, 2)
            network over stored pixels, vertical first, "image_index": (B,)}`.
        samples: The images, in the order to which `image_index` refers.
        progress: Called after each batch with the number of its images.
        file: Keeps the detections on disk; images whose detections it has are left out. Defaults to memory.
        left_out: `(I,)` bool. Images that another process measures; not with `file`. Defaults to none.
        full: Images to which every batch is filled up. Defaults to those of the largest batch so far.

    Returns:
        One `Detections` per sample that is not left out, with its `image_id`, in the order of `samples`; the order of
        boxes is the model's.

    Raises:
        ValueError: `batches` left out a sample.
    """
    found: dict[int, Detections] = {}
    done = file.done if file is not None and file.done.any() else left_out
    for batch, arrays in _detect_batches(model, batches.dataset(*([] if done is None else [done])), full):
        indices = arrays["image_index"].tolist()
        restored = [
            restore_detections(batch, row, scale=arrays["scale"][row], original=arrays["original_size"][row])
            for row in range(len(indices))
        ]
        if file is not None:
            file.add(zip(indices, restored, strict=True))
        else:
            found.update(zip(indices, restored, strict=True))
        if progress is not None:
            progress(len(indices))
    others = set() if left_out is None else set(np.flatnonzero(left_out).tolist())
    missing = [k for k in range(len(samples)) if k not in others and not (k in found if file is None else file.done[k])]
    if missing:
        first = samples[missing[0]]["image"]
        raise ValueError(f"the batches left out {len(missing)} of {len(samples)} images, the first is {first}")
    if file is not None:
        return file.detections(list_ids(samples))
    return [{"image_id": sample["image_id"], **found[k]} for k, sample in enumerate(samples) if k not in others]


def _detect_batches(
    model: Detector, dataset: Iterable[Any], full: int
) -> Iterator[tuple[dict[str, Any], dict[str, Array]]]:
    """Detections of each batch, with the sizes of its images; as many batches at once as the model has devices."""
    batches = iter(dataset)
    num_devices = getattr(model, "num_devices", 1)
    while group := list(itertools.islice(batches, num_devices)):
        inputs, origins = [], []
        for images, origin in group:
            arrays = {name: np.asarray(origin[name]) for name in ("size", "original_size", "scale", "image_index")}
            full = max(full, len(arrays["image_index"]))
            sizes = arrays["size"].astype(np.float32)
            inputs.append({"images": fill_batch(np.asarray(images), full), "sizes": fill_batch(sizes, full)})
            origins.append(arrays)
        is_single = num_devices == 1
        found = [model.predict_on_batch(inputs[0])] if is_single else model.predict_on_batches(inputs)  # type: ignore[attr-defined]
        yield from zip(found, origins, strict=True)


def pair_detections(samples: Sequence[Sample], detections: Sequence[Detections], num_classes: int) -> Pairs:
    """Pairs samples and detections by `image_id`.

    Args:
        samples: Annotated images.
        detections: Detections in any order; images without an entry have none.
        num_classes: int, `K`.

    Returns:
        Sample and detections of each image, in the order of `samples`.

    Raises:
        ValueError: An id occurs twice or belongs to no sample, lengths differ, or a label is not in `0 … K-1`.
    """
    ids = list_ids(samples)
    positions = np.arange(len(ids))
    if isinstance(detections, StoredDetections):  # of these samples, by the program itself
        return Pairs(samples, detections, positions, positions)
    by_id: dict[int | str, int] = {}
    for place, entry in enumerate(detections):
        if entry["image_id"] in by_id:
            raise ValueError(f"image {entry['image_id']!r} has two entries of detections; merge them into one")
        by_id[entry["image_id"]] = place
        _require_valid(entry, "detections", ("boxes", "scores", "labels"), num_classes)
    for sample in samples:
        _require_valid(sample, "annotations", ("boxes", "labels", "ignore"), num_classes)
    if len(set(ids)) < len(ids):
        raise ValueError("two samples have the same image_id")
    entries = np.array([by_id.pop(image_id, -1) for image_id in ids], np.int64)
    if by_id:
        raise ValueError(f"detections of image {next(iter(by_id))!r}, which is not among the {len(samples)} samples")
    return Pairs(samples, detections, positions, entries)


def _require_valid(entry: Any, what: str, names: tuple[str, ...], num_classes: int) -> None:
    """Requires arrays of equal length and labels in range."""
    lengths = {name: len(entry[name]) for name in names}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"{what} of image {entry['image_id']!r} differ in length: {lengths}")
    labels = np.asarray(entry["labels"])
    if labels.size and not 0 <= labels.min() <= labels.max() < num_classes:
        wrong = labels[(labels < 0) | (labels >= num_classes)][0]
        raise ValueError(f"{what} of image {entry['image_id']!r} have label {wrong}, allowed are 0 … {num_classes - 1}")
