"""What to deploy: the thresholds and the calibration that an evaluation chooses, printed and written."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_retinanet.config import FilterConfig

if TYPE_CHECKING:
    from keras_retinanet.analysis.thresholds import ThresholdChoice
    from keras_retinanet.evaluation.matching import Matches
    from keras_retinanet.schema import Detections, Sample

CALIBRATIONS = ("temperature", "temperature+bias")
_SEEN_ALL = FilterConfig(score_threshold=0.0)


def add_decision_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags.

    Args:
        parser: The parser.
    """
    group = parser.add_argument_group("what to deploy")
    group.add_argument(
        "--choose-thresholds", type=read_goal, metavar="GOAL", help="score threshold of each class for the best f1 (or "
        "f0.5, f2 …), for precision=X, recall=X, or the least cost=FP:FN of wrong detections and misses",
    )  # fmt: skip
    group.add_argument(
        "--calibrate", choices=CALIBRATIONS, help="make scores probabilities of being right, before thresholds"
    )
    group.add_argument(
        "--save-thresholds", metavar="FILE", help="write both to a YAML or JSON file, for --thresholds here and in "
        "retinanet-detect, -serve and -convert-model",
    )  # fmt: skip
    group.add_argument("--store-thresholds", action="store_true", help="write both into the snapshot")


def read_goal(text: str) -> Any:
    """Reads a goal.

    Args:
        text: The argument.

    Returns:
        `analysis.goals.Goal`.

    Raises:
        ArgumentTypeError: It is none.
    """
    from keras_retinanet.analysis.goals import parse_goal

    try:
        return parse_goal(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def check_decision_flags(flags: argparse.Namespace) -> str | None:
    """What is wrong with the flags.

    Args:
        flags: The parsed flags.

    Returns:
        The problem; `None` if there is none.
    """
    written = [name for name in ("save_thresholds", "store_thresholds") if getattr(flags, name)]
    if written and not (flags.choose_thresholds or flags.calibrate):
        return f"--{written[0].replace('_', '-')} needs --choose-thresholds or --calibrate"
    return None


def check_storable(path: Path) -> None:
    """Requires a model that thresholds can be written into, before anything slow begins.

    Args:
        path: The model.

    Raises:
        ValueError: It is not a snapshot.
    """
    if path.suffix != ".keras":
        raise ValueError(f"--store-thresholds needs a snapshot (.keras), got {path}; --save-thresholds writes a file.")


def decide(
    samples: Sequence[Sample],
    found: Sequence[Detections],
    class_names: Sequence[str],
    flags: argparse.Namespace,
    source: Path,
    filter: FilterConfig = _SEEN_ALL,
) -> ThresholdChoice | None:
    """Fits the calibration, chooses the thresholds, prints and writes both, as far as the flags say.

    Args:
        samples: The annotated images.
        found: Their detections.
        class_names: Names of the labels `0 … K-1`.
        flags: The parsed flags.
        source: The model, or the file of detections.
        filter: The thresholds of the detections. Defaults to none.

    Returns:
        The thresholds; `None` if none were asked for, or if they are for calibrated scores.

    Raises:
        ValueError: There are no right or no wrong detections to fit a calibration.
        OSError: A file cannot be written.
    """
    if not (flags.choose_thresholds or flags.calibrate):
        return None
    from keras_retinanet.analysis.temperature import fit_temperature
    from keras_retinanet.analysis.threshold_report import describe_fit, describe_thresholds, thresholds_to_dict
    from keras_retinanet.analysis.thresholds import choose_thresholds, count_boxes_of_images
    from keras_retinanet.evaluation.detections import pair_detections
    from keras_retinanet.evaluation.matching import match_by_coco, match_images

    iou = min(flags.iou_thresholds or (0.5,))
    matches: Matches = match_images(pair_detections(samples, found, len(class_names)), match_by_coco, iou)
    floors: Sequence[float] = filter.class_thresholds or (filter.score_threshold,) * len(class_names)
    content: dict[str, Any] = {"source": str(source), "images": len(samples), "iou": iou}
    if flags.calibrate:
        fit = fit_temperature(matches, use_bias=flags.calibrate == CALIBRATIONS[1])
        print(f"\n{describe_fit(fit)}")
        matches, floors = matches._replace(score=fit(matches.score)), [float(floor) for floor in fit(floors)]
        content["temperature"] = round(filter.temperature * fit.temperature, 6)
        content["score_bias"] = round(filter.score_bias / fit.temperature + fit.bias, 6)
        if filter.score_threshold:
            content["score_threshold"] = round(float(fit(filter.score_threshold)), 6)
        if filter.class_thresholds:
            content["classes"] = {name: {"threshold": floor} for name, floor in zip(class_names, floors, strict=True)}
    choice: ThresholdChoice | None = None
    if flags.choose_thresholds:
        counts = count_boxes_of_images(samples, len(class_names))
        choice = choose_thresholds(matches, counts, class_names, flags.choose_thresholds, floor=floors)
        print(f"\n{describe_thresholds(choice, iou)}")
        content |= thresholds_to_dict(choice)
    _write(content, flags, source, class_names)
    return None if flags.calibrate else choice


def _write(content: Mapping[str, Any], flags: argparse.Namespace, source: Path, class_names: Sequence[str]) -> None:
    from keras_retinanet.snapshots.threshold_file import StoredThresholds, store_thresholds, write_threshold_file

    if flags.save_thresholds:
        write_threshold_file(Path(flags.save_thresholds), content)
        print(f"\nthresholds {flags.save_thresholds}")
    if flags.store_thresholds:
        by_class = {name: entry["threshold"] for name, entry in content.get("classes", {}).items()}
        score, temperature, bias = (content.get(name) for name in ("score_threshold", "temperature", "score_bias"))
        store_thresholds(source, StoredThresholds(by_class, score, temperature, bias), class_names)
        print(f"\nthresholds are in {source}; an evaluation needs --score-threshold to count detections below them")
    if not (flags.save_thresholds or flags.store_thresholds):
        print("\nnote: --save-thresholds FILE writes them for retinanet-detect, -serve and -convert-model")
