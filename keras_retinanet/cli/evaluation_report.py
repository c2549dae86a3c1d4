"""The output of `retinanet-evaluate`: tables, JSON, and detections as COCO results, which it also takes as input."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_retinanet.cli.evaluation_decision import decide
from keras_retinanet.cli.evaluation_inputs import Evaluation
from keras_retinanet.cli.evaluation_run import MERGED, SEPARATE, Stages
from keras_retinanet.cli.label_error_list import list_label_errors
from keras_retinanet.cli.report_file import Evaluated, publish_report
from keras_retinanet.config import DataConfig

if TYPE_CHECKING:
    from keras_retinanet.data.datasets import Dataset
    from keras_retinanet.evaluation import EvaluationResult, MetricSettings
    from keras_retinanet.schema import Detections, Sample


def publish(evaluation: Evaluation, stages: Stages, flags: argparse.Namespace, speed: str) -> None:
    """Prints the tables and writes the output files.

    Args:
        evaluation: Model and data.
        stages: The detections.
        flags: The parsed flags.
        speed: That of the detector, in words.
    """
    limit = None if flags.tile else evaluation.filter.max_detections
    settings = metric_settings(flags, evaluation.dataset, limit)
    origin: dict[str, Any] = {
        "snapshot": str(evaluation.snapshot),
        "set": evaluation.set_name,
        "filter": dataclasses.asdict(evaluation.filter),
        "resize": dataclasses.asdict(evaluation.resize),
    }
    result = report_numbers(stages, evaluation.samples, evaluation.class_names, settings, flags, origin)
    ids = category_ids(evaluation.dataset, evaluation.class_names)
    if flags.save_detections:
        _save(stages, flags.save_detections, ids)
    found = list(stages.values())[-1]
    list_label_errors(flags.label_errors, evaluation.samples, found, evaluation.class_names, ids)
    choice = decide(evaluation.samples, found, evaluation.class_names, flags, evaluation.snapshot, evaluation.filter)
    evaluated = Evaluated(
        evaluation.snapshot,
        evaluation.description,
        evaluation.set_name,
        ", ".join(f"{name} {value}" for name, value in {**origin["filter"], **origin["resize"]}.items()),
        speed,
        evaluation.thumbnails.brightness(evaluation.samples),
        choice,
    )
    publish_report(evaluated, evaluation.samples, found, result, settings, flags)


def evaluate_results(path: Path, flags: argparse.Namespace, data: DataConfig) -> None:
    """Measures the detections of a COCO result file, or of a `retinanet-detect --runner`.

    Args:
        path: The file or folder.
        flags: The parsed flags.
        data: Settings of the data set.

    Raises:
        ValueError: File or data are invalid, or a flag needs a snapshot.
        OSError: A file cannot be read.
    """
    from keras_retinanet.data.data_summary import describe_data
    from keras_retinanet.data.open_dataset import choose_set, open_dataset

    given = [name for name in _OF_SNAPSHOTS if getattr(flags, name) not in (None, [], False)]
    if given:
        raise ValueError(f"--{given[0].replace('_', '-')} needs a snapshot; {path} has detections")
    dataset = open_dataset(data, "val")
    samples = list(dataset)
    ids = category_ids(dataset, dataset.class_names)
    files = [path, *(Path(name) for name in (flags.more_results or "").split(",") if name)]
    found = read_results(files, dataset, samples)
    samples, found = samples[: flags.limit], found[: flags.limit]
    set_name = "val" if data.divides_training_images else choose_set(data, "val") or ""
    names = ", ".join(map(str, files))
    print(f"results   {names}: {sum(len(entry['scores']) for entry in found)} detections")
    print(f"images    {set_name}: {len(samples)} images, {sum(len(sample['labels']) for sample in samples)} boxes\n")
    settings = metric_settings(flags, dataset, None)
    origin, class_names = {"results": names, "set": set_name}, tuple(dataset.class_names)
    result = report_numbers({"": found}, samples, class_names, settings, flags, origin)
    list_label_errors(flags.label_errors, samples, found, class_names, ids)
    choice = decide(samples, found, class_names, flags, path)
    evaluated = Evaluated(path, describe_data(data, {"val": samples}, class_names), set_name, thresholds=choice)
    publish_report(evaluated, samples, found, result, settings, flags)


def read_results(paths: Sequence[Path], dataset: Dataset, samples: Sequence[Sample]) -> list[Detections]:
    """Reads the detections of result files, or those of the folder of a `retinanet-detect --runner`.

    Args:
        paths: Files of different images, or one folder.
        dataset: The data set.
        samples: Its images.

    Returns:
        One entry per image, labels as in the data set.

    Raises:
        ValueError: A file is invalid, or does not belong to the data set.
    """
    from keras_retinanet.detection.sharded import detections_of_images
    from keras_retinanet.evaluation.result_file import read_result_files

    if paths[0].is_dir():
        found, notes = detections_of_images(paths[0], samples, dataset.class_names)
        for note in notes:
            print(f"note      {note}")
        return found
    labels = {key: label for label, key in enumerate(category_ids(dataset, dataset.class_names))}
    return read_result_files(paths, [sample["image_id"] for sample in samples], labels)


_OF_SNAPSHOTS = (
    "thresholds", "class_threshold", "nms_threshold", "image_min_side", "image_max_side", "config", "tile",
    "save_detections",
)  # fmt: skip


def metric_settings(flags: argparse.Namespace, dataset: Dataset, detector_limit: int | None) -> MetricSettings:
    """What replaces the metric's own definition.

    Args:
        flags: The parsed flags.
        dataset: The data set.
        detector_limit: Maximum number of detections per image; `None` if there is no limit.

    Returns:
        The settings.
    """
    from keras_retinanet.data.datasets.open_images.image_labels import read_image_labels
    from keras_retinanet.data.datasets.shared.label_hierarchy import classes_above
    from keras_retinanet.evaluation import MetricSettings
    from keras_retinanet.evaluation.columns import list_ids

    names: dict[str, str] = flags.class_ids or {}
    parents = classes_above(Path(flags.hierarchy), names) if flags.hierarchy else {}
    verified = None
    if flags.image_labels:
        verified = read_image_labels(Path(flags.image_labels), list_ids(list(dataset)), names, parents)
    limits = flags.iou_thresholds, flags.score_threshold, flags.max_detections
    return MetricSettings(*limits, detector_limit, parents, verified)


def find_open_images_files(flags: argparse.Namespace, data: DataConfig) -> None:
    """Fills in the flags of the Open Images metric that name files of its folder, if they are there.

    Args:
        flags: The parsed flags, which are changed; `class_ids` becomes the names of the classes by id.
        data: Settings of the data set.
    """
    if flags.metric == "open_images" and data.dataset == "oid":
        from keras_retinanet.data.datasets.open_images.reader import OpenImagesDataset
        from keras_retinanet.data.open_dataset import choose_set

        place = data.path, choose_set(data, "val") or ""
        flags.class_ids = OpenImagesDataset.names_by_id(*place)
        flags.hierarchy = flags.hierarchy or OpenImagesDataset.find_hierarchy(*place)
        flags.image_labels = flags.image_labels or OpenImagesDataset.find_image_labels(*place)


def report_numbers(
    stages: Stages,
    samples: Sequence[Sample],
    class_names: Sequence[str],
    settings: MetricSettings,
    flags: argparse.Namespace,
    origin: Mapping[str, Any],
) -> EvaluationResult:
    """Computes and prints the numbers, and writes them to `--json`.

    Args:
        stages: The detections.
        samples: The annotated images.
        class_names: Names of the labels.
        settings: What replaces the metric's own definition.
        flags: The parsed flags.
        origin: What else the JSON file says.

    Returns:
        The numbers of the last stage.
    """
    from keras_retinanet.evaluation import METRICS, report

    content: dict[str, Any] = {**origin, "metric": flags.metric}
    for stage, found in stages.items():
        result = METRICS[flags.metric](samples, found, class_names, settings)
        if stage == SEPARATE:  # shows what merging does; nobody publishes it
            result = dataclasses.replace(result, comparable_with={})
        title = f"boxes of tiles {stage}:\n" if stage else ""
        print(
            f"{title}{report.stats_table(result)}\n\n{report.class_table(result)}" + "\n" * (stage not in ("", MERGED))
        )
        numbers = report.to_dict(result)
        content |= numbers if stage in ("", MERGED) else {stage.replace(" ", "_"): numbers}
    if flags.json:
        report.write_json(flags.json, content)
    return result


def _save(stages: Stages, path: str, ids: Sequence[int]) -> None:
    from keras_retinanet.evaluation import report

    report.write_coco_results(path, list(stages.values())[-1], ids)


def category_ids(dataset: Dataset, class_names: Sequence[str]) -> list[int]:
    """Finds the data set's category id of each of the model's classes.

    Args:
        dataset: The data set. Ids are its `category_ids` if it has them (COCO), else 1 for its first class, and so on.
        class_names: The model's classes.

    Returns:
        One id per class; classes missing in the data set get unused ids.
    """
    own = getattr(dataset, "category_ids", None) or range(1, len(dataset.class_names) + 1)
    ids = dict(zip(dataset.class_names, own, strict=True))
    unused = max(ids.values(), default=0) + 1
    return [ids.get(name, unused + k) for k, name in enumerate(class_names)]
