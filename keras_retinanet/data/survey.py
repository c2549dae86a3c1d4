"""What a reader found, as it stands in the files: for whoever looks for faults instead of leaving them out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keras_retinanet.data.datasets.annotated_images import BoxColumns


@dataclass
class Survey:
    """Given to a reader as `bad_data`, it takes down what was read before anything is left out or clipped.

    The reader then also goes on where image files are missing or cannot be read; boxes of these are not in the data
    set that it becomes. Errors of structure are raised as ever.

    Attributes:
        columns: All boxes as they stand in the files.
        told_sizes: Height and width of each image as annotated, `None` where the annotations do not tell.
        listed_in: The file that names the images.
    """

    columns: BoxColumns | None = None
    told_sizes: list[tuple[int, int] | None] = field(default_factory=list)
    listed_in: str = ""
