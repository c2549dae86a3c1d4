"""What commands that take a snapshot share: its place, and flags in place of what it was saved with."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_retinanet.cli.parsing import number

if TYPE_CHECKING:
    from keras_retinanet.config import FilterConfig
    from keras_retinanet.importers import Overrides
    from keras_retinanet.model.detection_model import DetectionModel


def add_filter_flags(parser: argparse.ArgumentParser) -> Any:
    """Adds the flags that replace a snapshot's thresholds.

    Args:
        parser: Gets a group of flags.

    Returns:
        The group, for further flags of the kind.
    """
    count, share = number(int, least=1), number(float, least=0, most=1)
    own = parser.add_argument_group("in place of what the snapshot was saved with")
    own.add_argument("--score-threshold", type=share, metavar="X", help="drop boxes that score less")
    own.add_argument(
        "--class-threshold", action="append", default=[], type=named_share, metavar="NAME=X",
        help="score threshold of one class; give it once a class",
    )  # fmt: skip
    own.add_argument("--nms-threshold", type=share, metavar="X", help="of two boxes that overlap more, drop one")
    own.add_argument("--max-detections", type=count, metavar="N", help="most detections of an image")
    return own


def named_share(text: str) -> tuple[str, float]:
    """Reads `NAME=X`.

    Args:
        text: The word of the command line.

    Returns:
        The name, which may contain `=` itself, and the share.

    Raises:
        ArgumentTypeError: No number from 0 to 1 follows the last `=`.
    """
    name, _, value = text.rpartition("=")
    try:
        return name, number(float, least=0, most=1)(value)
    except (ValueError, argparse.ArgumentTypeError):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=X with a number X from 0 to 1") from None


def class_thresholds(stored: FilterConfig, flags: argparse.Namespace, class_names: Sequence[str]) -> tuple[float, ...]:
    """One threshold a class, after the flags.

    Args:
        stored: What the snapshot was saved with.
        flags: With the flags of `add_filter_flags`; a threshold for all replaces stored ones a class.
        class_names: Names of the labels.

    Returns:
        The thresholds, or none where all are the same one.

    Raises:
        ValueError: A given class name does not exist.
    """
    by_class = () if flags.score_threshold is not None else stored.class_thresholds
    if not flags.class_threshold:
        return by_class
    score = stored.score_threshold if flags.score_threshold is None else flags.score_threshold
    thresholds = list(by_class or [score] * len(class_names))
    for name, share in flags.class_threshold:
        if name not in class_names:
            near = difflib.get_close_matches(name, class_names, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(class_names)}."
            raise ValueError(f"--class-threshold: no class is named {name!r}; {hint}")
        thresholds[class_names.index(name)] = share
    return tuple(thresholds)


def open_detector(
    path: Path, flags: argparse.Namespace, overrides: Overrides | None = None, **changes: Any
) -> DetectionModel:
    """The inference model of a snapshot or of another library's checkpoint, with the thresholds that were given.

    Args:
        path: The snapshot or checkpoint, or the folder of a run.
        flags: With the flags of `add_filter_flags`.
        overrides: What a checkpoint does not hold; not used for snapshots.
        **changes: Further fields of `FilterConfig`.

    Returns:
        The model.

    Raises:
        ValueError: The file is not a snapshot, or lacks a given class name.
        OSError: There is no such file.
    """
    from keras_retinanet.model.detection_model import DetectionModel
    from keras_retinanet.runtimes.open_model import open_network

    model = open_network(path, overrides)
    network = model.network if isinstance(model, DetectionModel) else model
    changes["class_thresholds"] = class_thresholds(model.filter_config, flags, model.class_names)
    stored = overridden(model.filter_config, flags, "score_threshold", "nms_threshold", "max_detections")
    return DetectionModel(network, dataclasses.replace(stored, **changes))


def read_overrides(config: str | None, class_names: str | None = None) -> Overrides:
    """Settings that files of fizyr state about its snapshots.

    Args:
        config: Path of a `config.ini`, where one was given.
        class_names: Path of a file of class names, where one was given.

    Returns:
        For `open_detector`.

    Raises:
        ValueError: A file is wrong.
        OSError: A file cannot be opened.
    """
    from keras_retinanet.importers import Overrides
    from keras_retinanet.importers.class_lists import read_class_names
    from keras_retinanet.importers.fizyr_model_config import read_anchor_ini

    return Overrides(
        anchors=read_anchor_ini(config) if config else {},
        class_names=read_class_names(class_names) if class_names else None,
    )


def overridden(stored: Any, flags: argparse.Namespace, *names: str, prefix: str = "") -> Any:
    """A config with the fields replaced whose flags were given.

    Args:
        stored: A config dataclass.
        flags: The parsed flags.
        *names: Fields.
        prefix: Put before the field's name to make the flag's.

    Returns:
        The changed config.
    """
    given = {name: getattr(flags, prefix + name) for name in names}
    return dataclasses.replace(stored, **{name: value for name, value in given.items() if value is not None})
