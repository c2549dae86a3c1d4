"""Errors of data sets, with what their owner needs to fix them."""

from __future__ import annotations

import re

GRAPH_MARKS = ("data error << ", " >>")
"""Start and end of a data error in the text of a TensorFlow error."""

GRAPH_SEPARATOR = " | "
"""Separator of its four parts."""


class DataError(ValueError):
    """A broken file, line or annotation of a data set.

    The message has four parts: where, what was found, what is allowed, how to fix it. Commands print it and exit;
    nobody should need a traceback to repair a file.

    Args:
        where: File, and line or annotation ID.
        found: What was found.
        allowed: What is allowed. Defaults to `""` (left out).
        fix: What to do. Defaults to `""` (left out).
    """

    def __init__(self, where: str, found: str, allowed: str = "", fix: str = "") -> None:
        self.where, self.found, self.allowed, self.fix = where, found, allowed, fix
        parts = [f"{where}: {found}", f"allowed: {allowed}" if allowed else "", f"fix: {fix}" if fix else ""]
        super().__init__(". ".join(part for part in parts if part))

    def __reduce__(self) -> tuple[type[DataError], tuple[str, str, str, str]]:
        return type(self), (self.where, self.found, self.allowed, self.fix)


def from_tensorflow(error: BaseException) -> DataError | None:
    """Extract the data error from an error that TensorFlow raised while a pipeline ran.

    A tf.data graph can only raise `tf.errors.InvalidArgumentError`, with the text wrapped in node names. Catch that
    around `fit` and raise the result instead.

    Args:
        error: The exception that reached Python.

    Returns:
        A `DataError` that names the file, or `None` if the exception is about something else.
    """
    text = re.search(re.escape(GRAPH_MARKS[0]) + "(.*?)" + re.escape(GRAPH_MARKS[1]), str(error), re.DOTALL)
    parts = text[1].split(GRAPH_SEPARATOR) if text else []
    return DataError(*parts) if len(parts) == 4 else None


def short_repr(value: object, limit: int = 60) -> str:
    """ASCII `repr` of a value from a file, cut to `limit` characters."""
    text = ascii(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
