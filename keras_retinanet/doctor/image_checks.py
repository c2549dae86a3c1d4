"""Faults of image files: missing, broken, of another size than annotated, turned, in odd formats, or there twice."""

from __future__ import annotations

from collections.abc import Callable

from keras_retinanet.doctor.findings import Example, Finding, found
from keras_retinanet.doctor.image_scan import ImageFacts
from keras_retinanet.doctor.near_duplicates import alike_groups
from keras_retinanet.doctor.split_scan import Opened

CMYK = ("CMYK", "YCCK")
SIXTEEN_BIT = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")
"""Pillow's modes of more than eight bits a channel."""


def check_images(opened: Opened) -> list[Finding]:
    """All findings on the files of a split.

    Args:
        opened: The split.

    Returns:
        The findings.
    """
    return [*_unusable(opened), *_sizes(opened), *_odd(opened), *_copies(opened)]


def _cases(
    opened: Opened, is_case: Callable[[ImageFacts], bool], what: Callable[[ImageFacts], str] = lambda _: ""
) -> list[Example]:
    return [opened.image_example(i, what(facts)) for i, facts in enumerate(opened.facts) if is_case(facts)]


def _unusable(opened: Opened) -> list[Finding]:
    told = {
        "missing": ("images are missing", "put the files there, correct their names, or take them out with --fix"),
        "unreadable": ("files cannot be read as images", "replace or re-export them, or take them out with --fix"),
        "truncated": ("images are cut off or damaged", "copy them again, or take them out with --fix"),
    }
    findings = []
    for state, (title, fix) in told.items():
        cases = _cases(opened, lambda facts, state=state: facts.state == state, lambda facts: facts.reason)  # type: ignore[misc]
        findings += found(state, "error", opened.split, title, cases, fix)
    return findings


def _sizes(opened: Opened) -> list[Finding]:
    cases, turned = [], 0
    for i, (facts, told) in enumerate(zip(opened.facts, opened.annotated_sizes, strict=True)):
        if facts.size is not None and told is not None and facts.size != told:
            (height, width), (told_height, told_width) = facts.size, told
            what = f"is {width} × {height} pixels, {told_width} × {told_height} in the annotations"
            cases.append(opened.image_example(i, what))
            turned += facts.size == told[::-1]
    title = "images have another size than their annotations say"
    fix = "correct the annotated size, or restore the files that were annotated"
    if opened.trusts_annotated_size:
        fix += "; --fix takes these images out"
    else:
        fix += "; a training takes the size of the file, so look at a few of them with retinanet-debug"
    if turned:
        fix = (
            f"{turned} of them have height and width swapped, as if annotated upright by their EXIF orientation: "
            "save the images upright. Otherwise " + fix
        )
    return found("size", "error" if opened.trusts_annotated_size else "warning", opened.split, title, cases, fix)


def _odd(opened: Opened) -> list[Finding]:
    split = opened.split
    turned = _cases(opened, lambda f: f.orientation != 1, lambda f: f"EXIF orientation {f.orientation}")
    return [
        *found(
            "exif", "warning", split, "images are turned or mirrored by their EXIF orientation", turned,
            "boxes count in the stored pixels: if the annotation tool showed the pictures upright, save them upright "
            "(`mogrify -auto-orient`); look at them with retinanet-debug",
        ),
        *found(
            "cmyk", "warning", split, "images are CMYK", _cases(opened, lambda f: f.mode in CMYK, lambda f: f.mode),
            "their colours may come out wrong; save them as RGB",
        ),
        *found(
            "16-bit", "warning", split, "images have 16 bits a channel",
            _cases(opened, lambda f: f.mode in SIXTEEN_BIT, lambda f: f.mode),
            "only the upper eight bits are used, which may leave almost black pictures; stretch them to 8 bits",
        ),
    ]  # fmt: skip


def _copies(opened: Opened) -> list[Finding]:
    """The same picture more than once in a split."""
    cases = []
    for group in _same(opened.facts):
        first = opened.samples[group[0]]["image"]
        cases += [opened.image_example(i, f"looks like {first}") for i in group[1:]]
    fix = "take the copies out: they count double, and often contradict each other in their boxes"
    return found("duplicate-image", "warning", opened.split, "images are there twice or look alike", cases, fix)


def check_leakage(train: Opened, val: Opened) -> list[Finding]:
    """Validation images that are training images.

    Args:
        train: The training split.
        val: The validation split.

    Returns:
        The findings.
    """
    count = len(train.facts)
    cases = []
    for group in _same([*train.facts, *val.facts]):
        seen = [i for i in group if i < count]
        if seen:
            what = f"looks like the training image {train.samples[seen[0]]['image']}"
            cases += [val.image_example(i - count, what) for i in group if i >= count]
    title = "validation images are, or look like, training images"
    fix = "take them out of one of the two: AP measured on what was learned is too high"
    return found("leakage", "warning", "train, val", title, cases, fix)


def _same(facts: list[ImageFacts]) -> list[list[int]]:
    """Groups of images that have the same bytes or look alike."""
    groups = alike_groups([fact.look for fact in facts])
    seen = {i for group in groups for i in group}
    by_digest: dict[str, list[int]] = {}
    for i, fact in enumerate(facts):
        if fact.state == "whole" and i not in seen:  # plain pictures have no look
            by_digest.setdefault(fact.digest, []).append(i)
    return [*groups, *(group for group in by_digest.values() if len(group) > 1)]
