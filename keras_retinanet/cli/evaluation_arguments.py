"""The arguments of `retinanet-evaluate`, and what they must not say together."""

from __future__ import annotations

import argparse
from typing import get_args

from keras_retinanet.cli.dataset_arguments import add_dataset_arguments, add_reader_flags
from keras_retinanet.cli.evaluation_decision import add_decision_flags, check_decision_flags
from keras_retinanet.cli.model_words import is_model
from keras_retinanet.cli.parsing import Parser, number
from keras_retinanet.cli.report_file import add_report_flag
from keras_retinanet.cli.snapshot_arguments import add_filter_flags, add_views_flag, add_winograd_flag
from keras_retinanet.config import DataConfig, MetricName, TileConfig
from keras_retinanet.data.datasets import DATASETS

_COUNT = number(int, least=1)


def build_parser() -> Parser:
    """Builds the parser: data set, snapshot, metric, thresholds and outputs.

    Returns:
        The parser.
    """
    parser = Parser(
        prog="retinanet-evaluate",
        usage="%(prog)s [flags] {PATH … | FORMAT ARGUMENT …} SNAPSHOT …",
        description="Measure the detections of a snapshot: COCO's 12 numbers, and AP of each class. COCO counts "
        "at most 100 detections of a class per image; where images have more boxes, a number without this limit is "
        "added. SNAPSHOT is a .keras file, the folder of a run (its best.keras, else its last.keras), a checkpoint of "
        "another library (see retinanet-import), an exported model, or detections as a COCO result file (.json). "
        "Of several, all others are compared with the first.",
    )
    add_dataset_arguments(parser, trailing=("SNAPSHOT",), repeats=is_model)
    parser.set_defaults(class_ids=None)  # see `find_open_images_files`
    parser.add_argument("--set", metavar="NAME", help="images to use (default: the format's val)")
    add_reader_flags(parser)
    parser.add_argument("--limit", type=_COUNT, metavar="N", help="use only the first N images")
    _add_metric_flags(parser)
    _add_output_flags(parser)
    add_decision_flags(parser)
    _add_label_error_flags(parser)
    _add_detector_flags(parser)
    return parser


def _add_metric_flags(parser: argparse.ArgumentParser) -> None:
    metric = parser.add_argument_group("the numbers")
    metric.add_argument("--metric", choices=get_args(MetricName), default="coco", help="(default: %(default)s)")
    metric.add_argument(
        "--iou-thresholds", type=read_shares, metavar="X,X,…", help="IoU from which a detection is right, in place of "
        "the metric's own (coco: 0.5,0.55,…,0.95; others: 0.5)",
    )  # fmt: skip
    metric.add_argument(
        "--hierarchy", metavar="JSON", help="open_images: file such as bbox_labels_600_hierarchy.json; boxes count for "
        "the classes above their own, too (default: that of an Open Images folder)",
    )  # fmt: skip
    metric.add_argument(
        "--image-labels", metavar="CSV", help="open_images: file such as validation-annotations-human-imagelabels-"
        "boxable.csv; detections of classes that nobody looked for in an image do not count there (default: that of an "
        "Open Images folder)",
    )  # fmt: skip


def _add_output_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", metavar="FILE", help="also write the numbers to this file")
    add_report_flag(parser)
    parser.add_argument("--save-detections", metavar="FILE", help="also write the detections, as COCO results")
    parser.add_argument(
        "--no-resume", action="store_true", help="do not continue an evaluation of the same snapshot, images and "
        "settings that was interrupted",
    )  # fmt: skip


def _add_label_error_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--label-errors", metavar="FILE", action="append", default=[], help="also list annotations that look wrong: "
        "FILE.csv, FILE.json; with all boxes for a labelling tool: FILE.coco.json, FILE.labelstudio.json",
    )  # fmt: skip
    parser.add_argument(
        "--more-results", metavar="FILE,…", help="further result files, of other images of the set: the other folds"
    )


def _add_detector_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--batch-size", type=_COUNT, default=4, metavar="N", help="(default: %(default)s)")
    parser.add_argument("--workers", type=_COUNT, metavar="N", help="threads that read images (default: all cores)")
    add_winograd_flag(parser)
    parser.add_argument("--config", metavar="FILE", help="of a checkpoint: config.ini, pipeline.config, params.yaml")
    own = add_filter_flags(parser)
    own.add_argument("--image-min-side", type=_COUNT, metavar="N", help="scale the shorter side to N pixels …")
    own.add_argument("--image-max-side", type=_COUNT, metavar="N", help="… unless the longer would exceed N")
    add_views_flag(own)
    large = parser.add_argument_group("large images: measured before and after the boxes of tiles are merged")
    large.add_argument("--tile", type=_COUNT, metavar="SIZE", help="cut images into squares of SIZE pixels")
    large.add_argument(
        "--overlap", type=number(float, 0, 0.9), metavar="X", help=f"of tiles (default: {TileConfig.overlap})"
    )
    large.add_argument("--no-whole-pass", action="store_true", help="do not look at the whole image, too")


def check_flags(flags: argparse.Namespace, data: DataConfig) -> str | None:
    """Finds flags that contradict each other or the data set.

    Args:
        flags: The parsed flags.
        data: Settings of the data set.

    Returns:
        The problem in words; `None` without one.
    """
    resizes = flags.image_min_side or flags.image_max_side
    if flags.set and not DATASETS[data.dataset].has_sets:
        return f"--set names a split; for {data.dataset}, give the annotation file"
    if flags.tile is None and (flags.overlap is not None or flags.no_whole_pass):
        return "--overlap and --no-whole-pass need --tile"
    if flags.tile is not None and resizes:
        return "--image-min-side and --image-max-side resize whole images; --tile does not"
    if flags.tta is not None and resizes:
        return "--image-min-side and --image-max-side set one size; --tta has scales of the snapshot's: --tta 0.8,1"
    return check_decision_flags(flags)


def read_shares(text: str) -> tuple[float, ...]:
    """Reads `X,X,…`.

    Args:
        text: The argument.

    Returns:
        The numbers, ascending.

    Raises:
        ArgumentTypeError: One is not above 0 and below 1.
    """
    try:
        shares = tuple(sorted({float(word) for word in text.strip(",").split(",")}))
    except ValueError:
        shares = (-1.0,)
    if not 0 < shares[0] <= shares[-1] < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list X,X,… of numbers above 0 and below 1")
    return shares
