"""Faults of classes: none, unused, rare, similar names, ids from 1; images without boxes; ignore regions."""

from __future__ import annotations

import numpy as np

from keras_retinanet.config import TrainConfig
from keras_retinanet.doctor.findings import MAX_EXAMPLES, Example, Finding, Severity, report_cases
from keras_retinanet.doctor.split_scan import ScannedSplit

MIN_BOXES = 20
"""A class with fewer boxes is rare."""

MAX_IMBALANCE = 100
"""A larger ratio of the boxes of the most frequent class to those of the rarest is worth a note."""

MAX_EMPTY_SHARE, MAX_IGNORED_SHARE = 0.5, 0.2
"""Larger shares of images without boxes, and of ignore regions, are a warning instead of a note."""

BACKGROUND_NAMES = ("background", "__background__", "bg")


def check_class_list(split: ScannedSplit, config: TrainConfig) -> list[Finding]:
    """Finds training data without any class, class names that differ in spelling only, and background classes."""
    del config
    if split.split != "train":
        return []
    if not split.class_names:
        title = "training images, but no box names a class: training cannot start"
        fix = "annotate some boxes, or name the classes: csv takes a file of them"
        return report_cases("no-class", "error", "train", title, [], fix, len(split.samples))
    by_spelling: dict[str, list[str]] = {}
    for name in split.class_names:
        by_spelling.setdefault("".join(name.casefold().split()).replace("_", "").replace("-", ""), []).append(name)
    similar = [
        Example(names[0], "also written " + ", ".join(map(repr, names[1:])))
        for names in by_spelling.values()
        if names[1:]
    ]
    background = [Example(name) for name in split.class_names if name.casefold() in BACKGROUND_NAMES]
    return [
        *report_cases("similar-names", "warning", split.split, "classes differ from others only in spelling", similar,
               "use one name"),
        *report_cases("background-class", "warning", split.split, "classes are named for the background", background,
               "remove it from the list of classes: background needs no class"),
    ]  # fmt: skip


def check_first_id(split: ScannedSplit, config: TrainConfig) -> list[Finding]:
    """Finds ids that probably count from 1 instead of 0: only the first class has no box."""
    del config
    counts = split.boxes_by_class
    if split.split != "train" or len(counts) < 2 or counts[0] or not counts[1:].all():
        return []
    case = Example(split.class_names[0], "has no box, every other class has")
    fix = (
        "check whether class ids count from 1 in the files and from 0 in the list of names: all names would be shifted"
    )
    title = "class ids may count from 1 instead of 0"
    return [Finding("one-based", "warning", split.split, title, 1, (case,), fix)]


def check_unused_classes(split: ScannedSplit, config: TrainConfig) -> list[Finding]:
    """Finds classes without a box."""
    del config
    cases = [Example(name) for name, count in zip(split.class_names, split.boxes_by_class, strict=True) if not count]
    is_train = split.split == "train"
    fix = "annotate some, or remove them from the list of classes" if is_train else "their AP cannot be measured"
    severity: Severity = "warning" if is_train else "note"
    return report_cases("unused-class", severity, split.split, "classes have no box", cases, fix)


def check_rare_classes(split: ScannedSplit, config: TrainConfig) -> list[Finding]:
    """Finds training classes with few boxes, and a strong imbalance of the classes."""
    del config
    if split.split != "train":
        return []
    counts = split.boxes_by_class
    order = [int(k) for k in np.argsort(counts, kind="stable") if counts[k]]  # used classes, rarest first
    rare = [Example(split.class_names[k], f"{counts[k]} boxes") for k in order if counts[k] < MIN_BOXES]
    findings = report_cases(
        "rare-class", "warning", split.split, f"classes have fewer than {MIN_BOXES} boxes", rare,
        "annotate more of them, or remove them: so few teach little, and their AP is mostly noise",
    )  # fmt: skip
    if order and counts[order[-1]] >= MAX_IMBALANCE * counts[order[0]]:
        most, least = split.class_names[order[-1]], split.class_names[order[0]]
        title = f"{most} has {counts[order[-1]] // counts[order[0]]:,} times as many boxes as {least}"
        fix = "the focal loss tolerates that; repeat images with rare classes if their AP stays low"
        findings.append(Finding("imbalance", "note", split.split, title, 1, (), fix))
    return findings


def check_empty_images(split: ScannedSplit, config: TrainConfig) -> list[Finding]:
    """Finds images without boxes."""
    del config
    cases = [split.image_example(int(i)) for i in np.flatnonzero(split.raw_boxes_by_image == 0)]
    share = len(cases) / max(len(split.samples), 1)
    fix = "right if they show no object: they teach what background is. If not, annotate or remove them"
    severity: Severity = "warning" if share > MAX_EMPTY_SHARE else "note"
    return report_cases("empty-image", severity, split.split, f"images have no boxes ({share:.0%})", cases, fix)


def check_ignore_regions(split: ScannedSplit, config: TrainConfig) -> list[Finding]:
    """Finds ignore regions."""
    del config
    rows = np.flatnonzero(split.raw_ignore)
    share = len(rows) / max(len(split.raw_ignore), 1)
    title = f"of {len(split.raw_ignore):,} boxes are ignore regions: crowds, difficult objects ({share:.1%})"
    fix = "anchors there are neither object nor background; for pascal, --difficult keep makes them objects"
    severity: Severity = "warning" if share > MAX_IGNORED_SHARE else "note"
    examples = [split.box_example(int(row)) for row in rows[:MAX_EXAMPLES]]
    return report_cases("ignored", severity, split.split, title, examples, fix, count=len(rows))


def check_untrained_classes(train: ScannedSplit, val: ScannedSplit, config: TrainConfig) -> list[Finding]:
    """Finds classes with validation boxes but no training boxes."""
    del config
    trained = dict(zip(train.class_names, train.boxes_by_class.tolist(), strict=True))
    cases = [
        Example(name, f"{count} boxes in val, none in train")
        for name, count in zip(val.class_names, val.boxes_by_class.tolist(), strict=True)
        if count and not trained.get(name)
    ]
    title = "classes have boxes in the validation images but none in the training images"
    fix = "split the images differently: such a class always has AP 0"
    is_unknown = any(case.where not in trained for case in cases)
    severity: Severity = "error" if is_unknown else "warning"
    return report_cases("untrained-class", severity, "train, val", title, cases, fix)
