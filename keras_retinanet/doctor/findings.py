"""What the doctor says: findings with severity, count, examples and a hint how to mend them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Severity = Literal["error", "warning", "note"]

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
"""Worst first. An error costs images, boxes or the run; a warning probably precision; a note is good to know."""

NAMED = 5
"""Examples that a finding keeps."""


@dataclass(frozen=True)
class Example:
    """One case of a finding.

    Attributes:
        where: File, and line or annotation id in it.
        what: What was found there.
        image: Path of the image that shows it, `""` for none.
        box: The box meant, x1, y1, x2, y2 in stored pixels; `None` for the whole image.
    """

    where: str
    what: str = ""
    image: str = ""
    box: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class Finding:
    """Something about a data set that its owner should know.

    Attributes:
        kind: Short name, for programs.
        severity: How bad it is.
        split: `"train"`, `"val"`, or both as `"train, val"`.
        title: One line for people; it holds the count.
        count: Cases.
        examples: The first few.
        fix: What to do about it.
        are_cases: Examples are some of the cases counted; else they tell where most of them are.
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


def found(
    kind: str, severity: Severity, split: str, title: str, examples: Sequence[Example], fix: str, count: int = -1
) -> list[Finding]:
    """One finding, or none where there is no case.

    Args:
        kind: Short name, for programs.
        severity: How bad it is.
        split: Which images.
        title: One line that follows the count, as `"images are missing"`.
        examples: All cases, or the first ones.
        fix: What to do.
        count: int. Cases. Defaults to as many as there are examples.

    Returns:
        A list of one or none, to be joined to others.
    """
    count = len(examples) if count < 0 else count
    if not count:
        return []
    return [Finding(kind, severity, split, f"{count:,} {title}", count, tuple(examples[:NAMED]), fix)]


def sort(findings: Iterable[Finding]) -> list[Finding]:
    """The worst first, otherwise in the order given."""
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))


def exit_status(findings: Iterable[Finding]) -> int:
    """0 where all is well (notes do not count), 1 for warnings, 2 for errors."""
    return max(({"error": 2, "warning": 1, "note": 0}[finding.severity] for finding in findings), default=0)
