"""Images and shapes as the annotation file of a set lists them."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from keras_retinanet.data.box_columns import BoxColumns
from keras_retinanet.data.datasets.shared.shapes import Shape
from keras_retinanet.data.errors import short_repr
from keras_retinanet.schema import Size


class ListedImage(NamedTuple):
    """An image of an annotation file.

    Attributes:
        names: Its name as annotated, and other forms of it; see `ImagePlaces.locate`.
        size: Height and width as annotated, or `None`.
        shapes: Its annotations, not parsed.
    """

    names: tuple[str, ...]
    size: Size | None
    shapes: Sequence[Any]


@dataclass
class ImageList:
    """Content of an annotation file.

    Attributes:
        images: The images of the set.
        class_names: Classes that the file lists, in its order. Defaults to none: the sorted names of the boxes.
        notes: What the file left to the reader, one sentence each.
        missing_fix: What to do if images are missing, if the usual advice does not fit. Defaults to `""`.
    """

    images: list[ListedImage] = field(default_factory=list)
    class_names: Sequence[str] = ()
    notes: list[str] = field(default_factory=list)
    missing_fix: str = ""


class ShapeRows:
    """The boxes of all images, with image and number of each annotation, as compact lists."""

    def __init__(self) -> None:
        self._images, self._numbers, self._sides = array("q"), array("q"), array("d")
        self._ignore = bytearray()
        self.names: list[str] = []

    def add(self, position: int, number: int, shape: Shape) -> None:
        """Add a shape that has a box.

        Args:
            position: Position of its image.
            number: Number of its annotation.
            shape: The shape.
        """
        self._images.append(position)
        self._numbers.append(number)
        self._sides.extend(shape.box or ())
        self._ignore.append(shape.ignore)
        self.names.append(shape.name)

    def columns(self, class_names: Sequence[str], images: Sequence[ListedImage], file: Path) -> BoxColumns:
        """All boxes, with labels that index `class_names`."""
        labels = {name: label for label, name in enumerate(class_names)}
        return BoxColumns(
            image=np.array(self._images, np.int64),
            boxes=np.array(self._sides, np.float64).reshape(-1, 4),
            labels=np.array([labels[name] for name in self.names], np.int64),
            ignore=np.array(self._ignore, bool),
            name=lambda row: describe_shape(file, images[self._images[row]], self._numbers[row]),
        )


def describe_shape(file: Path, image: ListedImage, number: int) -> str:
    """File, image and number of an annotation, for messages."""
    return f"{file}, {short_repr(image.names[0], 120)}, shape {number}"
