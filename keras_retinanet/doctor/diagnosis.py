"""From the settings of a run to a diagnosis: open both splits, look at everything, and say what was found."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from keras_retinanet.config import AnchorConfig, TrainConfig
from keras_retinanet.data.error_collector import ErrorCollector
from keras_retinanet.data.errors import DataError
from keras_retinanet.data.open_dataset import Split, has_validation
from keras_retinanet.doctor.anchor_fit import network_boxes
from keras_retinanet.doctor.anchor_search import anchor_flags, search_anchors
from keras_retinanet.doctor.box_checks import check_boxes
from keras_retinanet.doctor.class_checks import check_both, check_classes, count_boxes
from keras_retinanet.doctor.coverage import AnchorCoverage, check_coverage, measure
from keras_retinanet.doctor.findings import Example, Finding, exit_status, found, sort
from keras_retinanet.doctor.image_checks import check_images, check_leakage
from keras_retinanet.doctor.split_scan import Opened, open_split

Bar = Callable[[int], Callable[[int], object]]
"""Called with how many there are; answers what is called with 1 after each."""


@dataclass(frozen=True)
class SplitSummary:
    """A split in numbers.

    Attributes:
        split: `"train"` or `"val"`.
        images: Images listed.
        usable: Those that can be decoded and have the annotated size.
        empty: Images without boxes.
        boxes: Boxes as annotated, ignore regions included.
        ignored: Ignore regions.
        boxes_by_class: Boxes that train, by class.
        coverage: How the anchors meet them.
        notes: What the reader has to say.
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
class Proposal:
    """Anchors that fit better.

    Attributes:
        anchors: The anchors proposed; those given where the search found none that are better.
        flags: What asks `retinanet-train` for them.
        before: Coverage of each split with the anchors given.
        after: Coverage of each split with those proposed.
    """

    anchors: AnchorConfig
    flags: str
    before: Mapping[str, AnchorCoverage]
    after: Mapping[str, AnchorCoverage]


@dataclass(frozen=True)
class Diagnosis:
    """What the doctor says of a data set.

    Attributes:
        config: Settings that it was looked at with.
        splits: The splits that could be opened.
        findings: The worst first.
        proposal: Better anchors, if they were asked for.
        opened: All that was read, for pages and clean copies.
    """

    config: TrainConfig
    splits: tuple[SplitSummary, ...]
    findings: tuple[Finding, ...]
    proposal: Proposal | None = None
    opened: tuple[Opened, ...] = field(default=(), repr=False)

    @property
    def status(self) -> int:
        """0 clean, 1 warnings, 2 errors."""
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
    config: TrainConfig, *, use_search: bool = False, images_bar: Bar | None = None, search_bar: Bar | None = None
) -> Diagnosis:
    """Looks at a data set as a training with these settings would meet it.

    Args:
        config: TrainConfig. The data, the anchors, the assigner and the resize rule count; `data.limit` images of each
            split are looked at.
        use_search: bool. Search for anchors that fit better. Defaults to `False`.
        images_bar: Callable. Shows how far it is with the images. Defaults to nothing.
        search_bar: Callable. Shows how far the search is. Defaults to nothing.

    Returns:
        The diagnosis. What is broken in structure is a finding, too; nothing is raised for it.
    """
    findings: list[Finding] = []
    opened: list[Opened] = []
    splits: list[Split] = ["train"]
    try:
        splits += ["val"] if has_validation(config.data) else []
    except DataError as error:
        findings.append(_structure("train", error))
    for split in splits if not findings else []:
        collector = ErrorCollector()
        try:
            opened.append(open_split(config.data, split, images_bar or _silent, collector))
        except DataError as error:
            findings.append(_structure(split, error))
        findings += _faults(split, collector)
    for part in opened:
        findings += [*check_images(part), *check_boxes(part, config.resize), *check_classes(part)]
    if len(opened) == 2:
        findings += [*check_leakage(*opened), *check_both(*opened)]
    summaries = tuple(_summary(part, config, config.anchors) for part in opened)
    findings += [one for summary in summaries for one in check_coverage(summary.coverage, summary.split)]
    proposal = _propose(opened, config, search_bar or _silent) if use_search and opened else None
    return Diagnosis(config, summaries, tuple(sort(findings)), proposal, tuple(opened))


def _silent(total: int) -> Callable[[int], object]:
    del total
    return lambda _: None


def _faults(split: str, collector: ErrorCollector) -> list[Finding]:
    """What the reader left out to go on; a training would end there."""
    cases = [Example(error.where, error.found) for error in collector.errors]
    fixes = list(dict.fromkeys(f"{error.fix} (allowed: {error.allowed})" for error in collector.errors))
    title = "lines, files or annotations are broken: a training ends at the first"
    return found("structure", "error", split, title, cases, "; ".join(fixes[:3]), collector.num_errors)


def _structure(split: str, error: DataError) -> Finding:
    allowed = f"allowed: {error.allowed}. " if error.allowed else ""
    case = Example(error.where, error.found)
    title = f"the {split} annotations cannot be used: {error.found}"
    return Finding("structure", "error", split, title, 1, (case,), f"{allowed}{error.fix}")


def _summary(opened: Opened, config: TrainConfig, anchors: AnchorConfig) -> SplitSummary:
    counts = count_boxes(opened)
    return SplitSummary(
        split=opened.split,
        images=len(opened.samples),
        usable=int(opened.is_usable.sum()),
        empty=int((np.bincount(opened.raw_image, minlength=len(opened.samples)) == 0).sum()),
        boxes=len(opened.raw_boxes),
        ignored=int(opened.raw_ignore.sum()),
        boxes_by_class={name: int(count) for name, count in zip(opened.class_names, counts, strict=True)},
        coverage=_coverage(opened, config, anchors),
        notes=opened.notes,
    )


def _coverage(opened: Opened, config: TrainConfig, anchors: AnchorConfig) -> AnchorCoverage:
    boxes = network_boxes(opened.usable, config.resize)
    return measure(boxes, opened.class_names, anchors, config.assigner, config.resize)


def _propose(opened: list[Opened], config: TrainConfig, bar: Bar) -> Proposal:
    """Searched for on the training images; measured on all of the boxes, of both splits."""
    from_train = network_boxes(opened[0].usable, config.resize)
    anchors = search_anchors(
        from_train, config.anchors, config.resize, config.assigner.positive_iou, config.seed, bar(0)
    )
    before: dict[str, AnchorCoverage] = {part.split: _coverage(part, config, config.anchors) for part in opened}
    after: dict[str, AnchorCoverage] = {part.split: _coverage(part, config, anchors) for part in opened}
    first = opened[0].split
    if after[first].all.covered <= before[first].all.covered:
        anchors, after = config.anchors, before
    return Proposal(anchors, anchor_flags(anchors), before, after)
