"""`retinanet-evaluate`: measures the accuracy of a snapshot on annotated images."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from keras_retinanet.cli.dataset_arguments import add_dataset_arguments, add_reader_flags, parse_arguments
from keras_retinanet.cli.old_flags import refuse_old_flags
from keras_retinanet.cli.parsing import Parser, fail, number
from keras_retinanet.cli.snapshot_arguments import (
    add_filter_flags,
    open_detector,
    overridden,
    read_overrides,
)
from keras_retinanet.cli.startup import import_tensorflow
from keras_retinanet.config import DataConfig, MetricName, ResizeConfig
from keras_retinanet.data.datasets import DATASETS
from keras_retinanet.snapshots.run_folder import find_snapshot
from keras_retinanet.snapshots.snapshot_settings import read_settings

if TYPE_CHECKING:
    from keras_retinanet.data.bad_images import BadImages, CutOffImages
    from keras_retinanet.data.datasets import Dataset
    from keras_retinanet.data.pipeline import InferenceBatches
    from keras_retinanet.data.thumbnails import Thumbnails
    from keras_retinanet.evaluation import EvaluationResult
    from keras_retinanet.model.detection_model import DetectionModel
    from keras_retinanet.schema import Detections, Sample


@dataclass(frozen=True)
class Evaluation:
    """The model and the data of an evaluation.

    Attributes:
        model: The snapshot, with the thresholds of this evaluation.
        class_names: The model's classes; those of the data set, in order, if the snapshot has none.
        snapshot: Path of the snapshot.
        dataset: Reader of the annotated images.
        set_name: Name of the split.
        description: The data set in one line.
        samples: Images of the split, with labels in the order of the model's classes.
        resize: How images become network input.
        batches: The images as network input.
        bad_images: Tracks images that cannot be decoded, which count as images without objects; `None` if such an
            image is an error.
        cut_off: JPEGs without their last bytes.
        thumbnails: Small copies of the images, kept as they are loaded.
    """

    model: DetectionModel
    class_names: tuple[str, ...]
    snapshot: Path
    dataset: Dataset
    set_name: str
    description: str
    samples: list[Sample]
    resize: ResizeConfig
    batches: InferenceBatches
    bad_images: BadImages | None
    cut_off: CutOffImages
    thumbnails: Thumbnails


def build_parser() -> Parser:
    """Builds the parser: dataset arguments, snapshot, thresholds and outputs.

    Returns:
        The parser.
    """
    parser = Parser(
        prog="retinanet-evaluate",
        usage="%(prog)s [flags] {PATH … | FORMAT ARGUMENT …} SNAPSHOT",
        description="Measure the detections of a snapshot: COCO's 12 numbers, and AP of each class. "
        "SNAPSHOT is a .keras file, the folder of a run (its best.keras, else its last.keras), or a checkpoint of "
        "another library (see retinanet-import).",
    )
    add_dataset_arguments(parser, trailing=("SNAPSHOT",))
    count = number(int, least=1)
    parser.add_argument("--set", metavar="NAME", help="images to use (default: the format's val)")
    add_reader_flags(parser)
    parser.add_argument("--limit", type=count, metavar="N", help="use only the first N images")
    parser.add_argument("--metric", choices=get_args(MetricName), default="coco", help="(default: %(default)s)")
    parser.add_argument("--json", metavar="FILE", help="also write the numbers to this file")
    parser.add_argument("--save-detections", metavar="FILE", help="also write the detections, as COCO results")
    parser.add_argument("--batch-size", type=count, default=4, metavar="N", help="(default: %(default)s)")
    parser.add_argument("--workers", type=count, metavar="N", help="threads that read images (default: all cores)")
    parser.add_argument("--config", metavar="INI", help="fizyr's config.ini, for the anchors of its snapshot")
    own = add_filter_flags(parser)
    own.add_argument("--image-min-side", type=count, metavar="N", help="scale the shorter side to N pixels …")
    own.add_argument("--image-max-side", type=count, metavar="N", help="… unless the longer would exceed N")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        argv: Command-line arguments without the program's name. Defaults to those of this process.

    Returns:
        Exit status: 0 done, 2 wrong arguments, data or snapshot.
    """
    parser = build_parser()
    refuse_old_flags(parser, sys.argv[1:] if argv is None else argv)
    flags, data, (snapshot,) = parse_arguments(parser, argv)
    if flags.set and not DATASETS[data.dataset].has_sets:
        parser.error(f"--set names a split; for {data.dataset}, give the annotation file")
    val_annotations = data.val_annotations or data.annotations
    data = dataclasses.replace(data, val_set=flags.set, val_annotations=val_annotations, workers=flags.workers)
    import_tensorflow()
    try:
        evaluation = prepare(flags, data, Path(snapshot))
        print(describe(evaluation), flush=True)
        found = _detect(evaluation)
        _publish(evaluation, found, flags)
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
    from keras_retinanet.data.open_dataset import choose_set, match_classes, open_dataset
    from keras_retinanet.data.pipeline import InferenceBatches
    from keras_retinanet.data.thumbnails import Thumbnails
    from keras_retinanet.model.class_transfer import default_class_names

    snapshot = find_snapshot(snapshot)
    dataset = open_dataset(data, "val", exif_fallback=read_settings(snapshot).get("resize.exif", "apply"))
    model = open_detector(snapshot, flags, read_overrides(flags.config))
    is_unnamed = model.class_names == default_class_names(len(dataset.class_names))  # the checkpoint names none
    class_names = tuple(dataset.class_names) if is_unnamed else model.class_names
    samples = match_classes(list(dataset)[: flags.limit], dataset.class_names, class_names)
    resize = overridden(model.network.resize_config, flags, "min_side", "max_side", prefix="image_")
    resize = dataclasses.replace(resize, bit_depth=data.bit_depth or resize.bit_depth)
    bad_images = BadImages(len(samples)) if data.bad_data == "skip" else None
    cut_off, thumbnails = CutOffImages(), Thumbnails(len(samples))
    batches = InferenceBatches(
        samples,
        resize=resize,
        pad_value=model.network.pad_value,
        batch_size=flags.batch_size,
        workers=data.workers,
        bad_images=bad_images,
        cut_off=cut_off,
        thumbnails=thumbnails,
    )
    return Evaluation(
        model=model,
        class_names=class_names,
        snapshot=snapshot,
        dataset=dataset,
        set_name="val" if data.val_share else choose_set(data, "val") or "",
        description=describe_data(data, {"val": samples}, class_names),
        samples=samples,
        resize=resize,
        batches=batches,
        bad_images=bad_images,
        cut_off=cut_off,
        thumbnails=thumbnails,
    )


def describe(evaluation: Evaluation) -> str:
    """Describes model and data before the evaluation starts.

    Args:
        evaluation: From `prepare`.

    Returns:
        Lines about the snapshot, the images, and boxes that cannot be used.
    """
    from keras_retinanet.data.equal_files import describe_equal_files

    model, samples, resize = evaluation.model, evaluation.samples, evaluation.resize
    boxes = sum(len(sample["labels"]) for sample in samples)
    ignored = sum(int(sample["ignore"].sum()) for sample in samples)
    empty = sum(not len(sample["labels"]) for sample in samples)
    sides = f"{resize.max_side} px square" if resize.is_square else f"sides {resize.min_side} to {resize.max_side} px"
    lines = [
        f"snapshot  {evaluation.snapshot}: {len(model.class_names)} classes, {sides}, "
        f"score above {model.filter_config.score_threshold:g}, NMS {model.filter_config.nms_threshold:g}, "
        f"at most {model.filter_config.max_detections} detections",
        f"data      {evaluation.description}",
        f"images    {evaluation.set_name}: {len(samples)} images ({empty} empty), {boxes - ignored} boxes"
        + (f", {ignored} ignore regions" if ignored else ""),
    ]
    warning, notes = evaluation.dataset.report.warning(), evaluation.dataset.report.notes
    lines += [f"warning   {warning}"] if warning else []
    equal = describe_equal_files([(evaluation.set_name, [sample["image"] for sample in samples])])
    lines += [f"warning   {sentence}" for sentence in equal]
    return "\n".join([*lines, *(f"note      {note}" for note in notes)])


def _detect(evaluation: Evaluation) -> list[Detections]:
    from tqdm import tqdm

    from keras_retinanet.data.errors import from_tensorflow
    from keras_retinanet.data.thumbnails import describe_near_duplicates
    from keras_retinanet.evaluation import detect_dataset

    start = time.perf_counter()
    try:
        with tqdm(total=len(evaluation.samples), unit=" images", disable=None) as bar:
            found = detect_dataset(evaluation.model, evaluation.batches, evaluation.samples, progress=bar.update)
    except Exception as error:
        broken_file = from_tensorflow(error)
        if broken_file is None:
            raise
        raise broken_file from error
    seconds = time.perf_counter() - start
    if evaluation.bad_images is not None and (summary := evaluation.bad_images.summary()) is not None:
        print(f"warning   {summary}; their boxes count as missed")
    if (summary := evaluation.cut_off.summary()) is not None:
        print(f"warning   {summary}")
    images = [sample["image"] for sample in evaluation.samples]
    for sentence in describe_near_duplicates([(evaluation.set_name, images, evaluation.thumbnails)]):
        print(f"warning   {sentence}")
    count = sum(len(entry["scores"]) for entry in found)
    print(f"detected  {count} boxes in {seconds:.1f} s ({len(found) / seconds:.1f} images/s)\n")
    return found


def _publish(evaluation: Evaluation, found: list[Detections], flags: argparse.Namespace) -> None:
    """Prints the tables and writes the output files."""
    from keras_retinanet.evaluation import METRICS, report

    names = evaluation.class_names
    result: EvaluationResult = METRICS[flags.metric].evaluate(evaluation.samples, found, names)
    print(f"{report.stats_table(result)}\n\n{report.class_table(result)}")
    if flags.json:
        origin = {"snapshot": str(evaluation.snapshot), "set": evaluation.set_name, "metric": flags.metric}
        settings = {
            "filter": dataclasses.asdict(evaluation.model.filter_config),
            "resize": dataclasses.asdict(evaluation.resize),
        }
        report.write_json(flags.json, origin | settings | report.to_dict(result))
    if flags.save_detections:
        ids = category_ids(evaluation.dataset, names)
        report.write_json(flags.save_detections, report.coco_results(found, ids))


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


if __name__ == "__main__":
    sys.exit(main())
