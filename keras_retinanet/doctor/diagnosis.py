"""From the settings of a run to a diagnosis: scan both splits, run all checks, measure anchor coverage."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from keras_retinanet.anchor_coverage import AnchorCoverage
from keras_retinanet.config import AnchorConfig, DefaultBoxConfig, TrainConfig
from keras_retinanet.config.architectures import ARCHITECTURES
from keras_retinanet.data.error_collector import ErrorCollector
from keras_retinanet.data.errors import DataError
from keras_retinanet.data.image_rule import exif_frame
from keras_retinanet.data.open_dataset import Split, has_validation
from keras_retinanet.doctor.anchor_checks import check_coverage, split_coverage, usable_boxes
from keras_retinanet.doctor.anchor_search import anchor_flags, search_anchors, search_default_boxes
from keras_retinanet.doctor.checks import PAIR_CHECKS, SPLIT_CHECKS
from keras_retinanet.doctor.findings import Example, Finding, exit_status, report_cases, sort_by_severity
from keras_retinanet.doctor.image_scan import Scan, scan_images
from keras_retinanet.doctor.split_scan import ScannedSplit, scan_split

ProgressBar = Callable[[int], Callable[[int], object]]
"""Called with the total; returns a function that is called with 1 after each step."""

_MAX_FIXES = 3


@dataclass(frozen=True)
class SplitSummary:
    """A split in numbers.

    Attributes:
        split: `"train"` or `"val"`.
        images: Images listed.
        usable: Images that can be decoded and have the annotated size.
        empty: Images without boxes.
        boxes: Annotated boxes, ignore regions included.
        ignored: Ignore regions.
        boxes_by_class: Boxes of each class in usable images, without ignore regions.
        coverage: Anchor coverage.
        notes: Remarks of the reader.
    """

    split: str
    images: int
    usable: int
    empty: int
    boxes: int
    ignored: int
    boxes_by_class: dict[str, int]
    coverage: AnchorCoverage
    notes: tuple[str, ...]


@dataclass(frozen=True)
class AnchorProposal:
    """The result of an anchor search.

    Attributes:
        anchors: The proposed anchors, or default boxes of an SSD; the given ones if the search found none with higher
            coverage.
        flags: The flags of `retinanet-train` for them.
        before: Coverage of each split with the given anchors.
        after: Coverage of each split with the proposed anchors.
    """

    anchors: AnchorConfig | DefaultBoxConfig
    flags: str
    before: Mapping[str, AnchorCoverage]
    after: Mapping[str, AnchorCoverage]


@dataclass(frozen=True)
class Diagnosis:
    """Everything that the doctor found in a data set.

    Attributes:
        config: The settings of the run.
        splits: The splits that could be opened, in numbers.
        findings: The findings, the worst first.
        proposal: Better anchors, if they were searched for.
        scans: The splits themselves, for pages and clean copies.
    """

    config: TrainConfig
    splits: tuple[SplitSummary, ...]
    findings: tuple[Finding, ...]
    proposal: AnchorProposal | None = None
    scans: tuple[ScannedSplit, ...] = field(default=(), repr=False)

    @property
    def status(self) -> int:
        """0 without warnings, 1 with warnings, 2 with errors."""
        return exit_status(self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        data = dataclasses.asdict(self.config.data)
        return {
            "data": data,
            "status": self.status,
            "splits": [dataclasses.asdict(split) for split in self.splits],
            "findings": [finding.to_dict() for finding in self.findings],
            "proposal": None if self.proposal is None else dataclasses.asdict(self.proposal),
        }


def diagnose(
    config: TrainConfig,
    *,
    use_search: bool = False,
    images_bar: ProgressBar | None = None,
    search_bar: ProgressBar | None = None,
    scan: Scan = scan_images,
) -> Diagnosis:
    """Checks a data set as a training run with these settings would use it.

    Args:
        config: The data, anchors, assigner and resize rule are used; `data.limit` applies to each split.
        use_search: Search for anchors with higher coverage. Defaults to `False`.
        images_bar: Progress bar of the image scan. Defaults to none.
        search_bar: Progress bar of the anchor search. Defaults to none.
        scan: Reads the image files. Defaults to threads of this process.

    Returns:
        The diagnosis. Annotations that cannot be read are findings, not exceptions.
    """
    findings: list[Finding] = []
    scans: list[ScannedSplit] = []
    splits: list[Split] = ["train"]
    try:
        splits += ["val"] if has_validation(config.data) else []
    except DataError as error:
        findings.append(_report_unreadable("train", error))
    for split in splits if not findings else []:
        collector = ErrorCollector()
        try:
            frame = exif_frame(sample for scanned in scans for sample in scanned.samples)
            scans.append(scan_split(config.data, split, images_bar or _no_bar, collector, frame, scan))
        except DataError as error:
            findings.append(_report_unreadable(split, error))
        findings += _report_faults(split, collector)
    for scanned in scans:
        findings += [finding for check in SPLIT_CHECKS.values() for finding in check(scanned, config)]
    if len(scans) == 2:
        findings += [finding for check in PAIR_CHECKS.values() for finding in check(scans[0], scans[1], config)]
    summaries = tuple(_summarise(scanned, config) for scanned in scans)
    findings += [finding for summary in summaries for finding in check_coverage(summary.coverage, summary.split)]
    proposal = _propose_anchors(scans, config, search_bar or _no_bar) if use_search and scans else None
    return Diagnosis(config, summaries, tuple(sort_by_severity(findings)), proposal, tuple(scans))


def _no_bar(total: int) -> Callable[[int], object]:
    del total
    return lambda _: None


def _report_faults(split: str, collector: ErrorCollector) -> list[Finding]:
    """The faults that the reader skipped: broken annotations, and images that are not there."""
    cases = [Example(error.where, error.found) for error in collector.errors]
    fixes = list(dict.fromkeys(f"{error.fix} (allowed: {error.allowed})" for error in collector.errors))
    title = "lines, files or annotations are broken; training leaves out annotations and stops at the rest"
    return report_cases("structure", "error", split, title, cases, "; ".join(fixes[:_MAX_FIXES]), collector.num_errors)


def _report_unreadable(split: str, error: DataError) -> Finding:
    allowed = f"allowed: {error.allowed}. " if error.allowed else ""
    case = Example(error.where, error.found)
    title = f"the {split} annotations cannot be used: {error.found}"
    return Finding("structure", "error", split, title, 1, (case,), f"{allowed}{error.fix}")


def _summarise(scan: ScannedSplit, config: TrainConfig) -> SplitSummary:
    return SplitSummary(
        split=scan.split,
        images=len(scan.samples),
        usable=int(scan.is_usable.sum()),
        empty=int((scan.raw_boxes_by_image == 0).sum()),
        boxes=len(scan.raw_boxes),
        ignored=int(scan.raw_ignore.sum()),
        boxes_by_class=dict(zip(scan.class_names, scan.boxes_by_class.tolist(), strict=True)),
        coverage=split_coverage(scan, config),
        notes=scan.notes,
    )


def _propose_anchors(scans: list[ScannedSplit], config: TrainConfig, bar: ProgressBar) -> AnchorProposal:
    """Searches on the training boxes, and measures on the boxes of both splits."""
    found = usable_boxes(scans[0], config)
    how: dict[str, Any] = {"positive_iou": config.assigner.positive_iou, "seed": config.seed, "progress": bar(0)}
    given: AnchorConfig | DefaultBoxConfig
    anchors: AnchorConfig | DefaultBoxConfig
    if ARCHITECTURES[config.model.architecture].has_default_boxes:
        given = config.default_boxes
        anchors = search_default_boxes(found, config.default_boxes, max_side=max(config.resize.shape), **how)
        searched = dataclasses.replace(config, default_boxes=anchors)
    else:
        given = config.anchors
        anchors = search_anchors(found, config.anchors, **how)
        searched = dataclasses.replace(config, anchors=anchors)
    before: dict[str, AnchorCoverage] = {scan.split: split_coverage(scan, config) for scan in scans}
    after: dict[str, AnchorCoverage] = {scan.split: split_coverage(scan, searched) for scan in scans}
    first = scans[0].split
    if after[first].all.covered <= before[first].all.covered:
        anchors, after = given, before
    return AnchorProposal(anchors, anchor_flags(anchors), before, after)
