"""Shared by commands that work in shards: the flags of runners, and a job from its folder to its files."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_retinanet.cli.parsing import number
from keras_retinanet.snapshots.run_lock import RunInUseError, locked

if TYPE_CHECKING:
    from keras_retinanet.shards.image_shards import Inputs, Shard
    from keras_retinanet.shards.runners import Runner
    from keras_retinanet.shards.task import Task

SHARD_SIZE = 1000


def add_runner_flags(parser: argparse.ArgumentParser, title: str, what: str) -> None:
    """Adds the flags of runners.

    Args:
        parser: The parser.
        title: Title of their group.
        what: What else `--runner` means.
    """
    count = number(int, least=1)
    many = parser.add_argument_group(title)
    many.add_argument(
        "--runner",
        metavar="NAME",
        help=f"local, ray (Ray Data), or one of Apache Beam: DirectRunner, FlinkRunner … {what}",
    )
    many.add_argument(
        "--beam-options", metavar="TEXT", default="", help="the Beam runner's own flags: '--project=p --region=r'"
    )
    many.add_argument(
        "--actors", type=count, metavar="N", help="ray: worker processes (default: one per GPU, else per machine)"
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
    return None


def read_runner(flags: argparse.Namespace) -> Runner:
    """Who does the shards.

    Args:
        flags: The parsed flags.

    Returns:
        The runner.
    """
    from keras_retinanet.shards.runners import Runner

    return Runner(flags.runner, tuple(flags.beam_options.split()), flags.actors)


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
