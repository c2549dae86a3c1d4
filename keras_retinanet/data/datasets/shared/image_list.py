"""Images and shapes as the annotation file of a set lists them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from keras_retinanet.data.errors import short_repr
from keras_retinanet.schema import Size


class PlainBoxes(NamedTuple):
    """All annotations of an image, which are boxes without anything unusual.

    Attributes:
        names: Class of each.
        sides: Four finite numbers of each, one after another: x1, y1, x2, y2 in a `ListedImage`.
    """

    names: Sequence[Any]
    sides: Sequence[float]


class ListedImage(NamedTuple):
    """An image of an annotation file.

    Attributes:
        names: Its name as annotated, and other forms of it; see `ImagePlaces.locate`.
        size: Height and width as annotated, or `None`.
        shapes: Its annotations, not parsed; or, if all of them are plain boxes, these.
    """

    names: tuple[str, ...]
    size: Size | None
    shapes: Sequence[Any] | PlainBoxes


@dataclass
class ImageList:
    """Content of an annotation file.

    Attributes:
        images: The images of the set.
        class_names: Classes that the file lists, in its order. Defaults to none: the sorted names of the boxes.
        notes: What the file left to the reader, one sentence each.
        missing_fix: What to do if images are missing, if the usual advice does not fit. Defaults to `""`.
        sources: Further files that were read.
    """

    images: list[ListedImage] = field(default_factory=list)
    class_names: Sequence[str] = ()
    notes: list[str] = field(default_factory=list)
    missing_fix: str = ""
    sources: list[str] = field(default_factory=list)


def describe_shape(file: Path, image: str, number: int) -> str:
    """File, image and number of an annotation, for messages."""
    return f"{file}, {short_repr(image, 120)}, shape {number}"
