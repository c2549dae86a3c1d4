"""What commands that take a snapshot share: its place, and flags in place of what it was saved with."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_retinanet.cli.parsing import number
from keras_retinanet.runs import find_snapshot

if TYPE_CHECKING:
    from keras_retinanet.inference import DetectionModel


def add_filter_flags(parser: argparse.ArgumentParser) -> Any:
    """Adds the flags that replace a snapshot's thresholds.

    Args:
        parser: ArgumentParser. Gets a group of flags.

    Returns:
        The group, for further flags of the kind.
    """
    count, share = number(int, least=1), number(float, least=0, most=1)
    own = parser.add_argument_group("in place of what the snapshot was saved with")
    own.add_argument("--score-threshold", type=share, metavar="X", help="drop boxes that score less")
    own.add_argument("--nms-threshold", type=share, metavar="X", help="of two boxes that overlap more, drop one")
    own.add_argument("--max-detections", type=count, metavar="N", help="most detections of an image")
    return own


def open_detector(path: Path, flags: argparse.Namespace, **changes: Any) -> DetectionModel:
    """The inference model of a snapshot, with the thresholds that were given.

    Args:
        path: Path. The snapshot, or the folder of a run.
        flags: Namespace. With the flags of `add_filter_flags`.
        **changes: Further fields of `FilterConfig`.

    Returns:
        The model.

    Raises:
        ValueError: The file is no snapshot.
        OSError: There is no such file.
    """
    from keras_retinanet.inference import DetectionModel, load_model

    model = load_model(find_snapshot(path), compile=False)
    network = model.detector if isinstance(model, DetectionModel) else model
    stored = overridden(model.filter, flags, "score_threshold", "nms_threshold", "max_detections")
    return DetectionModel(network, dataclasses.replace(stored, **changes))


def overridden(stored: Any, flags: argparse.Namespace, *names: str, prefix: str = "") -> Any:
    """A config with the fields replaced whose flags were given.

    Args:
        stored: A config dataclass.
        flags: Namespace. The parsed flags.
        *names: Fields.
        prefix: str. Stands before the field's name in the flag's.

    Returns:
        The changed config.
    """
    given = {name: getattr(flags, prefix + name) for name in names}
    return dataclasses.replace(stored, **{name: value for name, value in given.items() if value is not None})
