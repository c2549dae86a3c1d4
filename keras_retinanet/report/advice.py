"""What to do next, in sentences that follow from the numbers of a report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from keras_retinanet.analysis import Analysis
from keras_retinanet.report.sections import describe_count
from keras_retinanet.report.subject import Subject

MIN_LOSS = 0.01
"""A kind of error that costs less AP is not mentioned."""
FEW_BOXES = 50
"""A class with fewer training boxes has few."""
FEW_TO_MEASURE = 10
"""AP of a class with fewer boxes depends on chance."""
MIN_GAP = 0.15
"""A difference of AP between parts of the data set that is mentioned."""
LARGE_CALIBRATION_ERROR = 0.1
SHORT_RUN = 3
"""Epochs of a run that was likely stopped too early, so that its length matters more than anything else."""
HARDLY_TRAINED = 0.05
"""A detector with a lower AP at IoU 0.5 has learned so little that what it gets wrong says nothing about the data."""
MOST_NAMES = 3
REMEDIES = {
    "Cls": "Check that the annotations distinguish these classes in the same way everywhere, and add examples of both",
    "Loc": "Check that boxes are annotated tightly; larger images or --box-loss giou make boxes tighter",
    "Both": "Look at these detections among the confident errors: a class may be missing in the annotations",
    "Dupe": "Lower --nms-threshold",
    "Bkg": "Look for objects that are not annotated; if there are none, add images without objects, or raise the score "
    "threshold",
    "Miss": "Train longer, with larger images, or with more images of what is missed",
}
"""What helps against each of TIDE's kinds of error."""


class Advice(NamedTuple):
    """One sentence or two.

    Attributes:
        text: They.
        section: The section of the page that has the numbers.
    """

    text: str
    section: str


def advise(subject: Subject, analysis: Analysis, threshold: float) -> list[Advice]:
    """Derives what to do next.

    Args:
        subject: What the report is about.
        analysis: Where the detector fails.
        threshold: The score threshold with the best F1.

    Returns:
        The most promising first.
    """
    if not analysis.curves.hits[-1, 0]:
        reason = "No detection is right. Check that the annotations belong to these images, then train longer."
        return [Advice(reason, "classes")]
    training, is_short = [*_on_training(subject)], len(subject.rows) < SHORT_RUN
    if analysis.errors.ap < HARDLY_TRAINED:
        text = (
            f"The detector is hardly trained: AP at IoU {analysis.errors.iou_threshold:g} is {analysis.errors.ap:.3f}. "
            "Check that the annotated boxes lie on their objects (see the pictures); then more epochs help most, and "
            "pretrained weights (--weights). What it gets wrong so far says little about the data."
        )
        return [Advice(text, "classes"), *training]
    return [
        *(training if is_short else ()),
        *_on_errors(analysis),
        *_on_parts(analysis),
        *_on_classes(subject),
        *(() if is_short else training),
        *_on_scores(analysis),
        *_on_threshold(analysis, threshold),
    ]


def _on_errors(analysis: Analysis) -> Iterator[Advice]:
    losses = {kind: loss for kind, loss in analysis.errors.delta_ap.items() if kind in REMEDIES}
    kind = max(losses, key=lambda name: losses[name])
    if losses[kind] < MIN_LOSS:
        return
    what = {
        "Cls": "objects found with the wrong class",
        "Loc": "loose boxes",
        "Both": "detections with wrong class and loose box",
        "Dupe": "objects found twice",
        "Bkg": "detections where nothing is annotated",
        "Miss": "objects that are not found at all",
    }[kind]
    confused = f" ({_describe_confusion(analysis)})" if kind == "Cls" and _describe_confusion(analysis) else ""
    count = analysis.errors.counts[kind]
    yield Advice(
        f"Most AP is lost to {what}{confused}: {losses[kind]:.3f}, {describe_count(count, 'case')}. {REMEDIES[kind]}.",
        "errors",
    )


def _describe_confusion(analysis: Analysis) -> str:
    """The pair of classes that is mistaken most."""
    counts = np.array(analysis.confusion.counts[:-1, :-1])
    np.fill_diagonal(counts, 0)
    if not counts.any():
        return ""
    true, found = np.unravel_index(counts.argmax(), counts.shape)
    names = analysis.class_names
    return f"most often {names[true]} as {names[found]}, {describe_count(counts[true, found], 'time')}"


def _on_parts(analysis: Analysis) -> Iterator[Advice]:
    """Parts of the data set with a much lower AP than others of their kind."""
    remedies = {
        "size": "Larger input images (--image-min-side), --tile, or smaller anchors help small objects",
        "brightness": "Add such images, or train with --augment presets that change colours",
        "position": "Objects that are cut off may be annotated in different ways",
        "boxes per image": "Raise --max-detections, or lower the NMS overlap only if objects do not overlap",
        "aspect ratio": "retinanet-doctor --optimise-anchors proposes anchors of these shapes",
    }
    gaps = []
    for kind in remedies:
        parts = [part for part in analysis.slices if part.kind == kind and part.num_boxes >= FEW_TO_MEASURE]
        if len(parts) > 1:
            worst, best = min(parts, key=lambda part: part.ap), max(parts, key=lambda part: part.ap)
            gaps.append((best.ap - worst.ap, kind, worst, best))
    for gap, kind, worst, best in sorted(gaps, key=lambda row: -row[0])[:2]:
        if gap >= MIN_GAP:
            text = (
                f"By {kind}, AP is {worst.ap:.3f} for “{worst.name}” ({worst.num_boxes:,} boxes) against {best.ap:.3f} "
            )
            yield Advice(f"{text}for “{best.name}”. {remedies[kind]}.", "where")


def _on_classes(subject: Subject) -> Iterator[Advice]:
    result = subject.result
    if result is None:
        return
    name, values = next(iter(result.per_class.items()))
    known = np.flatnonzero((result.num_boxes >= FEW_TO_MEASURE) & np.isfinite(values))
    if len(known) > 1 and subject.main != "oLRP":
        weakest = known[np.argsort(values[known], kind="stable")][: min(MOST_NAMES, len(known) // 2)]
        listed = [f"{subject.class_names[k]} ({name} {values[k]:.3f}{_training(subject, int(k))})" for k in weakest]
        yield Advice(f"The weakest class{'es are' if len(weakest) > 1 else ' is'} {_join(listed)}.", "classes")
    if subject.training_boxes is not None:
        counts = np.asarray(subject.training_boxes)
        few = np.flatnonzero((counts < FEW_BOXES) & (result.num_boxes > 0))
        if len(few):
            listed = [f"{subject.class_names[k]} ({counts[k]:,})" for k in few[np.argsort(counts[few])][:MOST_NAMES]]
            more = f" and {len(few) - MOST_NAMES} more" if len(few) > MOST_NAMES else ""
            text = f"Few training boxes, below {FEW_BOXES}: {_join(listed)}{more}. More of them help most."
            yield Advice(text, "classes")
    rare = int(((result.num_boxes > 0) & (result.num_boxes < FEW_TO_MEASURE)).sum())
    if rare:
        text = f"{rare} of the classes have fewer than {FEW_TO_MEASURE} boxes here: their numbers depend on chance."
        yield Advice(text, "classes")


def _training(subject: Subject, label: int) -> str:
    return "" if subject.training_boxes is None else f", {subject.training_boxes[label]:,} training boxes"


def _on_training(subject: Subject) -> Iterator[Advice]:
    """Whether the run was too short or too long."""
    epochs = [int(row["epoch"]) for row in subject.rows]
    if not epochs or subject.best_epoch is None:
        return
    if subject.best_epoch == epochs[-1]:
        text = f"The last epoch, {epochs[-1]}, is the best: train longer (--resume RUN --epochs {2 * epochs[-1]})."
        yield Advice(text, "training")
    elif subject.best_epoch <= epochs[-1] * 0.6:
        text = f"Epoch {subject.best_epoch} of {epochs[-1]} is the best: more images or a stronger --augment help more"
        yield Advice(f"{text} than epochs; --patience ends such a run earlier.", "training")


def _on_scores(analysis: Analysis) -> Iterator[Advice]:
    error = analysis.calibration.expected_error
    if error > LARGE_CALIBRATION_ERROR:
        text = (
            f"Scores are not probabilities: they differ from the share of right detections by {error:.2f} on average."
        )
        yield Advice(f"{text} Choose thresholds by the curves of this page.", "calibration")


def _on_threshold(analysis: Analysis, threshold: float) -> Iterator[Advice]:
    curves = analysis.curves
    place = curves.thresholds.tolist().index(threshold)
    precision, recall = curves.precision[-1, place], curves.recall[-1, place]
    text = f"For use, F1 is best at --score-threshold {threshold:.2f}: {precision:.1%} of the detections are right, and"
    yield Advice(f"{text} {recall:.1%} of the boxes are found. Move the slider for another balance.", "threshold")


def _join(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
