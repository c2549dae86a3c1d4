"""`retinanet-detect --runner`: millions of images in shards, on one machine or many, continued after a kill."""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_retinanet.cli.detect_outputs import close_all, discard_all, open_result_files
from keras_retinanet.cli.detect_sources import find_inputs
from keras_retinanet.cli.detect_summary import INTERRUPTED, SOME_UNREAD, Tally, summary
from keras_retinanet.cli.detector_settings import detector_settings
from keras_retinanet.cli.model_words import find_model
from keras_retinanet.cli.runner_arguments import SHARD_SIZE, read_runner, run_job


def run_with_runner(flags: argparse.Namespace) -> int:
    """Detects in shards, and joins their results.

    Args:
        flags: The parsed flags.

    Returns:
        Exit status.

    Raises:
        ValueError: Model, images or the folder do not fit the flags.
        OSError: A worker failed, or a file cannot be written.
    """
    from keras_retinanet.detection.parquet_file import import_pyarrow
    from keras_retinanet.detection.sharded import ERRORS_NAME
    from keras_retinanet.shards.image_shards import Inputs

    if flags.parquet:
        import_pyarrow()  # checked now, not after hours
    images, archives = find_inputs(flags.sources, flags.recursive)
    model = find_model(Path(flags.model)).absolute()
    task, class_names = _make_task(flags, model)
    shard_size, folder = flags.shard_size or SHARD_SIZE, Path(flags.out).absolute()
    settings = _describe_job(flags, task, model) | {"classes of the model": class_names, "shard_size": shard_size}
    pairs = [[(os.path.abspath(source.path), source.name) for source in group] for group in (images, archives)]
    inputs = Inputs(*pairs)
    try:
        shards, num_before = run_job(task, settings, inputs, shard_size, folder, read_runner(flags))
        tally, written = _join(flags, folder, [shard.file_name for shard in shards], class_names)
    except KeyboardInterrupt:
        print(f"stopped; the same command continues with the shards that are not in {folder}")
        return INTERRUPTED
    print(summary(tally, written, is_whole=True))
    print(f"shards    {len(shards)}" + (f", {num_before} of them done before" if num_before else "") + f": {folder}")
    if tally.unread:
        print(f"errors    {folder / ERRORS_NAME}")
    return SOME_UNREAD if tally.unread else 0


def _join(
    flags: argparse.Namespace, folder: Path, names: Sequence[str], class_names: Sequence[str]
) -> tuple[Tally, dict[str, list[Path]]]:
    """Writes the result files, all of them whole or none; returns the counts, and the paths by output."""
    from keras_retinanet.detection.sharded import join_shards, number_images

    find_id = number_images([folder / name for name in names]) if flags.json else lambda _: None
    writers, tally = open_result_files(flags, class_names, find_id), Tally()
    try:
        join_shards(folder, names, class_names, list(writers.values()), tally.count)
    except BaseException:
        discard_all(writers)
        raise
    return tally, close_all(writers)


def _make_task(flags: argparse.Namespace, model: Path) -> tuple[Any, tuple[str, ...]]:
    """Opens the model once to check the settings before workers start; returns the task and the class names."""
    from keras_retinanet.detection.detector import Detector
    from keras_retinanet.detection.sharded import DetectionTask
    from keras_retinanet.runtimes.open_model import open_model
    from keras_retinanet.runtimes.stricter_runtime import with_threshold_file

    runtime = with_threshold_file(open_model(model), flags.thresholds)
    settings = detector_settings(flags, runtime.filter)
    Detector(runtime, **settings)
    settings["thresholds"] = flags.thresholds and os.path.abspath(flags.thresholds)
    return DetectionTask(str(model), tuple(settings.items())), runtime.class_names


def _describe_job(flags: argparse.Namespace, task: Any, model: Path) -> dict[str, Any]:
    """What the results depend on; images of a batch and Winograd change rounding at most."""
    from keras_retinanet.shards.job_folder import digest_of_file

    settings = {name: value for name, value in task.settings if name not in ("batch_size", "workers", "winograd")}
    for name in ("tiles", "views"):
        settings[name] = settings[name] and dataclasses.asdict(settings[name])
    settings["thresholds"] = flags.thresholds and digest_of_file(Path(flags.thresholds))
    sources = [os.path.abspath(word) for word in flags.sources]
    return {"model": digest_of_file(model), "sources": sources, "recursive": flags.recursive, **settings}
