"""Detects objects in images of any form, with a snapshot, a model in memory or an exported artefact."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args

import numpy as np

from keras_retinanet.config import ExifFrame, TileConfig, ViewConfig, Winograd
from keras_retinanet.config.near_names import nearest_name
from keras_retinanet.data.given_images import GivenImage, LoadedImage, expand, load, load_ahead
from keras_retinanet.detection.batches_in_order import BatchesInOrder, PendingImage
from keras_retinanet.detection.tiling import TiledRuntime
from keras_retinanet.detection.views import ViewsRuntime
from keras_retinanet.runtimes import Runtime
from keras_retinanet.runtimes.open_model import open_model, with_thresholds
from keras_retinanet.runtimes.stricter_runtime import with_threshold_file
from keras_retinanet.schema import DetectedImage, Detections, Size

OnError = Literal["raise", "skip"]
_BATCHES_AHEAD = 3  # batches of decoded images that may wait for others of their batch shape


def detect(model: Any, image: Any, **settings: Any) -> DetectedImage:
    """Find the objects in one image. The model stays open for the next call; for many images `Detector` is faster.

    Args:
        model: As for `Detector`.
        image: Path or bytes of an image file; uint8 array `(H, W, 3)` RGB, `(H, W, 4)`, `(H, W, 1)` or `(H, W)`; or a
            Pillow image. An EXIF orientation is applied, unless the model's rule or `exif` says otherwise: boxes refer
            to the image as it is shown.
        **settings: Those of `Detector`, such as `score_threshold=0.5`.

    Returns:
        `DetectedImage`: boxes in pixels of the image, scores, labels and class names, best first.

    Raises:
        ValueError: The image cannot be read, the model cannot be opened, or a setting is not possible with it.
        FileNotFoundError: The model does not exist.

    Example:
        >>> found = keras_retinanet.detect("snapshots/RUN", "street.jpg", score_threshold=0.5)
        >>> found.names, found.boxes
    """
    return _LAST.get(model, settings).detect_one(image)


class _LastDetector:
    """Keeps the detector of the last call of `detect`: opening a model and its first image take seconds."""

    def __init__(self) -> None:
        self._model: Any = None
        self._key: Any = None
        self._detector: Detector | None = None

    def get(self, model: Any, settings: dict[str, Any]) -> Detector:
        """The detector of a model; a new one is opened if the model, its file or the settings have changed.

        Args:
            model: As for `Detector`.
            settings: Keyword arguments of `Detector`.

        Returns:
            The detector, which is kept until another one is opened.
        """
        key = (_state_of(model), settings)
        is_same_model = isinstance(model, (str, os.PathLike)) or self._model is model
        if self._detector is None or not is_same_model or self._key != key:
            self._detector = Detector(model, **settings)
            self._model, self._key = model, key
        return self._detector


_LAST = _LastDetector()


def _state_of(model: Any) -> Any:
    """A value that changes when a file, or a setting of a model in memory, changes."""
    if not isinstance(model, (str, os.PathLike)):
        names = ("filter_config", "resize_config", "filter", "resize")  # of a model, of a runtime
        return [getattr(model, name, None) for name in names]
    path = Path(model).absolute()
    parts = [path, *path.glob("*")] if path.is_dir() else [path]
    return [(part, part.stat().st_mtime_ns, part.stat().st_size) for part in sorted(parts) if part.exists()]


class Detector:
    """Finds objects in any number of images, and keeps the model open.

    Args:
        model: Path of a snapshot, of a run's folder (its `best.keras`, else its `last.keras`), of another library's
            checkpoint or of an exported artefact; or a `RetinaNet`, `DetectionModel` or `Runtime`.
        score_threshold: In `0 … 1`; boxes with this score or a lower one are dropped. Defaults to the model's own.
        nms_threshold: IoU in `0 … 1` above which the lower scored of two boxes is removed. Defaults to the model's own.
        max_detections: Maximum number of boxes per image. Defaults to the model's own; with tiles, to no limit.
        classes: Class names. Boxes of other classes are dropped. Defaults to all classes.
        batch_size: Images (or tiles) per batch. Defaults to 4.
        tiles: A `TileConfig`, or the side of the tiles in pixels. Defaults to no tiles.
        views: A `ViewConfig`: detect in mirrored and resized views too, and fuse their boxes. Defaults to one view.
        exif: `"apply"` turns images upright by their EXIF orientation, `"ignore"` leaves them as stored. Defaults to
            the rule of the model.
        workers: Threads that read and decode. Defaults to the number of cores, at most eight.
        thresholds: File of `retinanet-evaluate --save-thresholds`, with the score threshold of each class and the
            calibration of scores. Defaults to the model's own.
        winograd: `"auto"` lets a snapshot in float32 on a CPU compute large 3x3 convolutions by Winograd's algorithm,
            a ResNet-50 in about 0.7 of the time; see `winograd.use_winograd`. A model in memory is not
            changed. Defaults to `"off"`: the convolutions that the model has.

    Raises:
        ValueError: The model cannot be opened, or a setting is not possible with it: the thresholds of an exported
            artefact are built in, so it cannot return boxes of lower scores, or more boxes.
        FileNotFoundError: There is no such model.

    Example:
        >>> detector = keras_retinanet.Detector("snapshots/RUN", score_threshold=0.5)
        >>> for found in detector.detect("photos/*.jpg"):
        ...     print(found.image, found.names)
    """

    def __init__(
        self,
        model: Any,
        *,
        score_threshold: float | None = None,
        nms_threshold: float | None = None,
        max_detections: int | None = None,
        classes: Sequence[str] | None = None,
        batch_size: int = 4,
        tiles: TileConfig | int | None = None,
        views: ViewConfig | None = None,
        exif: ExifFrame | None = None,
        workers: int | None = None,
        thresholds: str | os.PathLike[str] | None = None,
        winograd: Winograd = "off",
    ) -> None:
        opened = open_model(model)
        runtime = with_threshold_file(opened, thresholds)
        if winograd not in get_args(Winograd):
            raise ValueError(f"winograd must be one of {', '.join(map(repr, get_args(Winograd)))}, not {winograd!r}.")
        if winograd != "off":  # a model in memory may have chosen it by itself
            runtime = runtime.with_winograd()
        wanted = {"score_threshold": score_threshold, "nms_threshold": nms_threshold, "max_detections": max_detections}
        changes = {name: value for name, value in wanted.items() if value is not None}
        _check_ranges(changes, batch_size)
        if exif not in (None, *get_args(ExifFrame)):
            raise ValueError(f"exif must be one of {', '.join(map(repr, get_args(ExifFrame)))}, not {exif!r}.")
        if not isinstance(views, (ViewConfig, NoneType)):
            raise TypeError(f"views must be a ViewConfig, such as ViewConfig(scales=(1.0,)), not {views!r}.")
        tiles = TileConfig(tiles) if isinstance(tiles, int) else tiles
        self._least_scores = np.full(len(runtime.class_names), score_threshold or 0.0, np.float32)
        if views is not None:  # thresholds of classes and of files are for the fused scores, too
            self._least_scores = np.array(_own_thresholds(runtime, score_threshold), np.float32)
            runtime = _without_thresholds(runtime, opened)
        self.runtime: Runtime = with_thresholds(
            runtime, changes, is_tiled=tiles is not None, is_fused=views is not None
        )
        if views is not None:
            self.runtime = ViewsRuntime(self.runtime, views)
        self.class_names = runtime.class_names
        self._rule = dataclasses.replace(runtime.resize, exif=exif or runtime.resize.exif)
        self.max_detections = max_detections
        self._in_regions = tiles is not None
        if tiles is not None:
            self.runtime = TiledRuntime(self.runtime, tiles, batch_size)
            batch_size = 1
        elif max_detections is None:
            self.max_detections = runtime.filter.max_detections
        self.batch_size = batch_size
        self.workers = workers or min(8, os.cpu_count() or 1)
        self._labels = _labels_of(classes, self.class_names)

    def detect(
        self, images: Any, *, is_recursive: bool = False, on_error: OnError = "raise", keeps_pixels: bool = False
    ) -> Iterator[DetectedImage]:
        """Find the objects in many images; few of them are in memory at a time.

        Args:
            images: As for `detect`, or a folder, a pattern such as `"photos/*.jpg"`, or any iterable of all these.
            is_recursive: Search the subfolders of folders, too. Defaults to `False`.
            on_error: `"raise"` the error of an image when its turn comes, or `"skip"` the image: its entry has no
                boxes, and the message in `error`.
            keeps_pixels: Return the pixels of each image with its boxes. Defaults to `False`.

        Returns:
            One `DetectedImage` per image, in the order given.

        Raises:
            ValueError: A folder or pattern has no images; `on_error` is neither of the two; while iterating, an image
                cannot be read.
        """
        if on_error not in get_args(OnError):
            raise ValueError(f"on_error must be one of {', '.join(map(repr, get_args(OnError)))}, not {on_error!r}.")
        return self._in_order(expand(images, is_recursive=is_recursive), on_error == "skip", keeps_pixels)

    def detect_one(self, image: Any) -> DetectedImage:
        """Find the objects in one image.

        Args:
            image: As for `detect`, the function.

        Returns:
            What was found.

        Raises:
            ValueError: The image cannot be read, or `image` is several images.
        """
        is_path = isinstance(image, (str, os.PathLike))
        if isinstance(image, (list, tuple)) or (is_path and Path(image).is_dir()):
            raise ValueError("This takes one image; for a folder, or several, use `Detector(model).detect(images)`.")
        given = GivenImage(str(image), image) if is_path else next(iter(expand([image])))
        return self._run([self._pending(0, given.name, load(given, self._rule, in_regions=self._in_regions))])[0]

    def _in_order(self, given: Iterable[GivenImage], is_lenient: bool, keeps_pixels: bool) -> Iterator[DetectedImage]:
        """Reads, prepares and detects in threads, while the caller uses what was found."""
        loaded_images = load_ahead(given, self.workers, self.batch_size, self._rule, in_regions=self._in_regions)
        with BatchesInOrder(self._run, keeps_pixels=keeps_pixels) as batches:
            groups: dict[Size, list[PendingImage]] = {}
            for position, (image, loaded, error) in enumerate(loaded_images):
                if loaded is None:
                    assert error is not None
                    batches.fail(position, image.name, error)
                else:
                    pending = self._pending(position, image.name, loaded)
                    group = groups.setdefault(pending.fit.batch_shape, [])
                    group.append(pending)
                    if len(group) == self.batch_size:
                        batches.submit(groups.pop(pending.fit.batch_shape))
                first = min(groups.values(), key=lambda group: group[0].position, default=None)
                if first and position - first[0].position + 1 >= _BATCHES_AHEAD * self.batch_size:
                    batches.submit(groups.pop(first[0].fit.batch_shape))
                yield from batches.take(is_lenient)
            for group in groups.values():
                batches.submit(group)
            yield from batches.take(is_lenient, most_in_flight=0)

    def _pending(self, position: int, name: str, loaded: LoadedImage) -> PendingImage:
        height, width = loaded.pixels.shape[:2]
        fit = self.runtime.fit(int(height), int(width))
        return PendingImage(position, name, loaded.pixels, fit, loaded.is_cut_off)

    def _run(self, group: list[PendingImage]) -> list[DetectedImage]:
        images, fits = [pending.pixels for pending in group], [pending.fit for pending in group]
        batch = self.runtime.detect(images, fits, batch_size=self.batch_size)
        return [self._select(one, found) for one, found in zip(group, batch, strict=True)]

    def _select(self, one: PendingImage, found: Detections) -> DetectedImage:
        """The detections that the settings ask for."""
        keep = found["scores"] > self._least_scores[found["labels"]]
        if self._labels is not None:
            keep &= np.isin(found["labels"], self._labels)
        kept = np.flatnonzero(keep)[: self.max_detections]
        labels = found["labels"][kept]
        return DetectedImage(
            image=one.name,
            size=one.fit.original,
            boxes=found["boxes"][kept],
            scores=found["scores"][kept],
            labels=labels,
            names=tuple(self.class_names[label] for label in labels),
            is_cut_off=one.is_cut_off,
        )


def _check_ranges(changes: dict[str, Any], batch_size: int) -> None:
    for name, value in (changes | {"batch_size": batch_size}).items():
        if name.endswith("threshold") and not 0 <= value <= 1:
            raise ValueError(f"{name} is from 0 to 1, not {value!r}.")
        if not name.endswith("threshold") and (value < 1 or value != int(value)):
            raise ValueError(f"{name} must be a whole number, at least 1, not {value!r}.")


def _own_thresholds(runtime: Runtime, asked: float | None) -> tuple[float, ...]:
    own = runtime.filter.class_thresholds or (runtime.filter.score_threshold,) * len(runtime.class_names)
    return own if asked is None else (asked,) * len(own)


def _without_thresholds(runtime: Runtime, opened: Runtime) -> Runtime:
    """The runtime for one of several views, as the model was opened but for a calibration of a file."""
    loose = dataclasses.replace(runtime.filter, score_threshold=opened.filter.score_threshold, class_thresholds=())
    return runtime.with_filter(loose) or opened


def _labels_of(classes: Sequence[str] | None, class_names: Sequence[str]) -> Any | None:
    if classes is None:
        return None
    for name in [classes] if isinstance(classes, str) else classes:
        if name not in class_names:
            near = nearest_name(str(name), class_names)
            meant = f" Did you mean {near!r}?" if near else ""
            raise ValueError(f"The model has no class {name!r}; it has {_join_names(class_names)}.{meant}")
    return np.array([class_names.index(name) for name in ([classes] if isinstance(classes, str) else classes)])


def _join_names(names: Sequence[str], limit: int = 12) -> str:
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")
