"""A finding: severity, count, examples and a fix."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Severity = Literal["error", "warning", "note"]

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
"""Worst first. An error loses images, boxes or the run; a warning probably lowers AP; a note is information."""

MAX_EXAMPLES = 5
"""Examples that a finding keeps."""


@dataclass(frozen=True)
class Example:
    """One case of a finding.

    Attributes:
        where: File, and line or annotation id in it.
        what: The fault, in a few words.
        image: Path of the image that shows it; `""` for none.
        box: The box x1, y1, x2, y2 in pixels of the image; `None` for the whole image.
        orientation: EXIF orientation to apply to the image file.
    """

    where: str
    what: str = ""
    image: str = ""
    box: tuple[float, float, float, float] | None = None
    orientation: int = 1


@dataclass(frozen=True)
class Finding:
    """A fault or remark about a data set.

    Attributes:
        kind: Short name, for programs.
        severity: `"error"`, `"warning"` or `"note"`.
        split: `"train"`, `"val"`, or `"train, val"` for both.
        title: One line of text with the count.
        count: Number of cases.
        examples: At most `MAX_EXAMPLES` of them.
        fix: What to do about it.
        are_cases: True if the examples are some of the counted cases; else they name groups of them.
    """

    kind: str
    severity: Severity
    split: str
    title: str
    count: int
    examples: tuple[Example, ...] = ()
    fix: str = ""
    are_cases: bool = True

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return dataclasses.asdict(self)


def report_cases(
    kind: str, severity: Severity, split: str, title: str, examples: Sequence[Example], fix: str, count: int = -1
) -> list[Finding]:
    """Makes one finding of all cases, or none if there is no case.

    Args:
        kind: Short name, for programs.
        severity: `"error"`, `"warning"` or `"note"`.
        split: `"train"`, `"val"`, or `"train, val"`.
        title: Text that follows the count, such as `"images are missing"`.
        examples: All cases, or the first ones.
        fix: What to do about it.
        count: Number of cases. Defaults to the number of examples.

    Returns:
        A list of one finding, or an empty one.
    """
    count = len(examples) if count < 0 else count
    if not count:
        return []
    return [Finding(kind, severity, split, f"{count:,} {title}", count, tuple(examples[:MAX_EXAMPLES]), fix)]


def sort_by_severity(findings: Iterable[Finding]) -> list[Finding]:
    """Sorts findings, the worst first, and keeps the order of equals."""
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))


def exit_status(findings: Iterable[Finding]) -> int:
    """0 for notes only, 1 with warnings, 2 with errors."""
    return max(({"error": 2, "warning": 1, "note": 0}[finding.severity] for finding in findings), default=0)
