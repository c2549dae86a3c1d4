"""`retinanet-evaluate`: measures the accuracy of a snapshot on annotated images."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_retinanet.cli.dataset_arguments import parse_arguments
from keras_retinanet.cli.evaluation_arguments import build_parser, check_flags
from keras_retinanet.cli.evaluation_comparison import compare_models
from keras_retinanet.cli.evaluation_decision import check_storable
from keras_retinanet.cli.evaluation_inputs import Evaluation
from keras_retinanet.cli.evaluation_report import evaluate_results, find_open_images_files, publish
from keras_retinanet.cli.evaluation_run import detect
from keras_retinanet.cli.exported_run import open_exported
from keras_retinanet.cli.label_error_list import check_label_error_files
from keras_retinanet.cli.model_words import find_model, is_exported, is_results
from keras_retinanet.cli.old_flags import refuse_old_flags
from keras_retinanet.cli.parsing import fail
from keras_retinanet.cli.snapshot_arguments import open_detector, overridden, print_winograd_note, read_overrides
from keras_retinanet.cli.startup import import_tensorflow
from keras_retinanet.config import DataConfig
from keras_retinanet.heap import keep_freed_memory, use_few_heaps
from keras_retinanet.snapshots.snapshot_settings import read_settings


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
    if problem := check_flags(flags, data):
        parser.error(problem)
    val_annotations = data.val_annotations or data.annotations
    own_set = {"train_set" if data.divides_training_images else "val_set": flags.set}
    data = dataclasses.replace(data, val_annotations=val_annotations, workers=flags.workers, **own_set)
    paths = [Path(word) for word in models]
    use_few_heaps()
    keep_freed_memory()
    import_tensorflow()
    try:
        find_open_images_files(flags, data)
        check_label_error_files(flags.label_errors)
        if flags.store_thresholds:
            check_storable(find_model(paths[0]))
        if flags.more_results and not (len(paths) == 1 and is_results(paths[0]) and paths[0].is_file()):
            raise ValueError(f"--more-results adds to one result file, not to {paths[0]}")
        if len(paths) > 1:
            compare_models(paths, flags, data, prepare, describe)
        elif is_results(paths[0]):
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
    from keras_retinanet.winograd import use_winograd

    snapshot = find_model(snapshot)
    print_winograd_note(flags, snapshot)
    dataset = open_dataset(data, "val", exif_fallback=read_settings(snapshot).get("resize.exif", "apply"))
    model: Any = None if is_exported(snapshot) else open_detector(snapshot, flags, read_overrides(flags.config))
    network = model and model.network
    if network and flags.winograd != "off":
        use_winograd(network, flags.winograd)
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
    if filter.class_thresholds:
        low, high = min(filter.class_thresholds), max(filter.class_thresholds)
        lines.append(
            f"note      the classes have thresholds of {low:g} to {high:g}, and only what scores above counts; "
            "--score-threshold 0.05 replaces them"
        )
    warning, notes = evaluation.dataset.report.warning(), evaluation.dataset.report.notes
    lines += [f"warning   {warning}"] if warning else []
    equal = describe_equal_files([(evaluation.set_name, [sample["image"] for sample in samples])])
    lines += [f"warning   {sentence}" for sentence in equal]
    return "\n".join([*lines, *(f"note      {note}" for note in notes)])


if __name__ == "__main__":
    sys.exit(main())
