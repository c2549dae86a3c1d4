"""Faults of image files: missing, broken, wrong size, turned, unusual formats, duplicates."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from keras_retinanet.config import TrainConfig
from keras_retinanet.data.near_duplicates import group_near_duplicates
from keras_retinanet.doctor.findings import Example, Finding, report_cases
from keras_retinanet.doctor.image_scan import USABLE, ImageFacts
from keras_retinanet.doctor.split_scan import ScannedSplit, has_other_size

CMYK_MODES = ("CMYK", "YCCK")
SIXTEEN_BIT_MODES = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")
"""Pillow's modes of more than eight bits per channel."""

_UNUSABLE = {
    "missing": ("images are missing", "restore the files, correct their names, or remove them with --fix"),
    "unreadable": ("files cannot be read as images", "replace or re-export them, or remove them with --fix"),
    "truncated": ("images are truncated or damaged", "copy them again, or remove them with --fix"),
}
"""Title and fix for each state of a file that is not whole."""


def check_files(split: ScannedSplit, config: TrainConfig) -> list[Finding]:
    """Finds files that are missing, unreadable, truncated or cut off."""
    del config
    findings = []
    for state, (title, fix) in _UNUSABLE.items():
        cases = _select(split, lambda facts, state=state: facts.state == state, lambda facts: facts.reason)  # type: ignore[misc]
        findings += report_cases(state, "error", split.split, title, cases, fix)
    cut_off = _select(split, lambda facts: facts.state == "cut off", lambda facts: facts.reason)
    title = "JPEGs lack their last bytes"
    fix = "they are used, grey where nothing is left; copy them again if there are originals"
    return [*findings, *report_cases("cut-off", "warning", split.split, title, cut_off, fix)]


def check_image_sizes(split: ScannedSplit, config: TrainConfig) -> list[Finding]:
    """Finds images whose size differs from the annotated one."""
    del config
    cases, num_swapped = [], 0
    for i, (facts, annotated) in enumerate(zip(split.facts, split.annotated_sizes, strict=True)):
        if facts.size is not None and annotated is not None and has_other_size(facts, annotated):
            (height, width), (annotated_height, annotated_width) = facts.size, annotated
            what = f"is {width} × {height} pixels, {annotated_width} × {annotated_height} in the annotations"
            cases.append(split.image_example(i, what))
            num_swapped += facts.size == annotated[::-1]
    fix = "correct the annotated size, or restore the files that were annotated"
    if split.trusts_annotated_size:
        fix += "; --fix removes these images"
    else:
        fix += "; training uses the size of the file, so check a few of them with retinanet-debug"
    if num_swapped:
        fix = (
            f"{num_swapped} of them have height and width swapped, as if they had lost an EXIF orientation since then. "
            "Otherwise " + fix
        )
    severity = "error" if split.trusts_annotated_size else "warning"
    return report_cases("size", severity, split.split, "images differ in size from their annotations", cases, fix)  # type: ignore[arg-type]


def check_orientations(split: ScannedSplit, config: TrainConfig) -> list[Finding]:
    """Finds images with an EXIF orientation, those seen otherwise than most, and those whose boxes do not fit."""
    frames = {i: sample["orientation"] > 1 for i, sample in enumerate(split.samples) if "orientation" in sample}
    is_usual = 2 * sum(frames.values()) >= len(frames)
    words = {True: "turned upright", False: "as stored"}
    cases = {i: split.image_example(i, f"EXIF orientation {split.facts[i].orientation}") for i in frames}
    others = [cases[i] for i, is_turned in frames.items() if is_turned != is_usual]
    wrong = [cases[i] for i, is_turned in frames.items() if split.exif_votes[i] == (-1 if is_turned else 1)]
    is_known = any(split.exif_votes[i] for i in frames)
    shown = "as sizes and boxes show" if is_known else "as labelling tools show them; neither sizes nor boxes prove it"
    return [
        *report_cases(
            "exif", "note" if is_known else "warning", split.split,
            "images are rotated or mirrored by their EXIF orientation", [*cases.values()],
            f"boxes refer to them {words[is_usual]}, {shown if config.data.exif == 'auto' else 'as --exif says'}: "
            "check a few with retinanet-debug",
        ),
        *report_cases(
            "exif-mixed", "warning", split.split,
            f"images were annotated {words[not is_usual]}, unlike others with an EXIF orientation", others,
            "each is seen as its size or boxes show: check them with retinanet-debug, and write all upright with --fix",
        ),
        *report_cases(
            "exif-boxes", "error", split.split, "images have sizes or boxes that fit them only the other way round",
            wrong, f"leave out --exif {config.data.exif}, so that each image is seen as it was annotated",
        ),
    ]  # fmt: skip


def check_pixel_formats(split: ScannedSplit, config: TrainConfig) -> list[Finding]:
    """Finds images in CMYK, or with 16 bits per channel."""
    del config
    cmyk = _select(split, lambda f: f.mode in CMYK_MODES, lambda f: f.mode)
    depth = max((sample.get("bit_depth", 0) for sample in split.samples), default=0) or 16
    deep = _select(split, lambda f: f.mode in SIXTEEN_BIT_MODES, lambda f: f.mode)
    return [
        *report_cases(
            "cmyk", "warning", split.split, "images are CMYK", cmyk, "their colours may be wrong; save them as RGB"
        ),
        *report_cases(
            "16-bit", "note", split.split, "images have 16 bits per channel", deep,
            f"the largest of {depth} bits becomes white, and eight bits are kept; --bit-depth sets another number",
        ),
    ]  # fmt: skip


def check_duplicate_images(split: ScannedSplit, config: TrainConfig) -> list[Finding]:
    """Finds images that occur more than once in a split."""
    del config
    cases = []
    for group in _group_duplicates(split.facts):
        first = split.samples[group[0]]["image"]
        cases += [split.image_example(i, f"looks like {first}") for i in group[1:]]
    title = "images are duplicates or near duplicates of others"
    fix = "remove the copies: they count twice, and their boxes often contradict each other"
    return report_cases("duplicate-image", "warning", split.split, title, cases, fix)


def check_leakage(train: ScannedSplit, val: ScannedSplit, config: TrainConfig) -> list[Finding]:
    """Finds validation images that are also training images."""
    del config
    count = len(train.facts)
    cases = []
    for group in _group_duplicates([*train.facts, *val.facts]):
        in_train = [i for i in group if i < count]
        if in_train:
            what = f"looks like the training image {train.samples[in_train[0]]['image']}"
            cases += [val.image_example(i - count, what) for i in group if i >= count]
    title = "validation images are duplicates or near duplicates of training images"
    fix = "remove them from one of the two splits: AP on images seen in training is too high"
    return report_cases("leakage", "warning", "train, val", title, cases, fix)


def _select(
    split: ScannedSplit, is_case: Callable[[ImageFacts], bool], what: Callable[[ImageFacts], str]
) -> list[Example]:
    return [split.image_example(i, what(facts)) for i, facts in enumerate(split.facts) if is_case(facts)]


def _group_duplicates(facts: Sequence[ImageFacts]) -> list[list[int]]:
    """Groups of images with the same bytes or similar thumbnails."""
    groups = group_near_duplicates([fact.thumbnail for fact in facts])
    grouped = {i for group in groups for i in group}
    by_digest: dict[str, list[int]] = {}
    for i, fact in enumerate(facts):
        if fact.state in USABLE and i not in grouped:  # plain images have no thumbnail
            by_digest.setdefault(fact.digest, []).append(i)
    return [*groups, *(group for group in by_digest.values() if len(group) > 1)]
