"""Score thresholds of each class by what they should achieve, with what to expect of them on other images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_retinanet.analysis.bootstrap import draw_counts
from keras_retinanet.analysis.figure_intervals import Counts, Figure, Trial, estimate_figures
from keras_retinanet.analysis.goals import Goal
from keras_retinanet.evaluation.matching import RIGHT, Matches, cuts
from keras_retinanet.evaluation.metric import count_boxes
from keras_retinanet.schema import Sample

Array = NDArray[Any]

LEAST_F1 = 0.1
"""A class whose F1 is below this at its threshold is hardly found, whatever the threshold."""

REPLICATES = 1000
"""Sets of images that are drawn."""
_CELLS = 4_000_000  # detections × replicates held at a time


@dataclass(frozen=True)
class ClassThreshold:
    """The threshold of a class and what it does.

    Attributes:
        name: The class.
        threshold: Detections that score above it count; `None` for all classes together.
        boxes: Boxes to find.
        found: Detections above the threshold.
        right: Right ones among them.
        figures: `"precision"`, `"recall"`, `"F1"`, and the number of the goal, such as `"F2"` or `"cost"`.
        is_reached: Whether the goal is; where not, the threshold comes nearest to it.
    """

    name: str
    threshold: float | None
    boxes: int
    found: int
    right: int
    figures: dict[str, Figure]
    is_reached: bool = True


@dataclass(frozen=True)
class ThresholdChoice:
    """The thresholds of all classes.

    Attributes:
        goal: What was wanted.
        classes: One entry per class, in the order of the labels.
        together: The figures of all classes, each at its own threshold.
        num_images: Images they were chosen on.
        replicates: Sets of images drawn for the intervals.
        seed: Seed of the draw.
    """

    goal: Goal
    classes: tuple[ClassThreshold, ...]
    together: ClassThreshold
    num_images: int
    replicates: int
    seed: int

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the thresholds must know."""
        missed = [each.name for each in self.classes if not each.is_reached]
        unseen = [each.name for each in self.classes if not each.boxes]
        useless = [each.name for each in self.classes if 2 * each.right < LEAST_F1 * (each.found + each.boxes)]
        notes = [f"{self.goal} is not reached by {_list_some(missed)}: the nearest threshold stands"] if missed else []
        if useless:
            what = f"is below {LEAST_F1:g}: these thresholds are of no use; train further before they are stored"
            notes.append(f"F1 of {_list_some(useless)} {what}")
        return (*notes, *([f"there are no boxes of {_list_some(unseen)}: the threshold stays"] if unseen else []))


def _list_some(names: Sequence[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"


def choose_thresholds(
    matches: Matches,
    num_boxes: Array,
    class_names: Sequence[str],
    goal: Goal,
    *,
    floor: float | Sequence[float] = 0.0,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> ThresholdChoice:
    """Chooses a score threshold for each class.

    The intervals hold for thresholds that are chosen on as many images and used on as many others: in each replicate,
    thresholds are chosen on one resampled set and measured on another. So they include that a threshold fits the images
    it was chosen on better than others; see `figure_intervals`.

    Args:
        matches: Detections of all images, matched at one IoU threshold.
        num_boxes: `(I, K)` boxes to find in each image.
        class_names: Names of the labels `0 … K-1`.
        goal: What is wanted.
        floor: Threshold of the detector, or of each class: lower scores were not seen. Defaults to 0.
        replicates: Sets of images that are drawn for the intervals.
        seed: Seed of the draw.

    Returns:
        The thresholds.
    """
    floors = np.broadcast_to(np.asarray(floor, np.float64), len(class_names)).tolist()
    draws = [draw_counts(len(num_boxes), replicates, seed) for seed in (2 * seed, 2 * seed + 1)]
    classes, total = [], Trial.of_nothing(replicates)
    for label, name in enumerate(class_names):
        own, boxes = matches.of_class(label), num_boxes[:, label]
        trial, threshold, is_reached = Trial.of_nothing(replicates), floors[label], True
        if boxes.any():
            trial, is_reached = _try_thresholds(own, boxes, goal, draws)
            threshold = _cut_between(own.score, int(trial.here.found[0]), floors[label])
            total = total.plus(trial)
        classes.append(_describe(name, threshold, trial, goal, is_reached))
    together = _describe("all classes", None, total, goal, True)
    return ThresholdChoice(goal, tuple(classes), together, len(num_boxes), replicates, seed)


def count_boxes_of_images(samples: Sequence[Sample], num_classes: int) -> Array:
    """Counts the boxes to find in each image.

    Args:
        samples: Annotated images.
        num_classes: int, `K`.

    Returns:
        `(I, K)` int64.
    """
    counts = np.zeros((len(samples), num_classes), np.int64)
    for row, sample in enumerate(samples):
        labels, ignore = np.asarray(sample["labels"], np.int64), np.asarray(sample["ignore"], bool)
        counts[row] = count_boxes(labels, ignore, num_classes)
    return counts


def _try_thresholds(own: Matches, boxes: Array, goal: Goal, draws: Sequence[Array]) -> tuple[Trial, bool]:
    """Counts at the best threshold, and whether it reaches the goal; counts of each draw at its own best threshold."""
    kept = cuts(own.score)
    hits = np.concatenate([[0], np.cumsum(own.verdict)])[kept]
    kept = kept[np.diff(hits, prepend=-1) > 0]  # thresholds below a right detection are the best, whatever the goal
    here = _count_at(own, boxes, kept, np.ones((1, len(boxes)), np.int32))
    position, is_reached = goal.choose(*here)
    parts = []
    step = max(1, _CELLS // max(len(own.score), 1))
    for first in range(0, len(draws[0]), step):
        sides = [_count_at(own, boxes, kept, draw[first : first + step]) for draw in draws]
        best = goal.choose(*sides[0])[0]
        parts.append([_take_at(side, best) for side in sides])
    chosen_on, measured_on = (
        Counts(*(np.concatenate(columns) for columns in zip(*side, strict=True))) for side in zip(*parts, strict=True)
    )
    return Trial(_take_at(here, position), chosen_on, measured_on), bool(is_reached[0])


def _take_at(counts: Counts, position: Array) -> Counts:
    """`(R,)` counts at one threshold for each set of images."""
    right, found = (np.take_along_axis(table, position[None], 0)[0] for table in counts[:2])
    return Counts(right, found, counts.boxes)


def _count_at(own: Matches, boxes: Array, kept: Array, draw: Array) -> Counts:
    """Counts of sets of images `(R, I)` if the best `kept` detections, `(C,)` numbers from 0 on, count."""
    times = np.ascontiguousarray(draw.T)[own.image[: kept[-1]]]  # (D, R)
    is_right = own.verdict[: kept[-1]] == RIGHT
    starts = np.cumsum(is_right)[kept[1:] - 1]
    tables = []
    for rows, first in ((times[is_right], np.concatenate([[0], starts[:-1]])), (times, kept[:-1])):
        table = np.zeros((len(kept), len(draw)), np.int64)
        if len(kept) > 1:
            np.cumsum(np.add.reduceat(rows, first.astype(np.int64), axis=0), axis=0, out=table[1:])
        tables.append(table)
    return Counts(tables[0], tables[1], draw @ boxes)


def _describe(name: str, threshold: float | None, trial: Trial, goal: Goal, is_reached: bool) -> ClassThreshold:
    right, found, boxes = (int(count[0]) for count in trial.here)
    return ClassThreshold(name, threshold, boxes, found, right, estimate_figures(goal, trial), is_reached)


def _cut_between(scores: Array, kept: int, floor: float) -> float:
    """A threshold above which the best `kept` of descending scores lie: the shortest number near the middle."""
    if not kept:
        return 1.0 if len(scores) else floor
    upper = float(scores[kept - 1])
    if kept == len(scores):
        return floor
    lower = float(scores[kept])
    for digits in range(2, 17):
        middle = round((lower + upper) / 2, digits)
        if lower < middle < upper:
            return middle
    return lower
