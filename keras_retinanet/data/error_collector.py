"""Collects every error of a data set instead of stopping at the first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from keras_retinanet.data.box_columns import BoxColumns
from keras_retinanet.data.errors import DataError

Read = TypeVar("Read")

MAX_ERRORS = 1000
"""Errors that a collector keeps; one wrong list of classes breaks each of a million lines."""


@dataclass
class ErrorCollector:
    """Passed to a reader as `on_error`, it records errors, and the annotations before anything is clipped or left out.

    The reader then leaves out a broken line, file or annotation and continues; missing and unreadable image files are
    not errors, and their boxes are not in the data set. What makes the rest meaningless, such as an unreadable list of
    classes, is still raised.

    Attributes:
        columns: All boxes as annotated.
        annotated_sizes: Height and width of each image as annotated, `None` where the annotations do not say.
        trusts_annotated_size: True if the reader relies on `annotated_sizes`, so that an image of another size cannot
            be used; False if it takes the size from the image file.
        listed_in: The file that lists the images.
        errors: The first `MAX_ERRORS` errors.
        num_errors: Number of all errors.
    """

    columns: BoxColumns | None = None
    annotated_sizes: list[tuple[int, int] | None] = field(default_factory=list)
    trusts_annotated_size: bool = True
    listed_in: str = ""
    errors: list[DataError] = field(default_factory=list)
    num_errors: int = 0


def report_or_raise(on_error: object, error: DataError) -> None:
    """Record an error if `on_error` is a collector, otherwise raise it.

    Args:
        on_error: An `ErrorCollector`, or any other value.
        error: The error.

    Raises:
        DataError: `error`, if there is no collector.
    """
    if not isinstance(on_error, ErrorCollector):
        raise error
    on_error.num_errors += 1
    if len(on_error.errors) < MAX_ERRORS:
        on_error.errors.append(error)


def collect_errors(on_error: object, read: Callable[[], Read], default: Read) -> Read:
    """Call `read()`; if it raises a `DataError` and `on_error` is a collector, record the error and return `default`.

    Args:
        on_error: An `ErrorCollector`, or any other value, with which errors are raised.
        read: Reads one line, file or annotation.
        default: The result for a broken one.

    Returns:
        The result of `read()`, or `default`.
    """
    try:
        return read()
    except DataError as error:
        report_or_raise(on_error, error)
        return default
