"""Faults of classes: unused, rare, named twice, counted from 1; and images without boxes, and ignore regions."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_retinanet.doctor.findings import Example, Finding, found
from keras_retinanet.doctor.split_scan import Opened

FEW = 20
"""Boxes that a class should have to be learned at all."""

IMBALANCE = 100
"""Boxes of the most frequent class over those of the rarest from which it is worth a note."""

MANY_EMPTY, MANY_IGNORED = 0.5, 0.2
"""Shares of images without boxes and of ignore regions from which they are a warning."""


def count_boxes(opened: Opened) -> Any:
    """`(K,)` int: boxes of each class that train, ignore regions not counted."""
    kept = [np.asarray(sample["labels"])[~np.asarray(sample["ignore"], bool)] for sample in opened.usable]
    labels = np.concatenate([*kept, np.zeros(0, np.int64)]).astype(np.int64)
    return np.bincount(labels, minlength=len(opened.class_names))


def check_classes(opened: Opened) -> list[Finding]:
    """All findings on the classes of a split.

    Args:
        opened: The split.

    Returns:
        The findings.
    """
    counts, is_train = count_boxes(opened), opened.split == "train"
    return [
        *(_none(opened) if is_train else []),
        *(_names(opened) if is_train else []),
        *(_base(opened, counts) if is_train else []),
        *_unused(opened, counts),
        *(_rare(opened, counts) if is_train else []),
        *_without_boxes(opened),
        *_ignored(opened),
    ]


def _none(opened: Opened) -> list[Finding]:
    title = "training images, and not one box that names a class: a training cannot begin"
    fix = "annotate some, or name the classes: csv takes a file of them"
    return [] if opened.class_names else found("no-class", "error", "train", title, [], fix, len(opened.samples))


def check_both(train: Opened, val: Opened) -> list[Finding]:
    """Findings on how the classes of the two splits go together.

    Args:
        train: The training split.
        val: The validation split.

    Returns:
        The findings.
    """
    trained = dict(zip(train.class_names, count_boxes(train).tolist(), strict=True))
    counts = zip(val.class_names, count_boxes(val).tolist(), strict=True)
    cases = [
        Example(name, f"{count} boxes in val, none in train")
        for name, count in counts
        if count and not trained.get(name)
    ]
    title = "classes are to be found in the validation images that no training image shows"
    fix = "divide the images anew: such a class has AP 0 whatever is trained"
    is_unknown = any(case.where not in trained for case in cases)
    return found("untrained-class", "error" if is_unknown else "warning", "train, val", title, cases, fix)


def _names(opened: Opened) -> list[Finding]:
    """Names that are the same but for case, blanks and dashes; and a background class."""
    plain: dict[str, list[str]] = {}
    for name in opened.class_names:
        plain.setdefault("".join(name.casefold().split()).replace("_", "").replace("-", ""), []).append(name)
    cases = [
        Example(names[0], "also written " + ", ".join(map(repr, names[1:]))) for names in plain.values() if names[1:]
    ]
    background = [
        Example(name) for name in opened.class_names if name.casefold() in ("background", "__background__", "bg")
    ]
    return [
        *found("similar-names", "warning", opened.split, "classes differ from others in spelling only", cases,
               "give them one name"),
        *found("background-class", "warning", opened.split, "classes are named for the background", background,
               "take it out of the list of classes: what is no object needs no class of its own"),
    ]  # fmt: skip


def _base(opened: Opened, counts: Any) -> list[Finding]:
    """Ids that count from 1 where they should from 0 leave the first class without boxes, and all others with."""
    if len(counts) < 2 or counts[0] or not counts[1:].all():
        return []
    case = Example(opened.class_names[0], "has no box, every class after it has")
    fix = "see whether class ids count from 1 in the files and from 0 in the list of names: then all names are one off"
    return [Finding("one-based", "warning", opened.split, "class ids may count from 1 instead of 0", 1, (case,), fix)]


def _unused(opened: Opened, counts: Any) -> list[Finding]:
    cases = [Example(name) for name, count in zip(opened.class_names, counts, strict=True) if not count]
    is_train = opened.split == "train"
    fix = "annotate some, or take them out of the list of classes" if is_train else "their AP cannot be measured"
    return found("unused-class", "warning" if is_train else "note", opened.split, "classes have no box", cases, fix)


def _rare(opened: Opened, counts: Any) -> list[Finding]:
    order = np.argsort(counts, kind="stable")
    rare = [Example(opened.class_names[k], f"{counts[k]} boxes") for k in order if 0 < counts[k] < FEW]
    used = counts[counts > 0]
    findings = found(
        "rare-class", "warning", opened.split, f"classes have fewer than {FEW} boxes", rare,
        "annotate more of them, or leave them out: so few teach little and make AP a matter of luck",
    )  # fmt: skip
    if len(used) and used.max() >= IMBALANCE * used.min():
        most, least = (
            opened.class_names[int(order[-1])],
            rare[0].where if rare else opened.class_names[order[counts[order] > 0][0]],
        )
        title = f"{most} has {used.max() // used.min():,} times as many boxes as {least}"
        fix = "the focal loss bears it; show rare classes more often if their AP lags"
        findings.append(Finding("imbalance", "note", opened.split, title, 1, (), fix))
    return findings


def _without_boxes(opened: Opened) -> list[Finding]:
    owner = np.bincount(opened.raw_image, minlength=len(opened.samples))
    cases = [opened.image_example(int(i)) for i in np.flatnonzero(owner == 0)]
    share = len(cases) / max(len(opened.samples), 1)
    fix = "right if they show no object: they teach what is background. If not, annotate them or take them out"
    severity = "warning" if share > MANY_EMPTY else "note"
    title = f"images have no boxes ({share:.0%})"
    return found("empty-image", severity, opened.split, title, cases, fix)  # type: ignore[arg-type]


def _ignored(opened: Opened) -> list[Finding]:
    rows = np.flatnonzero(opened.raw_ignore)
    share = len(rows) / max(len(opened.raw_ignore), 1)
    title = f"of {len(opened.raw_ignore):,} boxes are ignore regions: crowds, difficult objects ({share:.1%})"
    fix = "nothing is learned there; pascal: --difficult keep makes objects of them"
    severity = "warning" if share > MANY_IGNORED else "note"
    examples = [opened.box_example(int(row)) for row in rows[:5]]
    return found("ignored", severity, opened.split, title, examples, fix, count=len(rows))  # type: ignore[arg-type]
