"""The diagnosis as lines of text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from keras_retinanet.data.data_summary import describe_sources
from keras_retinanet.doctor.diagnosis import AnchorProposal, Diagnosis, SplitSummary
from keras_retinanet.doctor.findings import SEVERITIES, Finding

VERDICTS = ("no faults found", "warnings, no errors", "errors: fix these before training")
"""By exit status."""

MAX_SHOWN = 3
"""Examples of a finding that are printed."""


def format_text(diagnosis: Diagnosis) -> Iterator[str]:
    """Formats a diagnosis as text: splits, findings by severity, proposed anchors, verdict.

    Args:
        diagnosis: The diagnosis.

    Yields:
        The lines.
    """
    yield f"data: {describe_sources(diagnosis.config.data)}"
    for split in diagnosis.splits:
        yield from _format_split(split)
    for severity in SEVERITIES:
        findings = [finding for finding in diagnosis.findings if finding.severity == severity]
        if findings:
            yield ""
            yield f"{severity}s ({len(findings)})"
            for finding in findings:
                yield from _format_finding(finding)
    if diagnosis.proposal is not None:
        yield ""
        yield from format_proposal(diagnosis.proposal)
    yield ""
    yield VERDICTS[diagnosis.status]


def _format_split(split: SplitSummary) -> Iterator[str]:
    used = sum(count > 0 for count in split.boxes_by_class.values())
    unusable = f" ({split.images - split.usable:,} unusable)" if split.usable < split.images else ""
    yield (
        f"{split.split}: {split.images:,} images{unusable}, {split.empty:,} without boxes; {split.boxes:,} boxes "
        f"({split.ignored:,} ignore regions) of {used} of {len(split.boxes_by_class)} classes"
    )
    yield f"  anchors: {split.coverage.describe()}"
    for note in split.notes:
        yield f"  {note}"


def _format_finding(finding: Finding) -> Iterator[str]:
    yield f"  {finding.split}: {finding.title}"
    for example in finding.examples[:MAX_SHOWN]:
        yield f"      {example.where}" + (f": {example.what}" if example.what else "")
    more = finding.count - min(len(finding.examples), MAX_SHOWN)
    if more > 0 and finding.examples and finding.are_cases:
        yield f"      and {more:,} more"
    if finding.fix:
        yield f"      fix: {finding.fix}"


def format_proposal(proposal: AnchorProposal) -> Iterator[str]:
    """Formats the result of an anchor search.

    Args:
        proposal: The result.

    Yields:
        The lines.
    """
    if proposal.before == proposal.after:
        yield "anchors: the search found none with higher coverage"
        return
    yield "anchors with higher coverage:"
    yield f"  {proposal.flags}"
    for split, before in proposal.before.items():
        after = proposal.after[split].all
        yield (
            f"  {split}: {before.all.share:.1%} → {after.share:.1%} of {after.boxes:,} boxes have a positive anchor, "
            f"{before.all.positives:.1f} → {after.positives:.1f} anchors per box"
        )
