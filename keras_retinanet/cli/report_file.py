"""`report.html` of `retinanet-evaluate`: where it is written, and what it says about model, data and command."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_retinanet.snapshots.run_folder import SNAPSHOTS, Run, read_config

if TYPE_CHECKING:
    from keras_retinanet.analysis.comparison import Comparison
    from keras_retinanet.analysis.thresholds import ThresholdChoice
    from keras_retinanet.evaluation import EvaluationResult, MetricSettings
    from keras_retinanet.schema import Detections, Sample

NAME, NO_REPORT = "report.html", "none"


@dataclass(frozen=True)
class Evaluated:
    """What was evaluated, for the report.

    Attributes:
        source: Snapshot, or file of detections.
        data: The data set in a few words.
        set_name: Name of the split.
        settings: Thresholds and resize rule in words; empty for a file of detections.
        speed: Speed of the detector in words; empty for a file of detections.
        brightness: Mean brightness of each image by id; `None` if it was not measured.
        thresholds: Score thresholds to deploy; `None` for those of the best F1.
    """

    source: Path
    data: str
    set_name: str
    settings: str = ""
    speed: str = ""
    brightness: Mapping[int | str, float] | None = None
    thresholds: ThresholdChoice | None = None


def add_report_flag(parser: argparse.ArgumentParser) -> None:
    """Adds `--report`.

    Args:
        parser: The parser.
    """
    parser.add_argument(
        "--report", metavar="FILE", help="HTML file with numbers, plots and pictures, its folder, or none (default: "
        "report.html in the folder of the run, else in that of --json, else in that of the result file, else here)",
    )  # fmt: skip


def choose_path(flags: argparse.Namespace, source: Path) -> Path | None:
    """Where the report is written.

    Args:
        flags: The parsed flags.
        source: Snapshot, or file of detections.

    Returns:
        The file; `None` if none is wanted.
    """
    if flags.report == NO_REPORT:
        return None
    if flags.report:
        path = Path(flags.report)
        return path / NAME if path.is_dir() else path
    if source.name in SNAPSHOTS:
        return Run(source.parent).report
    if flags.json:
        return Path(flags.json).with_name(NAME)
    return source.with_name(NAME) if source.suffix.lower() == ".json" else Path(NAME)


def publish_report(
    evaluated: Evaluated,
    samples: Sequence[Sample],
    found: Sequence[Detections],
    result: EvaluationResult,
    settings: MetricSettings,
    flags: argparse.Namespace,
) -> None:
    """Writes the report, and prints where it is.

    Args:
        evaluated: What was evaluated.
        samples: The annotated images.
        found: Their detections.
        result: The numbers of the metric.
        settings: Settings of the metric.
        flags: The parsed flags.
    """
    from keras_retinanet.evaluation import METRICS
    from keras_retinanet.report import Subject, describe_versions, with_analysis, write_report

    path = choose_path(flags, evaluated.source)
    if path is None:
        return
    run = Run(evaluated.source.parent) if evaluated.source.name in SNAPSHOTS else None
    about = {
        "evaluated": str(evaluated.source),
        "data": f"{evaluated.data}, {evaluated.set_name}" if evaluated.set_name else evaluated.data,
        "settings": evaluated.settings,
        "speed": evaluated.speed,
        "command": shlex.join([Path(sys.argv[0]).name, *flags.given]),
        "versions": describe_versions(),
    }
    subject = Subject(
        title=" on ".join(filter(None, [_name_source(evaluated.source), evaluated.set_name])),
        class_names=result.class_names,
        samples=samples,
        detections=found,
        result=result,
        thresholds=evaluated.thresholds,
        main=METRICS[flags.metric].monitor_for(samples, settings),
        training_boxes=_count_training_boxes(run, result.class_names) if run else None,
        rows=run.rows() if run else (),
        best_epoch=run.best_epoch() if run else None,
        about={name: text for name, text in about.items() if text},
    )
    _write(lambda: write_report(with_analysis(subject, evaluated.brightness), path), path)


def publish_comparison(
    comparison: Comparison,
    samples: Sequence[Sample],
    found: Sequence[Sequence[Detections]],
    data: str,
    flags: argparse.Namespace,
) -> None:
    """Writes the report of a comparison, and prints where it is. It belongs to no model: it goes to `--json`, or here.

    Args:
        comparison: Several models on the same images.
        samples: The annotated images.
        found: The detections of each model.
        data: The data set in a few words.
        flags: The parsed flags.
    """
    from keras_retinanet.report import Subject, describe_versions, write_report

    path = choose_path(flags, Path())
    if path is None:
        return
    first = comparison.models[0]
    subject = Subject(
        title=f"{', '.join(model.name for model in comparison.models[1:])} against {first.name}",
        class_names=first.result.class_names,
        result=first.result,
        samples=samples,
        comparison=comparison,
        compared=found,
        about={
            "data": data,
            "command": shlex.join([Path(sys.argv[0]).name, *flags.given]),
            "versions": describe_versions(),
        },
    )
    _write(lambda: write_report(subject, path), path)


def _write(write: Callable[[], None], path: Path) -> None:
    try:
        write()
    except OSError as error:
        print(f"warning   the report cannot be written: {error}")
    else:
        print(f"\nreport    {path}")


def _name_source(source: Path) -> str:
    return f"{source.parent.name}/{source.name}" if source.name in SNAPSHOTS else source.name


def _count_training_boxes(run: Run, class_names: Sequence[str]) -> Any:
    """`(K,)` boxes that the run learned from; `None` if its data are no longer where they were."""
    import numpy as np

    from keras_retinanet.data.open_dataset import open_dataset
    from keras_retinanet.evaluation.metric import count_all_boxes

    try:
        dataset = open_dataset(read_config(run.config).data, "train")
    except (ValueError, OSError, ImportError):
        return None
    counts = dict(zip(dataset.class_names, count_all_boxes(list(dataset), len(dataset.class_names)), strict=True))
    return np.array([counts.get(name, 0) for name in class_names])
