"""The diagnosis as lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from keras_retinanet.doctor.coverage import AnchorCoverage
from keras_retinanet.doctor.diagnosis import Diagnosis, Proposal, SplitSummary
from keras_retinanet.doctor.findings import SEVERITIES, Finding

VERDICTS = ("clean: nothing to mend", "warnings, no errors", "errors: mend these before training")
"""By exit status."""


def describe(diagnosis: Diagnosis) -> Iterator[str]:
    """The lines.

    Args:
        diagnosis: The diagnosis.

    Yields:
        One line after the other.
    """
    for split in diagnosis.splits:
        yield from _split_lines(split)
    for severity in SEVERITIES:
        findings = [finding for finding in diagnosis.findings if finding.severity == severity]
        if findings:
            yield ""
            yield f"{severity}s ({len(findings)})"
            for finding in findings:
                yield from _finding_lines(finding)
    if diagnosis.proposal is not None:
        yield ""
        yield from proposal_lines(diagnosis.proposal)
    yield ""
    yield VERDICTS[diagnosis.status]


def _split_lines(split: SplitSummary) -> Iterator[str]:
    used = sum(count > 0 for count in split.boxes_by_class.values())
    unusable = f", {split.images - split.usable:,} of them unusable" if split.usable < split.images else ""
    yield (
        f"{split.split}: {split.images:,} images{unusable}, {split.empty:,} without boxes; {split.boxes:,} boxes, "
        f"{split.ignored:,} of them ignored; {used} of {len(split.boxes_by_class)} classes"
    )
    yield f"  anchors: {coverage_line(split.coverage)}"
    for note in split.notes:
        yield f"  {note}"


def coverage_line(coverage: AnchorCoverage) -> str:
    """Coverage in one line."""
    row = coverage.all
    forced = "are" if coverage.is_forced else "would be"
    return (
        f"{row.share:.1%} of {row.boxes:,} boxes train an anchor, {row.positives:.1f} anchors a box; "
        f"{coverage.forced:,} {forced} force-matched"
    )


def _finding_lines(finding: Finding) -> Iterator[str]:
    yield f"  {finding.split}: {finding.title}"
    for example in finding.examples[:3]:
        yield f"      {example.where}" + (f": {example.what}" if example.what else "")
    more = finding.count - min(len(finding.examples), 3)
    if more > 0 and finding.examples and finding.are_cases:
        yield f"      and {more:,} more"
    if finding.fix:
        yield f"      fix: {finding.fix}"


def proposal_lines(proposal: Proposal) -> Iterator[str]:
    """What the search for anchors found."""
    if proposal.before == proposal.after:
        yield "anchors: the search found none that more boxes meet"
        return
    yield "anchors that fit better:"
    yield f"  {proposal.flags}"
    for split, before in proposal.before.items():
        after = proposal.after[split].all
        yield (
            f"  {split}: {before.all.share:.1%} → {after.share:.1%} of {after.boxes:,} boxes train an anchor, "
            f"{before.all.positives:.1f} → {after.positives:.1f} anchors a box"
        )
