"""Flags of fizyr/keras-retinanet that were renamed or removed, with their replacements."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Mapping, Sequence

_DEVICES = "set the environment variable CUDA_VISIBLE_DEVICES, for example CUDA_VISIBLE_DEVICES=0"
_NOT_NEEDED = "leave it away"
_EXTENSION = _NOT_NEEDED + ": the extension is found"
_OPEN_IMAGES: Mapping[str, str] = {
    "--version": _NOT_NEEDED + ": the files in the folder tell",
    "--annotation-cache-dir": _NOT_NEEDED + ": what was read is kept unless --no-index-cache is given",
}
_STORED = "leave it away: the snapshot knows it"

OLD_FLAGS: Mapping[str, Mapping[str, str]] = {
    "retinanet-train": {
        "--snapshot": "--resume RUN continues a run; --weights FILE starts a new one from any snapshot or .h5",
        "--gpu": _DEVICES,
        "--multi-gpu": _DEVICES,
        "--multi-gpu-force": _NOT_NEEDED,
        "--initial-epoch": "--resume RUN, which knows its epoch",
        "--optimizer-clipnorm": "--clip-norm X",
        "--tensorboard-freq": "--tensorboard-dir DIR alone; it is written every epoch",
        "--no-snapshots": _NOT_NEEDED + ": snapshots are what a run is for (--snapshot-path chooses their folder)",
        "--no-resize": "--image-min-side and --image-max-side at the size of the images",
        "--weighted-average": "the table of retinanet-evaluate lists every class with its boxes",
        "--compute-val-loss": "AP on the validation images is measured every epoch (--evaluate-every)",
        "--reduce-lr-patience": "--schedule step or cosine",
        "--reduce-lr-factor": "--schedule step or cosine",
        "--group-method": _NOT_NEEDED + ": images are grouped by aspect ratio",
        "--multiprocessing": _NOT_NEEDED + ": images are read by threads (--workers)",
        "--max-queue-size": _NOT_NEEDED,
        "--image-extension": _EXTENSION,
        **_OPEN_IMAGES,
    },
    "retinanet-evaluate": {
        "--kitti_path": "the folder as a word: retinanet-evaluate kitti PATH MODEL",
        "--image-extension": _EXTENSION,
        "--convert-model": _NOT_NEEDED + ": training snapshots are evaluated as they are",
        "--backbone": _STORED,
        "--gpu": _DEVICES,
        "--iou-threshold": "--metric coco, whose AP50 is this at 0.5, or --metric voc",
        "--save-path": "retinanet-detect, which draws; --save-detections FILE for numbers",
        "--no-resize": "--image-min-side and --image-max-side at the size of the images",
        "--group-method": _NOT_NEEDED,
    },
    "retinanet-convert-model": {
        "--backbone": _STORED,
        "--parallel-iterations": _NOT_NEEDED,
    },
    "retinanet-debug": {
        "--random-transform": "--augment fizyr",
        "--no-gui": _NOT_NEEDED + ": pictures are written unless --window is given",
        "--output-dir": "--out FOLDER",
        "--flatten-output": _NOT_NEEDED + ": pictures are numbered",
        "--display-name": _NOT_NEEDED + ": files have the images' names",
        "--show-annotations": _NOT_NEEDED + ": boxes are always drawn",
        "--no-resize": "--image-min-side and --image-max-side at the size of the images",
        "--group-method": _NOT_NEEDED,
        "--coco-set": "--set NAME",
        "--pascal-set": "--set NAME",
        "--image-extension": _EXTENSION,
        **_OPEN_IMAGES,
    },
}
"""Command → old flag → its replacement. Flags that still work are not listed."""

ACCEPTED: Mapping[str, tuple[str, ...]] = {
    "--lr": ("--learning-rate",),
    "--random-transform": ("--augment", "fizyr"),
    "--imagenet-weights": ("--weights", "imagenet"),
    "--no-weights": ("--weights", "none"),
}
"""Old flags of `retinanet-train` that mean the same here; they imply `--recipe fizyr`."""


def with_current_words(words: Sequence[str], log: Callable[[str], object]) -> list[str]:
    """Replaces the old flags of `retinanet-train` that mean the same here.

    Args:
        words: Command-line arguments.
        log: Receives one note if there are any.

    Returns:
        The arguments; with an old flag also `--recipe fizyr`, unless they name a recipe.
    """
    current: list[str] = []
    for word in words:
        flag, equals, value = word.partition("=")
        current += [*ACCEPTED[flag], *([value] if equals else [])] if flag in ACCEPTED else [word]
    if old := [word.partition("=")[0] for word in words if word.partition("=")[0] in ACCEPTED]:
        is_given = any(word.partition("=")[0] in ("--recipe", "--config", "--resume") for word in words)
        now = " ".join(ACCEPTED[old[0]])
        implied = "" if is_given else f", here with --recipe fizyr; write {now} for the default recipe"
        log(f"{old[0]} belongs to fizyr/keras-retinanet; now: {now}{implied}")
        current += [] if is_given else ["--recipe", "fizyr"]
    return current


_MOBILENETS = {1.0: "mobilenet", 0.75: "mobilenet_075", 0.5: "mobilenet_050", 0.25: "mobilenet_025"}


def new_backbone(name: str) -> str | None:
    """Finds the current name of an old backbone.

    Args:
        name: fizyr's name, such as `mobilenet224_1.0`, `EfficientNetB0`, `seresnet50`.

    Returns:
        The `--backbone` to use, or a statement that there is none; `None` for unknown names.
    """
    if found := re.fullmatch(r"mobilenet(?:128|160|192|224)_(\d(?:\.\d+)?)", name):
        alpha = _MOBILENETS.get(float(found[1]))
        return f"--backbone {alpha}" if alpha else "--backbone mobilenet, or with _075, _050 or _025"
    if found := re.fullmatch(r"EfficientNetB([0-7])", name):
        return f"--backbone efficientnet_b{found[1]}"
    if re.match(r"seresnext|seresnet|senet", name):
        return "another one, as resnet50: SE-Nets are not built here"
    return None


def refuse_old_flags(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    """Ends the program with status 2 if an argument is an old flag, and names its replacement.

    Args:
        parser: Parser of the command.
        words: Command-line arguments.
    """
    old = OLD_FLAGS[parser.prog]
    for index, word in enumerate(words):
        flag, equals, value = word.partition("=")
        if flag == "--backbone" and flag not in old:
            name = value if equals else "".join(words[index + 1 : index + 2])
            if now := new_backbone(name):
                parser.error(f"--backbone {name} belongs to fizyr/keras-retinanet; now: {now}. See docs/migrating.md")
        if flag in old:
            parser.error(f"{flag} belongs to fizyr/keras-retinanet; now: {old[flag]}. See docs/migrating.md")
