"""The images of a run: opened, checked, and reported before the first step."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from keras_retinanet.config import DataConfig
from keras_retinanet.data.bad_images import BadImages, CutOffImages
from keras_retinanet.data.data_summary import describe_data
from keras_retinanet.data.datasets import Dataset
from keras_retinanet.data.equal_files import describe_equal_files
from keras_retinanet.data.image_rule import exif_frame
from keras_retinanet.data.open_dataset import Split, has_validation, match_classes, open_dataset
from keras_retinanet.data.sample_checks import check_samples
from keras_retinanet.data.thumbnails import Thumbnails, describe_near_duplicates
from keras_retinanet.data.unused_folders import describe_unused_folders
from keras_retinanet.schema import Sample


@dataclass(frozen=True)
class RunData:
    """The images of a run.

    Attributes:
        samples: The training images.
        val_samples: The validation images, their labels in the order of `class_names`; `None` if nothing is measured.
        class_names: Names of the labels `0 … K-1`.
        description: What was opened, one line.
        bad_images: Counts images that cannot be decoded; `None` if such an image ends the run.
        cut_off: Counts JPEGs without their last bytes.
        messages: What the readers reported about their boxes, one line each.
        thumbnails: Of the training and of the validation images, kept as they are loaded.
    """

    samples: Sequence[Sample]
    val_samples: Sequence[Sample] | None
    class_names: Sequence[str]
    description: str
    bad_images: BadImages | None
    cut_off: CutOffImages
    messages: Sequence[str]
    thumbnails: tuple[Thumbnails, Thumbnails]

    def near_duplicates(self) -> list[str]:
        """Describes images that look the same, among those that were loaded so far."""
        parts = zip(("train", "val"), (self.samples, self.val_samples or ()), self.thumbnails, strict=True)
        return describe_near_duplicates(
            [(name, [sample["image"] for sample in own], kept) for name, own, kept in parts]
        )

    def report(self, log: Callable[[str], object]) -> None:
        """Logs what was opened, then what the readers reported.

        Args:
            log: Receives one line per message.
        """
        log(f"data: {self.description}")
        for message in self.messages:
            log(message)
        if self.val_samples is None:
            log(
                "validation: none, so nothing is measured and there will be no best.keras "
                "(--val-share 0.2 sets a fifth of the images aside)"
            )


def fingerprint(samples: Sequence[Sample]) -> dict[str, str]:
    """Fingerprints by which a resumed run knows its data, wherever they are stored.

    Args:
        samples: The training images.

    Returns:
        `"images"`: of their file names and order; `"boxes"`: of their boxes, labels and ignore regions.
    """
    images, boxes = hashlib.sha256(), hashlib.sha256()
    for sample in samples:
        images.update(os.path.basename(sample["image"]).encode("utf-8", "surrogateescape") + b"\n")
        boxes.update(np.asarray(sample["boxes"], np.float32).tobytes())
        boxes.update(np.asarray(sample["labels"], np.int32).tobytes() + np.asarray(sample["ignore"], bool).tobytes())
    return {"images": images.hexdigest()[:16], "boxes": boxes.hexdigest()[:16]}


def open_run_data(
    config: DataConfig,
    train_data: Dataset | None,
    val_data: Dataset | None,
    *,
    use_validation: bool,
    log: Callable[[str], object],
) -> RunData:
    """Opens the training and validation images of a run.

    Args:
        config: Which images.
        train_data: Images to learn from, in place of those that `config` names.
        val_data: Images to measure on, in place of those that `config` names.
        use_validation: Open the validation images.
        log: Receives the lines about images that turn out broken during the run.

    Returns:
        The images, with what the readers reported.

    Raises:
        ValueError: If a reader finds the data broken, or no class is known.
    """
    source = config if train_data is None else None
    train_data = open_dataset(config, "train") if train_data is None else train_data
    if not train_data.class_names:
        raise ValueError("The training images have no box, so no class is known: annotate some, or name the classes.")
    if use_validation and val_data is None and has_validation(config):
        val_data = open_dataset(config, "val", exif_fallback=exif_frame(train_data))
    samples, val_samples = list(train_data)[: config.limit], None
    check_samples(samples, train_data.class_names)
    if use_validation and val_data is not None:
        check_samples(list(val_data), val_data.class_names)
        val_samples = list(match_classes(list(val_data), val_data.class_names, train_data.class_names))
    opened = [train_data] if val_samples is None or val_data is None else [train_data, val_data]
    bad_images = BadImages(len(samples) + len(val_samples or ()), log) if config.bad_data == "skip" else None
    messages = [message for data in opened for message in _report_messages(data)]
    if source is not None and use_validation:
        unused = describe_unused_folders(source, (sample for data in opened for sample in data))
        messages += [f"note: {sentence}" for sentence in unused]
    files = {"train": samples, "val": val_samples or []}
    equal = describe_equal_files([(name, [sample["image"] for sample in own]) for name, own in files.items()])
    messages += [f"warning: {sentence}" for sentence in equal]
    splits: dict[Split, Sequence[Sample]] = {"train": samples} | ({} if val_samples is None else {"val": val_samples})
    description = describe_data(source, splits, train_data.class_names)
    cut_off = CutOffImages(log)
    thumbnails = Thumbnails(len(samples)), Thumbnails(len(val_samples or ()))
    return RunData(samples, val_samples, train_data.class_names, description, bad_images, cut_off, messages, thumbnails)


def _report_messages(data: Dataset) -> list[str]:
    warning = data.report.warning()
    return ([] if warning is None else [f"warning: {warning}"]) + [f"note: {note}" for note in data.report.notes]
