"""Several models on the same images: `retinanet-evaluate PATH MODEL MODEL …`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from keras_retinanet.cli.evaluation_inputs import Evaluation
from keras_retinanet.cli.evaluation_report import metric_settings, read_results
from keras_retinanet.cli.evaluation_run import detect
from keras_retinanet.cli.model_words import is_results, short_names
from keras_retinanet.cli.report_file import NO_REPORT, publish_comparison
from keras_retinanet.config import DataConfig

if TYPE_CHECKING:
    from keras_retinanet.data.datasets import Dataset
    from keras_retinanet.schema import Detections, Sample

_OF_ONE_MODEL = (
    "save_detections",
    "label_errors",
    "choose_thresholds",
    "calibrate",
    "save_thresholds",
    "store_thresholds",
)


def compare_models(
    paths: Sequence[Path],
    flags: argparse.Namespace,
    data: DataConfig,
    prepare: Callable[[argparse.Namespace, DataConfig, Path], Evaluation],
    describe: Callable[[Evaluation], str],
) -> None:
    """Evaluates each model, and prints and writes the comparison with the first.

    Args:
        paths: Snapshots, exported models and files of detections.
        flags: The parsed flags.
        data: Settings of the data set.
        prepare: Opens a model and the data for it.
        describe: Describes both.

    Raises:
        ValueError: A model or the data are invalid, they do not fit each other, or a flag is for one model.
        OSError: A file cannot be read.
    """
    from keras_retinanet.analysis import comparison_report
    from keras_retinanet.analysis.comparison import compare
    from keras_retinanet.analysis.json_values import to_json
    from keras_retinanet.analysis.metric_comparison import compare_numbers, describe_numbers
    from keras_retinanet.data.data_summary import describe_data
    from keras_retinanet.data.open_dataset import open_dataset, take_first
    from keras_retinanet.evaluation import METRICS, report

    given = [name for name in _OF_ONE_MODEL if getattr(flags, name)]
    if given:
        raise ValueError(f"--{given[0].replace('_', '-')} is for one model; there are {len(paths)}.")
    if flags.metric != "coco" and flags.report not in (None, NO_REPORT):
        raise ValueError(
            f"--report {flags.report}: several models have a report with --metric coco only, not with {flags.metric}. "
            "Leave one of the two out; --json writes the numbers."
        )
    dataset = open_dataset(data, "val")
    samples = take_first(dataset, flags.limit)
    names = short_names(paths)
    opened = [  # all of them, before any detects: that may take hours
        _read_results(path, dataset, samples) if is_results(path) else _prepare(path, flags, data, prepare)
        for path in paths
    ]
    found: list[Sequence[Detections]] = []
    for one in opened:
        if isinstance(one, Evaluation):
            print(describe(one), flush=True)
            one = _detect(one, flags, dataset)
        found.append(one)
    settings = metric_settings(flags, dataset, None)
    if flags.metric == "coco":
        comparison = compare(samples, found, names, dataset.class_names, settings)
        print(comparison_report.comparison_text(comparison))
        publish_comparison(
            comparison, samples, found, describe_data(data, {"val": samples}, dataset.class_names), flags
        )
        content = comparison_report.to_dict(comparison)
    else:
        metric = METRICS[flags.metric]
        results = [metric(samples, own, dataset.class_names, settings) for own in found]
        differences = compare_numbers(metric, samples, found, dataset.class_names, settings)
        print(describe_numbers(names, results, differences))
        models = [{"name": name, **report.to_dict(own)} for name, own in zip(names, results, strict=True)]
        for model, own in zip(models[1:], differences, strict=bool(differences)):
            model["differences"] = to_json(own)
        content = {"models": models}
    if flags.json:
        report.write_json(flags.json, {"metric": flags.metric, "paths": [str(path) for path in paths], **content})


def _prepare(
    path: Path,
    flags: argparse.Namespace,
    data: DataConfig,
    prepare: Callable[[argparse.Namespace, DataConfig, Path], Evaluation],
) -> Evaluation:
    from keras_retinanet.data.errors import DataError

    try:
        return prepare(flags, data, path)
    except DataError as error:
        raise ValueError(f"{path}: {error}") from None


def _read_results(path: Path, dataset: Dataset, samples: Sequence[Sample]) -> Sequence[Detections]:
    every = read_results([path], dataset, list(dataset))
    print(f"results   {path}: {sum(len(entry['scores']) for entry in every)} detections\n")
    return every[: len(samples)]


def _detect(evaluation: Evaluation, flags: argparse.Namespace, dataset: Dataset) -> Sequence[Detections]:
    """The detections of a model, with the labels of the data set; classes that the data set lacks are left out."""
    import numpy as np

    names = list(dataset.class_names)
    if others := [repr(name) for name in evaluation.class_names if name not in names]:
        print(f"note      the data set does not have {', '.join(others)}: such detections are left out")
    table = np.array([names.index(name) if name in names else -1 for name in evaluation.class_names], np.int64)
    found: list[Detections] = []
    with detect(evaluation, flags) as (stages, _):
        for entry in list(stages.values())[-1]:
            labels = table[np.asarray(entry["labels"], np.int64)]
            known = labels >= 0
            boxes, scores = np.asarray(entry["boxes"])[known], np.asarray(entry["scores"])[known]
            found.append({"image_id": entry["image_id"], "boxes": boxes, "scores": scores, "labels": labels[known]})
    return found
