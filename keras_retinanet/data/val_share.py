"""Sets a share or a fold of the training images aside for validation: `--val-share`, `--val-fold`.

Images that belong together stay on one side: equal files, near duplicates, copies that a tool made of one image, and
images whose names show one scene. Groups are assigned one by one, those with the rarest class first, to the side that
lacks more boxes of that class (Sechidis, Tsoumakas and Vlahavas, "On the Stratification of Multi-Label Data", 2011); to
the fold that lacks most.
"""

from __future__ import annotations

import collections
import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from keras_retinanet.data.datasets.shared.annotated_images import Index
from keras_retinanet.data.equal_files import file_length
from keras_retinanet.data.errors import DataError
from keras_retinanet.data.image_groups import group_images, is_searched_for_near_duplicates

_last: dict[bytes, Division] = {}


@dataclass(frozen=True)
class Division:
    """Training and validation images.

    Attributes:
        train: Positions of the training images, ascending.
        val: Positions of the validation images, ascending.
        note: One sentence on how they were chosen.
    """

    train: list[int]
    val: list[int]
    note: str


def divide(index: Index, share: float, seed: int = 0) -> Division:
    """Divide the images of a data set.

    Args:
        index: The data set.
        share: Share of the images wanted for validation, between 0 and 1.
        seed: Seed of the order in which groups are assigned. Defaults to 0.

    Returns:
        The positions. The same data, share and seed give the same division.

    Raises:
        DataError: One side would be empty.
    """
    return _remember(index, f"{share}", seed, lambda: _divide(index, share, seed))


def choose_fold(index: Index, fold: str, seed: int = 0) -> Division:
    """Divide the images of a data set into N folds, and validate on one.

    Args:
        index: The data set.
        fold: `"I/N"`, see `parse_fold`.
        seed: Seed of the order in which groups are assigned. Defaults to 0.

    Returns:
        The positions; `val` is the fold. The same data, N and seed give the same folds.

    Raises:
        DataError: The fold would be empty.
    """
    return _remember(index, fold, seed, lambda: _choose_fold(index, fold, seed))


def parse_fold(text: str) -> tuple[int, int]:
    """Read `I/N`: fold I of N, the first is 1.

    Args:
        text: The setting.

    Returns:
        I and N.

    Raises:
        ValueError: It is not such a fraction.
    """
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]) or int(match[2]) < 2:
        raise ValueError(f"--val-fold must be I/N with 1 <= I <= N and N of at least 2, such as 1/5, got {text!r}.")
    return int(match[1]), int(match[2])


def _remember(index: Index, part: str, seed: int, compute: Callable[[], Division]) -> Division:
    """The last division: training and validation images are asked for one by one."""
    key = _hash_inputs(index, part, seed)
    if key not in _last:
        _last.clear()
        _last[key] = compute()
    return _last[key]


def _hash_inputs(index: Index, part: str, seed: int) -> bytes:
    """Hash of everything that a division depends on."""
    parts = [repr((index.images, index.class_names, part, seed)).encode(), *(part.tobytes() for part in (
        index.labels, index.ignore, index.splits))]  # fmt: skip
    lengths = np.array([file_length(image) or 0 for image in index.images], np.int64)
    return hashlib.blake2b(b"".join([*parts, lengths.tobytes()]), digest_size=16).digest()


def _divide(index: Index, share: float, seed: int) -> Division:
    group_of, reasons = group_images(index.images)
    is_val = _assign(index, group_of, share, seed)
    val = np.flatnonzero(is_val).tolist()
    if not val or len(val) == len(index.images):
        found = f"leaves no {'training' if val else 'validation'} images of {len(index.images)}"
        fix = "choose another share, or add images that are not copies of each other"
        raise DataError(f"--val-share {share:g}", found, "a share that leaves some of both", fix)
    note = f"--val-share {share:g}: {len(val)} of {len(index.images)} images are set aside for validation, by class"
    return Division(np.flatnonzero(~is_val).tolist(), val, _describe(index, note, is_val, reasons))


def _choose_fold(index: Index, fold: str, seed: int) -> Division:
    number, count = parse_fold(fold)
    group_of, reasons = group_images(index.images)
    is_val = _assign_folds(index, group_of, count, seed) == number - 1
    val = np.flatnonzero(is_val).tolist()
    if not val or len(val) == len(index.images):
        found = f"leaves no {'training' if val else 'validation'} images of {len(index.images)}"
        fix = "choose fewer folds, or add images that are not copies of each other"
        raise DataError(f"--val-fold {fold}", found, "folds that hold some images each", fix)
    note = f"--val-fold {fold}: {len(val)} of {len(index.images)} images are this fold, by class"
    return Division(np.flatnonzero(~is_val).tolist(), val, _describe(index, note, is_val, reasons))


def _describe(index: Index, note: str, is_val: np.ndarray, reasons: Sequence[str]) -> str:
    present = set(index.labels[~index.ignore].tolist())
    image = np.repeat(np.arange(len(index.images)), np.diff(index.splits))
    in_val = set(index.labels[is_val[image] & ~index.ignore].tolist())
    absent = [index.class_names[label] for label in sorted(present - in_val)]
    note += f"; kept together: {', '.join(reasons)}" if reasons else "; no images had to be kept together"
    if not is_searched_for_near_duplicates(index.images):
        note += "; near duplicates were not searched, as the data set is large (retinanet-doctor finds them)"
    if absent:
        more = ", …" if len(absent) > 5 else ""
        note += f"; without a box among them: {', '.join(absent[:5])}{more}"
    return note


@dataclass(frozen=True)
class _Groups:
    """Groups in the order in which they are assigned: `members` and `labels` of each, and the boxes of each class."""

    members: list[list[int]]
    labels: list[collections.Counter[int]]
    totals: collections.Counter[int]


def _order_groups(index: Index, group_of: np.ndarray, seed: int) -> _Groups:
    """Groups with the rarest class first, those of equal rarity shuffled."""
    members: dict[int, list[int]] = collections.defaultdict(list)
    for position, group in enumerate(group_of.tolist()):
        members[group].append(position)
    labels: dict[int, collections.Counter[int]] = {group: collections.Counter() for group in members}
    for position in range(len(index.images)):
        rows = slice(index.splits[position], index.splits[position + 1])
        labels[int(group_of[position])].update(index.labels[rows][~index.ignore[rows]].tolist())
    totals: collections.Counter[int] = collections.Counter()
    for counts in labels.values():
        totals.update(counts)
    order = np.random.default_rng(seed).permutation(sorted(members)).tolist()
    order.sort(key=lambda group: min((totals[label] for label in labels[group]), default=np.inf))
    return _Groups([members[group] for group in order], [labels[group] for group in order], totals)


def _rarest(labels: collections.Counter[int], totals: collections.Counter[int]) -> int | None:
    return min(labels, key=lambda label: (totals[label], label), default=None)


def _assign_folds(index: Index, group_of: np.ndarray, count: int, seed: int) -> np.ndarray:
    """`(I,)` int: the fold of each image."""
    groups = _order_groups(index, group_of, seed)
    found: list[collections.Counter[int]] = [collections.Counter() for _ in range(count)]
    num_images, fold_of = [0] * count, np.zeros(len(index.images), np.int64)
    for members, labels in zip(groups.members, groups.labels, strict=True):
        rarest = _rarest(labels, groups.totals)
        boxes = [0 if rarest is None else found[fold][rarest] for fold in range(count)]
        fold = min(range(count), key=lambda fold: (boxes[fold], num_images[fold]))
        fold_of[members] = fold
        num_images[fold] += len(members)
        found[fold].update(labels)
    return fold_of


def _assign(index: Index, group_of: np.ndarray, share: float, seed: int) -> np.ndarray:
    """`(I,)` bool: the image is a validation image."""
    groups = _order_groups(index, group_of, seed)
    totals = groups.totals
    wanted, wanted_images = {label: share * total for label, total in totals.items()}, share * len(index.images)
    found: collections.Counter[int] = collections.Counter()
    seen: collections.Counter[int] = collections.Counter()
    is_val = np.zeros(len(index.images), bool)
    num_val = num_seen = 0
    for members, labels in zip(groups.members, groups.labels, strict=True):
        size, rarest = len(members), _rarest(labels, totals)
        if rarest is None:
            lack, rest = wanted_images - num_val, (len(index.images) - wanted_images) - (num_seen - num_val)
            weight, part = size, wanted_images / max(len(index.images), 1)
        else:
            lack, rest = wanted[rarest] - found[rarest], totals[rarest] - wanted[rarest] - seen[rarest]
            weight, part = labels[rarest], share
        if lack / part >= rest / (1 - part) and lack >= weight / 2:
            is_val[members] = True
            num_val += size
            found.update(labels)
        else:
            seen.update(labels)
        num_seen += size
    return is_val
