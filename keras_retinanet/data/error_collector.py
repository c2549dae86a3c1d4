"""Collects every error of a data set instead of stopping at the first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from keras_retinanet.config import BadDataPolicy
from keras_retinanet.data.box_columns import BoxColumns
from keras_retinanet.data.errors import DataError

Item = TypeVar("Item")
Parsed = TypeVar("Parsed")

MAX_ERRORS = 1000
"""Errors that a collector keeps; one wrong list of classes breaks each of a million lines."""

_MAX_EXAMPLES = 5


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

    def describe_left_out(self, what: str = "annotations") -> list[str]:
        """A note about what was left out.

        Args:
            what: What each error left out. Defaults to `"annotations"`.

        Returns:
            One sentence that names the first five; none if there was no error.
        """
        if not self.errors:
            return []
        examples = "; ".join(f"{error.where}: {error.found}" for error in self.errors[:_MAX_EXAMPLES])
        more = self.num_errors - _MAX_EXAMPLES
        return [f"{self.num_errors} {what} left out: {examples}" + (f"; and {more} more" if more > 0 else "")]


OnError = BadDataPolicy | ErrorCollector
"""What a reader does about errors.

`"skip"` clips boxes or leaves them out, leaves out broken annotations, and raises an error for anything else that is
broken; `"error"` raises for all of these; an `ErrorCollector` records everything.
"""


def report_or_raise(on_error: OnError, error: DataError) -> None:
    """Record an error if `on_error` is a collector, otherwise raise it.

    Args:
        on_error: What to do about errors.
        error: The error.

    Raises:
        DataError: `error`, if there is no collector.
    """
    if not isinstance(on_error, ErrorCollector):
        raise error
    on_error.num_errors += 1
    if len(on_error.errors) < MAX_ERRORS:
        on_error.errors.append(error)


def collect_errors(on_error: OnError, read: Callable[[], Parsed], default: Parsed) -> Parsed:
    """Call `read()`; if it raises a `DataError` and `on_error` is a collector, record the error and return `default`.

    Args:
        on_error: What to do about errors.
        read: Reads one line, file or annotation.
        default: The result for a broken one.

    Returns:
        The result of `read()`, or `default`.

    Raises:
        DataError: The error of `read`, if there is no collector.
    """
    try:
        return read()
    except DataError as error:
        report_or_raise(on_error, error)
        return default


def parse_each(items: Iterable[Item], parse: Callable[[Item], Parsed], on_error: OnError) -> Iterator[Parsed]:
    """Parse items one by one; with a collector, broken items are recorded and left out.

    Args:
        items: Lines, files or annotations. If the iterable itself raises a `DataError`, its remaining items are lost.
        parse: Function of one item that raises `DataError` if the item is broken.
        on_error: What to do about errors.

    Yields:
        The result of `parse` for each item that is not broken.

    Raises:
        DataError: The first error, if there is no collector.
    """
    remaining = iter(items)
    while True:
        try:
            item = next(remaining)
        except StopIteration:
            return
        except DataError as error:
            report_or_raise(on_error, error)
            return
        try:
            parsed = parse(item)
        except DataError as error:
            report_or_raise(on_error, error)
            continue
        yield parsed
