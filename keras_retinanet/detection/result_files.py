"""Writes detections as COCO results, CSV, YOLO's text files, pictures and videos.

Each writer takes images one by one, so that memory does not grow with their number, and moves its file into place when
it is closed.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from keras_retinanet.detection.video import VideoWriter
from keras_retinanet.drawing.visualize import draw_detections
from keras_retinanet.schema import DetectedImage
from keras_retinanet.snapshots.atomic_files import naming, remove, write_whole

_JPEG_QUALITY = 92
_COMPACT = json.JSONEncoder(separators=(",", ":"))


class Writer(Protocol):
    """Writes the detections of many images in one format."""

    def add(self, name: str, found: DetectedImage) -> None:
        """Writes one image.

        Args:
            name: Relative path of the image, with its suffix, unique among the images.
            found: Detections of the image.
        """

    def close(self) -> list[Path]:
        """Completes the output.

        Returns:
            Paths of the files or folders.
        """


class ResultFile(Writer, Protocol):
    """Writes a file that appears when it is complete."""

    def discard(self) -> None:
        """Ends without the file; one of an earlier run stays.

        Pictures and text files of single images, which are whole each, stay, too.
        """


def number_of(name: str) -> int | None:
    """The number that is the name of an image file without folder and suffix: 139 of `a/000000000139.jpg`.

    Args:
        name: The name.

    Returns:
        The number, or `None`.
    """
    last = name[name.rfind("/") + 1 :]  # a `Path` for each image takes long
    dot = last.rfind(".")
    stem = last[:dot] if 0 < dot < len(last) - 1 else last
    return int(stem) if stem.isascii() and stem.isdecimal() else None


class CocoResults:
    """COCO results, one list of `{"image_id", "category_id", "bbox": [x, y, width, height], "score"}`.

    `COCO.loadRes` reads it. A second file, `<stem>_images.json`, lists the images (id, file name, size) and the
    categories in the form of COCO annotations, from which the `COCO` object is created. Category ids are label + 1.

    Args:
        path: Path of the file; its folder is created if absent.
        class_names: Names of the labels.
        find_id: Image name → id. Images for which it is `None` get 1, 2, … in the order of `add`, the default for all.
    """

    def __init__(
        self, path: Path, class_names: Sequence[str], find_id: Callable[[str], int | None] = lambda _: None
    ) -> None:
        self._find_id, self._num_images = find_id, 0
        categories = json.dumps([{"id": k + 1, "name": name} for k, name in enumerate(class_names)], ensure_ascii=False)
        end = f'\n], "categories": {categories}, "annotations": []}}\n'
        self._images = _Lines(path.with_name(f"{path.stem}_images.json"), '{"images": [\n', ",\n", end)
        self._lines = _Lines(path, "[\n", ",\n", "\n]\n")

    def add(self, name: str, found: DetectedImage) -> None:
        """Writes one image; see `Writer`."""
        self._num_images += 1
        own_id = self._find_id(name)
        image_id = self._num_images if own_id is None else own_id
        height, width = found.size or (0, 0)
        image = {"id": image_id, "file_name": name, "width": width, "height": height}
        self._images.add(json.dumps(image, ensure_ascii=False))
        corners = np.asarray(found.boxes, np.float64)
        boxes = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1).round(2).tolist()
        scores, labels = np.asarray(found.scores, np.float64).tolist(), np.asarray(found.labels).tolist()
        records = [
            {"image_id": image_id, "category_id": label + 1, "bbox": box, "score": round(score, 5)}
            for box, score, label in zip(boxes, scores, labels, strict=True)
        ]
        if records:  # encoded together: one by one takes five times as long
            self._lines.add(_COMPACT.encode(records)[1:-1].replace("},{", "},\n{"))

    def close(self) -> list[Path]:
        """Completes both files; see `Writer`."""
        try:
            return [self._lines.close(), self._images.close()]
        except BaseException:
            self._images.discard()
            raise

    def discard(self) -> None:
        """Ends without the files; see `ResultFile`."""
        self._lines.discard()
        self._images.discard()


class CsvTable:
    """Lines `image,x1,y1,x2,y2,class,score`; an image without boxes is `image,,,,,,`.

    The `csv` data set format reads it, so that boxes can be corrected and trained on.

    Args:
        path: Path of the file; its folder is created if absent. Image paths are written relative to it.
    """

    def __init__(self, path: Path) -> None:
        self._lines = _Lines(path, "", "", "")
        self._folder = path.parent
        self._table = csv.writer(self._lines, lineterminator="\n")
        self._table.writerow(["image", "x1", "y1", "x2", "y2", "class", "score"])

    def add(self, name: str, found: DetectedImage) -> None:
        """Writes one image; see `Writer`."""
        image = os.path.relpath(found.image, self._folder) if os.path.isfile(found.image) else name
        boxes = np.asarray(found.boxes, np.float64).round(2).tolist()
        for box, score, label in zip(boxes, found.scores, found.names, strict=True):
            self._table.writerow([image, *box, label, round(float(score), 5)])
        if not boxes:
            self._table.writerow([image, *[""] * 6])

    def close(self) -> list[Path]:
        """Completes the file; see `Writer`."""
        return [self._lines.close()]

    def discard(self) -> None:
        """Ends without the file; see `ResultFile`."""
        self._lines.discard()


class YoloFolder:
    """One text file per image with lines `label x y width height score`: centre and sides as fractions of the image.

    `classes.txt` has one class name per line, in the order of the labels. An image without boxes gets an empty file.

    Args:
        folder: The folder, created if absent.
        class_names: Names of the labels.
    """

    def __init__(self, folder: Path, class_names: Sequence[str]) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        _write_text(folder / "classes.txt", "".join(f"{name}\n" for name in class_names))

    def add(self, name: str, found: DetectedImage) -> None:
        """Writes one image; see `Writer`."""
        height, width = found.size or (1, 1)
        boxes = np.asarray(found.boxes, np.float64) / [width, height, width, height]
        middles, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
        lines = [
            f"{int(label)} {x:.6f} {y:.6f} {w:.6f} {h:.6f} {float(score):.5f}\n"
            for label, (x, y), (w, h), score in zip(found.labels, middles, sides, found.scores, strict=True)
        ]
        path = (self._folder / name).with_suffix(".txt")
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_text(path, "".join(lines))

    def close(self) -> list[Path]:
        """Nothing is open; see `Writer`."""
        return [self._folder]

    def discard(self) -> None:
        """Each image has a file of its own, which stays; see `ResultFile`."""


class PictureFolder:
    """The images with their boxes drawn, as JPEG.

    Args:
        folder: The folder, created if absent.
        class_names: Names of the labels; each has its own colour.
    """

    def __init__(self, folder: Path, class_names: Sequence[str]) -> None:
        self._folder, self._class_names = folder, class_names
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, name: str, found: DetectedImage) -> None:
        """Writes one image, which must contain its pixels; see `Writer`."""
        drawn = _draw(found, self._class_names)
        path = (self._folder / name).with_suffix(".jpg")
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(drawn)
        write_whole(path, lambda place: picture.save(place, quality=_JPEG_QUALITY, subsampling=0))

    def close(self) -> list[Path]:
        """Nothing is open; see `Writer`."""
        return [self._folder]

    def discard(self) -> None:
        """Each image has a picture of its own, which stays; see `ResultFile`."""


class AnnotatedVideo:
    """Images with their boxes drawn, as an MP4 video.

    Args:
        path: Path of the file; its folder is created if absent.
        rate: Frames per second.
        class_names: Names of the labels; each has its own colour.
    """

    def __init__(self, path: Path, rate: Fraction, class_names: Sequence[str]) -> None:
        self._path, self._class_names = path, class_names
        self._video = VideoWriter(path, rate)

    def add(self, name: str, found: DetectedImage) -> None:
        """Writes the next frame; see `Writer`."""
        del name
        self._video.add(_draw(found, self._class_names))

    def close(self) -> list[Path]:
        """Ends the file; see `Writer`."""
        self._video.close()
        return [self._path]

    def discard(self) -> None:
        """Ends without the file; see `ResultFile`."""
        self._video.discard()


def _draw(found: DetectedImage, class_names: Sequence[str]) -> Any:
    height, width = found.pixels.shape[:2]
    scale = np.array([width, height]) / (found.size or (height, width))[::-1]  # below 1 if a large image was reduced
    return draw_detections(found.pixels, found.boxes * np.tile(scale, 2), found.labels, found.scores, class_names)


def _write_text(path: Path, text: str) -> None:
    write_whole(path, lambda place: place.write_text(text, encoding="utf-8"))


class _Lines:
    """A text file, written under a temporary name and moved into place when it is complete."""

    def __init__(self, path: Path, head: str, between: str, tail: str) -> None:
        self._path, self._between, self._tail = path, between, tail
        self._temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
        with naming(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="")
        self._file.write(head)
        self._is_first = True

    def add(self, text: str) -> None:
        with naming(self._path):
            self._file.write(text if self._is_first else self._between + text)
        self._is_first = False

    write = add  # what csv.writer calls

    def close(self) -> Path:
        """Writes the end of the file and moves it into place."""
        try:
            with naming(self._path):
                with self._file:
                    self._file.write(self._tail)
                os.replace(self._temporary, self._path)
        finally:
            remove(self._temporary)
        return self._path

    def discard(self) -> None:
        """Removes what was written, unless the file is in its place."""
        with contextlib.suppress(OSError):
            self._file.close()
        remove(self._temporary)
