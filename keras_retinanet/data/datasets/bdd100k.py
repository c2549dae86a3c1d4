"""BDD100K and other files in the format of Scalabel: a list of frames."""

from __future__ import annotations

import collections
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keras_retinanet.data.datasets.shared.folder_contents import files_ending
from keras_retinanet.data.datasets.shared.json_lines import annotated_size, members
from keras_retinanet.data.datasets.shared.list_reader import ListedImage, ListReader
from keras_retinanet.data.datasets.shared.listed_boxes import ListedBox, parse_boxes
from keras_retinanet.data.datasets.shared.outlines import box_of_segmentation
from keras_retinanet.data.datasets.shared.split_names import split_in
from keras_retinanet.data.datasets.shared.text_files import read_text
from keras_retinanet.data.errors import DataError, short_repr

_KIND = "a list of frames [{'name': …, 'labels': [{'category': …, 'box2d': {'x1': …}}]}], or {'frames': […]}"
_BOX = "{'category': …, 'box2d': {'x1': …, 'y1': …, 'x2': …, 'y2': …}}"
_LIST = re.compile(rb'\[\s*\{\s*"')
_FRAMES = re.compile(rb'\{\s*"(?:frames|config|groups)"\s*:')
_IMAGE = re.compile(rb'\{\s*"(?:name|attributes)"\s*:.*?"frames"\s*:', re.DOTALL)
_CROWD = ("crowd", "ignored")


class Bdd100kDataset(ListReader):
    """BDD100K's labels of detection and tracking, and Scalabel's files: frames with `box2d`.

    Reads `labels/det_20/det_<set>.json`, `bdd100k_labels_images_<set>.json`, and files `{"frames": […]}`; a folder of
    one file per image (`labels/100k/<set>/`) or video (`labels/box_track_20/<set>/`) is one set. The images are in
    `images/100k/<set>/` or in the other usual places. `box2d` are edges as stored; Scalabel's own conversion to COCO
    adds a pixel to width and height. Boxes with the attribute `crowd` or `ignored` become ignore regions. Lanes and
    areas of files that have boxes belong to other tasks and are left out; in files of masks alone, polygons and masks
    become their enclosing boxes.

    Reference: https://doc.bdd100k.com/format.html.
    """

    word = "bdd100k"
    summary = "BDD100K or Scalabel: labels/det_20/det_<set>.json, images/100k/<set>; a folder or the file"
    suffixes = (".json",)
    tool = "BDD100K"

    @classmethod
    def is_list(cls, file: Path, start: bytes) -> bool:
        """Whether the file begins with frames that have labels."""
        del file
        text = start.lstrip()
        is_scalabel = _FRAMES.match(text) is not None and b'"frames"' in text
        has_shape = any(word in text for word in (b'"box2d"', b'"poly2d"', b'"rle"'))
        is_list = is_scalabel or _LIST.match(text) is not None or _IMAGE.match(text) is not None
        return b'"name"' in text and has_shape and is_list

    @classmethod
    def find_sets(cls, path: Path) -> dict[str, Path]:
        """Files by the names of their sets; folders of one file per image or video in their place."""
        found = super().find_sets(path) or (super().find_sets(path / "labels") if path.is_dir() else {})
        counts = collections.Counter(file.parent for file in found.values())
        sets: dict[str, Path] = {}
        for name, file in found.items():
            split = split_in(file.stem)
            if counts[file.parent] > 1 and not split:
                own = split_in(file.parent.name) or ("." if file.parent == path else file.parent.name)
                sets[own] = file.parent
            else:
                sets[name] = file
        return sets

    def image_folders(self, file: Path) -> list[Path]:
        """`images/100k/<set>` and its like in the folders above the file, and the usual places."""
        split = split_in(file.stem) or split_in(file.parent.name)
        homes = [file.parent, *list(file.parents)[1:4], *([self.path] if self.path.is_dir() else [])]
        places = [f"{folder}/{split}" for folder in ("images/100k", "images/10k", "images/track", "100k", "10k")]
        return [*(home / place for home in homes for place in places), *super().image_folders(file)]

    def read_images(self, file: Path) -> Iterator[ListedImage]:
        """Yield the images of a file, or of all files of a folder."""
        if not file.is_dir():
            yield from self._read_file(file)
            return
        for part in self.list_files(file):
            try:
                yield from self._read_file(part)
            except DataError as error:
                self.report_error(error)

    def list_files(self, file: Path) -> list[Path]:
        """All files of a folder; none for a file."""
        return files_ending(file, *self.suffixes) if file.is_dir() else []

    def _read_file(self, file: Path) -> Iterator[ListedImage]:
        try:
            content = json.loads(read_text(file, _KIND))
        except (ValueError, RecursionError) as error:
            if isinstance(error, DataError):
                raise
            found = f"is not JSON ({short_repr(str(error), 120)})"
            raise DataError(str(file), found, _KIND, "download it again") from None
        frames = content.get("frames") if isinstance(content, dict) else content
        if not isinstance(frames, list):
            raise DataError(str(file), "has no list of frames", _KIND, "export it again")
        if isinstance(name := content.get("name") if isinstance(content, dict) else None, str) and len(frames) == 1:
            frames = [{**frame, "name": name} if isinstance(frame, dict) else frame for frame in frames]
        self._has_boxes = any(_has_box(label) for frame in frames for label in _labels(frame))
        config = content.get("config") if isinstance(content, dict) else None
        size = annotated_size(config.get("imageSize")) if isinstance(config, dict) else None
        numbered = [(f"{file}, frame {position}", frame) for position, frame in enumerate(frames, start=1)]
        for image in self.parse_each(numbered, self._parse_frame):
            yield image if image.size else image._replace(size=size)

    def _parse_frame(self, item: tuple[str, Any]) -> ListedImage:
        where, frame = item
        name = frame.get("name") if isinstance(frame, dict) else None
        if not isinstance(name, str) or not name:
            raise DataError(where, f"name is {short_repr(name)}", _KIND, "give the name of the image")
        video = frame.get("videoName") or frame.get("video_name")
        names = [f"{video}/{name}", name] if isinstance(video, str) and video else [name]
        if isinstance(url := frame.get("url"), str) and os.path.basename(url) != os.path.basename(name):
            names.append(url)
        numbered = enumerate(_labels(frame), start=1)
        boxes = parse_boxes(self, self.counts, f"{where}, label", numbered, self._parse_label)
        return ListedImage(names, boxes, annotated_size(frame.get("size")))

    def _parse_label(self, item: tuple[str, Any]) -> ListedBox | None:
        where, label = item
        name = label.get("category") if isinstance(label, dict) else None
        if not isinstance(name, str) or not name:
            raise DataError(where, f"category is {short_repr(name)}", _BOX, "give it a category")
        attributes = label.get("attributes")
        is_crowd = isinstance(attributes, dict) and any(attributes.get(key) in (True, 1) for key in _CROWD)
        if _has_box(label):
            sides = members(label["box2d"], ("x1", "y1", "x2", "y2"), where, _BOX)
            return ListedBox(sides, name, where, is_crowd)
        outline = None if self._has_boxes else _outline(label, where)
        if outline is None:
            self.counts["labels have no box and are left out (lanes, areas, 3D boxes, key points)"] += 1
            return None
        self.counts["polygons or masks: their enclosing boxes are used"] += 1
        return ListedBox(outline, name, where, is_crowd)


def _labels(frame: Any) -> list[Any]:
    labels = frame.get("labels", frame.get("objects")) if isinstance(frame, dict) else None
    return labels if isinstance(labels, list) else []


def _has_box(label: Any) -> bool:
    return isinstance(label, dict) and isinstance(label.get("box2d"), dict)


def _outline(label: dict[str, Any], where: str) -> Any:
    """The enclosing box of a mask or of closed polygons; `None` for lines."""
    try:
        if isinstance(mask := label.get("rle"), dict):
            return box_of_segmentation(mask)
        parts = label.get("poly2d")
        closed = [part["vertices"] for part in parts if part.get("closed", True)] if isinstance(parts, list) else []
        if not closed:
            return None
        return box_of_segmentation([[side for point in vertices for side in point] for vertices in closed])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(where, f"has a broken outline ({error})", _BOX, "correct it") from None
