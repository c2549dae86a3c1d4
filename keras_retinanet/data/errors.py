"""What goes wrong in a data set, said so that its owner can mend it."""

from __future__ import annotations

import re

GRAPH_MARKS = ("data error << ", " >>")
"""What stands around the four parts of a data error in the text of a TensorFlow error."""

GRAPH_SEPARATOR = " | "
"""What stands between them."""


class DataError(ValueError):
    """A broken file, line or annotation of a data set.

    The message has four parts: where, what was found, what is allowed, how to fix it. Command lines print it and end;
    nobody should need a traceback to repair a file.

    Args:
        where: str. File, and the line or annotation id in it.
        found: str. What stands there.
        allowed: str. What may stand there. Defaults to `""` (left out).
        fix: str. What to do about it. Defaults to `""` (left out).
    """

    def __init__(self, where: str, found: str, allowed: str = "", fix: str = "") -> None:
        self.where, self.found, self.allowed, self.fix = where, found, allowed, fix
        parts = [f"{where}: {found}", f"allowed: {allowed}" if allowed else "", f"fix: {fix}" if fix else ""]
        super().__init__(". ".join(part for part in parts if part))

    def __reduce__(self) -> tuple[type[DataError], tuple[str, str, str, str]]:
        return type(self), (self.where, self.found, self.allowed, self.fix)


def from_tensorflow(error: BaseException) -> DataError | None:
    """The data error inside an error that TensorFlow raised while a pipeline ran.

    A tf.data graph can only raise `tf.errors.InvalidArgumentError`, its text wrapped in node names. Catch that around
    `fit` and raise this in its place.

    Args:
        error: The exception that reached Python.

    Returns:
        A `DataError` that names the file, or `None` where the exception is about something else.
    """
    text = re.search(re.escape(GRAPH_MARKS[0]) + "(.*?)" + re.escape(GRAPH_MARKS[1]), str(error), re.DOTALL)
    parts = text[1].split(GRAPH_SEPARATOR) if text else []
    return DataError(*parts) if len(parts) == 4 else None


def short_repr(value: object, limit: int = 60) -> str:
    """`repr` of something read from a file, cut so that a message stays readable."""
    text = ascii(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
