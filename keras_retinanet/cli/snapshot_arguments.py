"""Shared by commands that take a snapshot: opening it, and flags that replace its stored settings."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from keras_retinanet.cli.model_words import is_exported
from keras_retinanet.cli.parsing import number, print_note
from keras_retinanet.config import ViewConfig, Winograd
from keras_retinanet.config.near_names import nearest_name

if TYPE_CHECKING:
    from keras_retinanet.config import FilterConfig
    from keras_retinanet.importers import Overrides
    from keras_retinanet.model.detection_model import DetectionModel


def add_filter_flags(parser: argparse.ArgumentParser) -> Any:
    """Adds a group of flags that replace a snapshot's thresholds.

    Args:
        parser: The parser.

    Returns:
        The group, to which further flags may be added.
    """
    count, share = number(int, least=1), number(float, least=0, most=1)
    own = parser.add_argument_group("settings that replace those of the snapshot")
    own.add_argument("--score-threshold", type=share, metavar="X", help="drop boxes with this score or a lower one")
    own.add_argument(
        "--class-threshold", action="append", default=[], type=named_share, metavar="NAME=X",
        help="score threshold of one class; may be repeated",
    )  # fmt: skip
    own.add_argument(
        "--thresholds", metavar="FILE", help="score threshold of each class and calibration of scores, from "
        "retinanet-evaluate --save-thresholds",
    )  # fmt: skip
    own.add_argument("--nms-threshold", type=share, metavar="X", help="IoU above which NMS drops the lower scored box")
    own.add_argument("--max-detections", type=count, metavar="N", help="maximum number of detections per image")
    return own


def add_views_flag(parser: argparse._ActionsContainer) -> None:
    """Adds `--tta`.

    Args:
        parser: The parser, or a group of it.
    """
    usual = ViewConfig().scales
    named = ",".join(f"{scale:g}" for scale in usual)
    parser.add_argument(
        "--tta", type=read_scales, nargs="?", const=usual, metavar="X,X,…",
        help=f"also detect in the mirrored image and at these scales, and fuse the boxes (alone: {named})",
    )  # fmt: skip


def add_winograd_flag(parser: argparse._ActionsContainer) -> None:
    """Adds `--winograd`.

    Args:
        parser: The parser, or a group of it.
    """
    parser.add_argument(
        "--winograd", choices=get_args(Winograd), default="off",
        help="of a snapshot in float32 on a CPU: large 3x3 convolutions by Winograd's algorithm, ResNet-50 in about "
        "0.6 of the time (default: %(default)s)",
    )  # fmt: skip


def print_winograd_note(flags: argparse.Namespace, model: Path) -> None:
    """Says that `--winograd` does nothing where the model is an exported one.

    Args:
        flags: The parsed flags of `add_winograd_flag`.
        model: Its path.
    """
    if flags.winograd != "off" and is_exported(model):
        print_note(f"--winograd has no effect on {model}: an exported model has the convolutions it was written with")


def read_scales(text: str) -> tuple[float, ...]:
    """Parses `X,X,…`.

    Args:
        text: The argument.

    Returns:
        The numbers.

    Raises:
        ArgumentTypeError: One is not a number from 0.1 to 10.
    """
    try:
        return tuple(number(float, least=0.1, most=10)(word) for word in text.strip(",").split(","))
    except (ValueError, argparse.ArgumentTypeError):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of scales from 0.1 to 10") from None


def named_share(text: str) -> tuple[str, float]:
    """Parses `NAME=X`.

    Args:
        text: The argument.

    Returns:
        The name, which may itself contain `=`, and the number.

    Raises:
        ArgumentTypeError: The part after the last `=` is not a number from 0 to 1.
    """
    name, _, value = text.rpartition("=")
    try:
        return name, number(float, least=0, most=1)(value)
    except (ValueError, argparse.ArgumentTypeError):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=X with a number X from 0 to 1") from None


def class_thresholds(stored: FilterConfig, flags: argparse.Namespace, class_names: Sequence[str]) -> tuple[float, ...]:
    """Combines the stored score thresholds per class with those of the flags.

    Args:
        stored: The snapshot's filter.
        flags: The flags of `add_filter_flags`. `--score-threshold` replaces all stored thresholds.
        class_names: Names of the labels.

    Returns:
        One threshold per class; empty if one threshold applies to all.

    Raises:
        ValueError: A class name of the flags does not exist.
    """
    by_class = () if flags.score_threshold is not None else stored.class_thresholds
    if not flags.class_threshold:
        return by_class
    score = stored.score_threshold if flags.score_threshold is None else flags.score_threshold
    thresholds = list(by_class or [score] * len(class_names))
    for name, share in flags.class_threshold:
        if name not in class_names:
            near = nearest_name(name, class_names)
            hint = f"did you mean {near!r}?" if near else f"there are {', '.join(class_names)}."
            raise ValueError(f"--class-threshold: no class is named {name!r}; {hint}")
        thresholds[class_names.index(name)] = share
    return tuple(thresholds)


def with_flagged_file(stored: FilterConfig, flags: argparse.Namespace, class_names: Sequence[str]) -> FilterConfig:
    """Applies the file of `--thresholds`.

    Args:
        stored: The snapshot's filter.
        flags: The flags of `add_filter_flags`.
        class_names: Names of the labels.

    Returns:
        The filter with the thresholds and the calibration of the file; the same one without a file.

    Raises:
        ValueError: The file is invalid, names an unknown class, or `--score-threshold` is given, too.
        OSError: The file cannot be opened.
    """
    from keras_retinanet.snapshots.threshold_file import read_threshold_file

    if flags.thresholds is None:
        return stored
    if flags.score_threshold is not None:
        raise ValueError("--thresholds has the score threshold of each class: leave out --score-threshold.")
    return read_threshold_file(flags.thresholds).applied_to(stored, class_names)


def open_detector(
    path: Path, flags: argparse.Namespace, overrides: Overrides | None = None, **changes: Any
) -> DetectionModel:
    """Opens a snapshot or another library's checkpoint for inference, with the thresholds of the flags.

    Args:
        path: The snapshot or checkpoint, or the folder of a run.
        flags: The flags of `add_filter_flags`.
        overrides: Settings that replace or complete those of a checkpoint; not used for snapshots.
        **changes: Further fields of `FilterConfig`.

    Returns:
        The model.

    Raises:
        ValueError: The file is not a snapshot, or lacks a class name of the flags.
        OSError: The file does not exist.
    """
    from keras_retinanet.model.detection_model import DetectionModel
    from keras_retinanet.runtimes.open_network import open_network

    model = open_network(path, overrides)
    network = model.network if isinstance(model, DetectionModel) else model
    own = with_flagged_file(model.filter_config, flags, model.class_names)
    changes["class_thresholds"] = class_thresholds(own, flags, model.class_names)
    stored = overridden(own, flags, "score_threshold", "nms_threshold", "max_detections")
    return DetectionModel(network, dataclasses.replace(stored, **changes))


def read_overrides(config: str | None, class_names: str | None = None) -> Overrides:
    """Reads the settings and class names that a checkpoint does not hold.

    Args:
        config: Path of fizyr's `config.ini`, or of the `pipeline.config` or `params.yaml` of a TensorFlow detector;
            `None` for no file.
        class_names: Path of a file with class names; `None` for no file.

    Returns:
        Overrides for `open_detector`.

    Raises:
        ValueError: A file is invalid.
        OSError: A file cannot be opened.
    """
    from keras_retinanet.importers import Overrides
    from keras_retinanet.importers.class_lists import read_class_names
    from keras_retinanet.importers.fizyr_model_config import read_anchor_ini

    is_of_tensorflow = config is not None and Path(config).suffix in (".config", ".yaml", ".yml")
    return Overrides(
        anchors=read_anchor_ini(config) if config and not is_of_tensorflow else {},
        config_file=Path(config) if config and is_of_tensorflow else None,
        class_names=read_class_names(class_names) if class_names else None,
    )


def overridden(stored: Any, flags: argparse.Namespace, *names: str, prefix: str = "") -> Any:
    """Replaces the fields of a config whose flags were given.

    Args:
        stored: A config dataclass.
        flags: The parsed flags.
        *names: Names of the fields.
        prefix: Prefix of the flags' names in `flags`.

    Returns:
        The changed config.
    """
    given = {name: getattr(flags, prefix + name) for name in names}
    return dataclasses.replace(stored, **{name: value for name, value in given.items() if value is not None})
