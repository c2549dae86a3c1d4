"""Tracks of CVAT for video: the objects at key frames, as images with shapes."""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Mapping
from xml.etree import ElementTree

from keras_retinanet.data.datasets.shared.image_list import ListedImage
from keras_retinanet.data.errors import DataError, short_repr

_SIDES = ("xtl", "ytl", "xbr", "ybr")


def read_tracks(root: ElementTree.Element, file: str, set_name: str) -> tuple[list[ListedImage], list[str]]:
    """The frames in which a track has a key frame, with all shapes that are visible there.

    CVAT writes the shapes of all frames and marks key frames. In a file with key frames only, boxes between two of
    them are interpolated linearly, as CVAT does, and frames with other shapes between key frames are left out.

    Args:
        root: The parsed file.
        file: Its path, for messages.
        set_name: Subset of a project, or `"."` for all.

    Returns:
        The frames, in their order, and notes.

    Raises:
        DataError: A frame is not a number.
    """
    images: list[ListedImage] = []
    skipped, size = 0, read_size({side: root.findtext(f"meta/*/original_size/{side}") for side in ("height", "width")})
    tracks: dict[str, list[_Track]] = {}
    for number, item in enumerate(root.iterfind("track"), start=1):
        if set_name in (".", item.get("subset") or "."):
            tracks.setdefault(item.get("subset") or "", []).append(_Track(item, f"{file}, track {number}"))
    for subset, found in tracks.items():
        for frame in sorted({frame for track in found for frame in track.key_frames}):
            try:
                shapes = [shape for track in found for shape in track.shapes_at(frame)]
            except LookupError:
                skipped += 1
                continue
            name = f"frame_{frame:06d}"
            images.append(ListedImage((f"{subset}/{name}", name) if subset else (name,), size, shapes))
    if not images:
        return [], []
    notes = [f"{file}: tracks of a video are read at their {len(images)} key frames"]
    if skipped:
        notes.append(f"{file}: {skipped} frames have shapes between key frames that are not boxes and are left out")
    return images, notes


def read_size(item: Mapping[str, str | None] | ElementTree.Element) -> tuple[int, int] | None:
    """Height and width of an element with these attributes, or of a mapping; `None` if they are not annotated."""
    height, width = (item.get(side) or "" for side in ("height", "width"))
    is_known = all(side.isascii() and side.isdecimal() and 0 < len(side) < 10 for side in (height, width))
    return (int(height), int(width)) if is_known and int(height) and int(width) else None


class _Track:
    """The shapes of an object, by frame."""

    def __init__(self, item: ElementTree.Element, where: str) -> None:
        self._label = item.get("label") or ""
        self._shapes: dict[int, ElementTree.Element] = {}
        for shape in item:
            frame = shape.get("frame") or ""
            if not (frame.isascii() and frame.isdecimal()):
                raise DataError(where, f"'frame' is {short_repr(frame)}", "a whole number", "export the task again")
            self._shapes[int(frame)] = shape
        self._frames = sorted(self._shapes)
        keys = {frame for frame, shape in self._shapes.items() if shape.get("keyframe") != "0"}
        self._is_complete = len(keys) < len(self._frames)
        self.key_frames = [frame for frame in sorted(keys) if self._shapes[frame].get("outside") != "1"]

    def shapes_at(self, frame: int) -> Iterator[ElementTree.Element]:
        """The shape in a frame, if the object is visible there.

        Raises:
            LookupError: It is between key frames, and is not a box.
        """
        position = bisect.bisect_right(self._frames, frame)
        before = self._shapes[self._frames[position - 1]] if position else None
        if before is None or before.get("outside") == "1":
            return
        if self._frames[position - 1] == frame:
            yield self._labelled(before, {})
        elif position < len(self._frames) and not self._is_complete:
            after = self._shapes[self._frames[position]]
            if before.tag != "box":
                raise LookupError(frame)
            yield self._labelled(before, {} if after.get("outside") == "1" else _between(before, after, frame))

    def _labelled(self, shape: ElementTree.Element, sides: dict[str, str]) -> ElementTree.Element:
        copy = ElementTree.Element(shape.tag, {**shape.attrib, "label": self._label, **sides})
        copy.extend(shape)
        return copy


def _between(before: ElementTree.Element, after: ElementTree.Element, frame: int) -> dict[str, str]:
    """Sides of a box between two key frames; those of the first one if the numbers are broken."""
    try:
        first, last = int(before.get("frame", "")), int(after.get("frame", ""))
        share = (frame - first) / (last - first)
        return {
            side: repr(float(before.get(side, "")) * (1 - share) + float(after.get(side, "")) * share)
            for side in _SIDES
        }
    except (ValueError, ZeroDivisionError):
        return {}
