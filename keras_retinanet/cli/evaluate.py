"""`retinanet-evaluate`: measures the accuracy of a snapshot on annotated images."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from keras_retinanet.cli.dataset_arguments import add_dataset_arguments, add_reader_flags, parse_arguments
from keras_retinanet.cli.evaluation_comparison import compare_models
from keras_retinanet.cli.evaluation_decision import add_decision_flags, check_decision_flags, check_storable
from keras_retinanet.cli.evaluation_inputs import Evaluation
from keras_retinanet.cli.evaluation_report import evaluate_results, find_open_images_files, is_result_file, publish
from keras_retinanet.cli.evaluation_run import detect
from keras_retinanet.cli.exported_run import open_exported
from keras_retinanet.cli.label_error_list import check_label_error_files
from keras_retinanet.cli.model_words import find_model, is_exported, is_model
from keras_retinanet.cli.old_flags import refuse_old_flags
from keras_retinanet.cli.parsing import Parser, fail, number
from keras_retinanet.cli.report_file import add_report_flag
from keras_retinanet.cli.snapshot_arguments import (
    add_filter_flags,
    add_views_flag,
    open_detector,
    overridden,
    read_overrides,
)
from keras_retinanet.cli.startup import import_tensorflow
from keras_retinanet.config import DataConfig, MetricName, TileConfig
from keras_retinanet.data.datasets import DATASETS
from keras_retinanet.snapshots.snapshot_settings import read_settings


def build_parser() -> Parser:
    """Builds the parser: dataset arguments, snapshot, thresholds and outputs.

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
    count = number(int, least=1)
    parser.add_argument("--set", metavar="NAME", help="images to use (default: the format's val)")
    add_reader_flags(parser)
    parser.add_argument("--limit", type=count, metavar="N", help="use only the first N images")
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
    parser.add_argument("--json", metavar="FILE", help="also write the numbers to this file")
    add_report_flag(parser)
    parser.add_argument("--save-detections", metavar="FILE", help="also write the detections, as COCO results")
    parser.add_argument(
        "--no-resume", action="store_true", help="do not continue an evaluation of the same snapshot, images and "
        "settings that was interrupted",
    )  # fmt: skip
    add_decision_flags(parser)
    parser.add_argument(
        "--label-errors", metavar="FILE", action="append", default=[], help="also list annotations that look wrong: "
        "FILE.csv, FILE.json; with all boxes for a labelling tool: FILE.coco.json, FILE.labelstudio.json",
    )  # fmt: skip
    parser.add_argument(
        "--more-results", metavar="FILE,…", help="further result files, of other images of the set: the other folds"
    )
    parser.add_argument("--batch-size", type=count, default=4, metavar="N", help="(default: %(default)s)")
    parser.add_argument("--workers", type=count, metavar="N", help="threads that read images (default: all cores)")
    parser.add_argument("--config", metavar="FILE", help="of a checkpoint: config.ini, pipeline.config, params.yaml")
    own = add_filter_flags(parser)
    own.add_argument("--image-min-side", type=count, metavar="N", help="scale the shorter side to N pixels …")
    own.add_argument("--image-max-side", type=count, metavar="N", help="… unless the longer would exceed N")
    add_views_flag(own)
    large = parser.add_argument_group("large images: measured before and after the boxes of tiles are merged")
    large.add_argument("--tile", type=count, metavar="SIZE", help="cut images into squares of SIZE pixels")
    large.add_argument(
        "--overlap", type=number(float, 0, 0.9), metavar="X", help=f"of tiles (default: {TileConfig.overlap})"
    )
    large.add_argument("--no-whole-pass", action="store_true", help="do not look at the whole image, too")
    return parser


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


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        argv: Command-line arguments without the program's name. Defaults to those of this process.

    Returns:
        Exit status: 0 done, 2 wrong arguments, data or snapshot.
    """
    parser = build_parser()
    given = sys.argv[1:] if argv is None else argv
    refuse_old_flags(parser, given)
    flags, data, models = parse_arguments(parser, argv)
    flags.given = given
    if flags.set and not DATASETS[data.dataset].has_sets:
        parser.error(f"--set names a split; for {data.dataset}, give the annotation file")
    val_annotations = data.val_annotations or data.annotations
    own_set = {"train_set" if data.divides_training_images else "val_set": flags.set}
    data = dataclasses.replace(data, val_annotations=val_annotations, workers=flags.workers, **own_set)
    if flags.tile is None and (flags.overlap is not None or flags.no_whole_pass):
        parser.error("--overlap and --no-whole-pass need --tile")
    if flags.tile is not None and (flags.image_min_side or flags.image_max_side):
        parser.error("--image-min-side and --image-max-side resize whole images; --tile does not")
    if flags.tta is not None and (flags.image_min_side or flags.image_max_side):
        parser.error(
            "--image-min-side and --image-max-side set one size; --tta has scales of the snapshot's: --tta 0.8,1"
        )
    paths = [Path(word) for word in models]
    if problem := check_decision_flags(flags):
        parser.error(problem)
    import_tensorflow()
    try:
        find_open_images_files(flags, data)
        check_label_error_files(flags.label_errors)
        if flags.store_thresholds:
            check_storable(find_model(paths[0]))
        if flags.more_results and not (len(paths) == 1 and is_result_file(paths[0])):
            raise ValueError(f"--more-results adds to one result file, not to {paths[0]}")
        if len(paths) > 1:
            compare_models(paths, flags, data, prepare, describe)
        elif is_result_file(paths[0]):
            evaluate_results(paths[0], flags, data)
        else:
            evaluation = prepare(flags, data, paths[0])
            print(describe(evaluation), flush=True)
            with detect(evaluation, flags) as (stages, speed):
                publish(evaluation, stages, flags, speed)
    except (ValueError, OSError, ImportError) as error:
        return fail("retinanet-evaluate", error)
    return 0


def prepare(flags: argparse.Namespace, data: DataConfig, snapshot: Path) -> Evaluation:
    """Opens snapshot and data, and matches their classes by name.

    Args:
        flags: The parsed flags.
        data: Settings of the data set.
        snapshot: Path of a snapshot or of a run's folder.

    Returns:
        Model and data.

    Raises:
        ValueError: Data or snapshot are invalid, or their classes do not match.
        OSError: A file cannot be read.
    """
    from keras_retinanet.data.bad_images import BadImages, CutOffImages
    from keras_retinanet.data.data_summary import describe_data
    from keras_retinanet.data.open_dataset import choose_set, match_classes, open_dataset, take_first
    from keras_retinanet.data.pipeline import InferenceBatches
    from keras_retinanet.data.thumbnails import Thumbnails
    from keras_retinanet.model.class_transfer import default_class_names

    snapshot = find_model(snapshot)
    dataset = open_dataset(data, "val", exif_fallback=read_settings(snapshot).get("resize.exif", "apply"))
    model: Any = None if is_exported(snapshot) else open_detector(snapshot, flags, read_overrides(flags.config))
    network = model and model.network
    model = model or open_exported(snapshot, flags)
    is_unnamed = model.class_names == default_class_names(len(dataset.class_names))  # the checkpoint names none
    class_names = tuple(dataset.class_names) if is_unnamed else model.class_names
    samples = match_classes(take_first(dataset, flags.limit), dataset.class_names, class_names)
    resize = network.resize_config if network else model.resize
    if resize.shape and (flags.image_min_side or flags.image_max_side):
        raise ValueError(f"--image-min-side and --image-max-side have no effect: images are {resize}. Leave them out.")
    resize = overridden(resize, flags, "min_side", "max_side", prefix="image_")
    resize = dataclasses.replace(resize, bit_depth=data.bit_depth or resize.bit_depth)
    trackers: dict[str, Any] = {
        "bad_images": BadImages(len(samples)) if data.bad_data == "skip" else None,
        "cut_off": CutOffImages(),
        "thumbnails": Thumbnails(len(samples)),
    }
    settings = {"resize": resize, "batch_size": flags.batch_size, "workers": data.workers, **trackers}
    return Evaluation(
        model=model,
        class_names=class_names,
        snapshot=snapshot,
        dataset=dataset,
        set_name="val" if data.divides_training_images else choose_set(data, "val") or "",
        description=describe_data(data, {"val": samples}, class_names),
        samples=samples,
        resize=resize,
        batches=InferenceBatches(samples, pad_value=network.pad_value, **settings) if network else None,
        **trackers,
    )


def describe(evaluation: Evaluation) -> str:
    """Describes model and data before the evaluation starts.

    Args:
        evaluation: From `prepare`.

    Returns:
        Lines about the snapshot, the images, and boxes that cannot be used.
    """
    from keras_retinanet.data.equal_files import describe_equal_files

    model, samples, resize, filter = evaluation.model, evaluation.samples, evaluation.resize, evaluation.filter
    boxes = sum(len(sample["labels"]) for sample in samples)
    ignored = sum(int(sample["ignore"].sum()) for sample in samples)
    empty = sum(not len(sample["labels"]) for sample in samples)
    lines = [
        f"snapshot  {evaluation.snapshot}: {len(model.class_names)} classes, {resize}, "
        f"score above {filter.score_threshold:g}, NMS {filter.nms_threshold:g}, "
        f"at most {filter.max_detections} detections",
        f"data      {evaluation.description}",
        f"images    {evaluation.set_name}: {len(samples)} images ({empty} empty), {boxes - ignored} boxes"
        + (f", {ignored} ignore regions" if ignored else ""),
    ]
    warning, notes = evaluation.dataset.report.warning(), evaluation.dataset.report.notes
    lines += [f"warning   {warning}"] if warning else []
    equal = describe_equal_files([(evaluation.set_name, [sample["image"] for sample in samples])])
    lines += [f"warning   {sentence}" for sentence in equal]
    return "\n".join([*lines, *(f"note      {note}" for note in notes)])


if __name__ == "__main__":
    sys.exit(main())
