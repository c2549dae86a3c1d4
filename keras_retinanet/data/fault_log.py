"""What a reader found, as it stands in the files: for whoever looks for faults instead of leaving them out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from keras_retinanet.data.box_columns import BoxColumns
from keras_retinanet.data.errors import DataError

Read = TypeVar("Read")

MOST = 1000
"""Faults that a survey keeps; a wrong list of classes breaks every line of millions, and says so in the first."""


@dataclass
class Survey:
    """Given to a reader as `bad_data`, it takes down what was read before anything is left out or clipped.

    The reader then also goes on where image files are missing or cannot be read; boxes of these are not in the data
    set that it becomes. It goes on after a broken line, file or annotation, too, and leaves it out; what makes all the
    rest meaningless, such as a list of classes that cannot be read, is raised as ever.

    Attributes:
        columns: All boxes as they stand in the files.
        told_sizes: Height and width of each image as annotated, `None` where the annotations do not tell.
        is_size_binding: Images of another size than told are of no use; else the reader took the size of the file.
        listed_in: The file that names the images.
        faults: Errors of structure after which the reader could go on, the first `MOST` of them.
        num_faults: How many there were.
    """

    columns: BoxColumns | None = None
    told_sizes: list[tuple[int, int] | None] = field(default_factory=list)
    is_size_binding: bool = True
    listed_in: str = ""
    faults: list[DataError] = field(default_factory=list)
    num_faults: int = 0


def tell(policy: object, error: DataError) -> None:
    """Raises an error, or takes it down where there is a survey.

    Args:
        policy: A survey, or what else stands in its place.
        error: What is broken.

    Raises:
        DataError: There is no survey.
    """
    if not isinstance(policy, Survey):
        raise error
    policy.num_faults += 1
    if len(policy.faults) < MOST:
        policy.faults.append(error)


def surveyed(policy: object, read: Callable[[], Read], instead: Read) -> Read:
    """What `read()` answers; where it raises a `DataError` and there is a survey, that is taken down instead.

    Args:
        policy: A survey, or what else stands in its place, with which errors go their way.
        read: Reads one line, file or annotation.
        instead: The answer for a broken one.

    Returns:
        The answer.
    """
    try:
        return read()
    except DataError as error:
        tell(policy, error)
        return instead
