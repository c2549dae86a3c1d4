"""`retinanet-detect --runner`: millions of images in shards, on one machine or many, continued after a kill."""

from __future__ import annotations

import argparse
import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_retinanet.cli.detect_outputs import close_all, open_result_files
from keras_retinanet.cli.detect_sources import find_inputs
from keras_retinanet.cli.detect_summary import INTERRUPTED, SOME_UNREAD, Tally, summary
from keras_retinanet.cli.detector_settings import detector_settings
from keras_retinanet.cli.model_words import find_model
from keras_retinanet.cli.parsing import number
from keras_retinanet.snapshots.run_lock import RunInUseError, locked

if TYPE_CHECKING:
    from keras_retinanet.shards.image_shards import Inputs, Shard
    from keras_retinanet.shards.runners import Runner
    from keras_retinanet.shards.task import Task

SHARD_SIZE = 1000


def add_runner_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of runners.

    Args:
        parser: The parser.
    """
    count = number(int, least=1)
    many = parser.add_argument_group("millions of images: --out has the results by shard; the same command continues")
    many.add_argument(
        "--runner", metavar="NAME", help="local, ray (Ray Data), or one of Apache Beam: DirectRunner, FlinkRunner … "
        "SOURCE may also be tar files (WebDataset) and TFRecords; draws nothing",
    )  # fmt: skip
    many.add_argument(
        "--beam-options", metavar="TEXT", default="", help="the Beam runner's own flags: '--project=p --region=r'"
    )
    many.add_argument(
        "--actors", type=count, metavar="N", help="ray: processes with a model (default: one per GPU, else per machine)"
    )
    many.add_argument(
        "--shard-size", type=count, metavar="N", help=f"image files per shard (default: {SHARD_SIZE}); archives are one"
    )


def check_runner_flags(flags: argparse.Namespace) -> str | None:
    """Finds flags that do not go together.

    Args:
        flags: The parsed flags.

    Returns:
        The problem, or `None`.
    """
    if flags.beam_options and flags.runner in (None, "local", "ray"):
        return "--beam-options are those of Beam's runners: name one in --runner"
    if flags.actors and flags.runner != "ray":
        return "--actors belongs to --runner ray"
    if flags.shard_size and not flags.runner:
        return "--shard-size needs --runner"
    if flags.limit and flags.runner:
        return "--limit does not go with --runner"
    return None


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
    from keras_retinanet.detection.sharded import ERRORS_NAME, join_shards, number_images
    from keras_retinanet.shards.image_shards import Inputs
    from keras_retinanet.shards.runners import Runner

    images, archives = find_inputs(flags.sources, flags.recursive)
    model = find_model(Path(flags.model)).absolute()
    task, class_names = _make_task(flags, model)
    shard_size, folder = flags.shard_size or SHARD_SIZE, Path(flags.out).absolute()
    settings = _describe_job(flags, task, model) | {"classes of the model": class_names, "shard_size": shard_size}
    pairs = [[(os.path.abspath(source.path), source.name) for source in group] for group in (images, archives)]
    inputs = Inputs(*pairs)
    runner = Runner(flags.runner, tuple(flags.beam_options.split()), flags.actors)
    try:
        shards, num_before = run_job(task, settings, inputs, shard_size, folder, runner)
    except KeyboardInterrupt:
        print(f"stopped; the same command continues with the shards that are not in {folder}")
        return INTERRUPTED
    names = [shard.file_name for shard in shards]
    find_id = number_images([folder / name for name in names]) if flags.json else lambda _: None
    writers, tally = open_result_files(flags, class_names, find_id), Tally()
    try:
        join_shards(folder, names, class_names, list(writers.values()), tally.count)
    finally:
        written = close_all(writers)
    print(summary(tally, written, is_whole=True))
    print(f"shards    {len(shards)}" + (f", {num_before} of them done before" if num_before else "") + f": {folder}")
    if tally.unread:
        print(f"errors    {folder / ERRORS_NAME}")
    return SOME_UNREAD if tally.unread else 0


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
    """What the results depend on; the number of images of a batch changes rounding at most."""
    from keras_retinanet.shards.job_folder import digest_of_file

    settings = {name: value for name, value in task.settings if name not in ("batch_size", "workers")}
    for name in ("tiles", "views"):
        settings[name] = settings[name] and dataclasses.asdict(settings[name])
    settings["thresholds"] = flags.thresholds and digest_of_file(Path(flags.thresholds))
    sources = [os.path.abspath(word) for word in flags.sources]
    return {"model": digest_of_file(model), "sources": sources, "recursive": flags.recursive, **settings}


def run_job(
    task: Task,
    settings: dict[str, Any],
    inputs: Inputs,
    shard_size: int,
    folder: Path,
    runner: Runner,
) -> tuple[list[Shard], int]:
    """Does the shards of a job that are due.

    Args:
        task: What is done.
        settings: What the results depend on.
        inputs: The images.
        shard_size: Image files per shard.
        folder: The folder of the job.
        runner: Who does the shards.

    Returns:
        All shards, and the number of those that an earlier run had done.

    Raises:
        ValueError: The folder has shards of another job, or another process works there.
        OSError: A worker failed.
    """
    from tqdm import tqdm

    from keras_retinanet.shards.image_shards import cut_into_shards
    from keras_retinanet.shards.job_folder import check_same_job, prepare_folder
    from keras_retinanet.shards.runners import do_shards

    check_same_job(folder, settings)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with locked(folder):
            shards = cut_into_shards(inputs, folder, shard_size)
            due = prepare_folder(folder, settings, shards)
            before = len(shards) - len(due)
            with tqdm(total=len(shards), initial=before, unit=" shards", disable=None) as bar:
                do_shards(task, due, folder, runner, bar.update)
    except RunInUseError:
        raise ValueError(f"{folder}: another process works there now; end it first, or wait for it.") from None
    return shards, before
