"""Does shards in this process, in an Apache Beam pipeline, or by Ray Data: the engines know nothing of images."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_retinanet.data.beam_pipeline import open_pipeline
from keras_retinanet.extras import install_hint
from keras_retinanet.shards.image_shards import Shard
from keras_retinanet.shards.task import Task, do_shard, open_once

LOCAL, RAY = "local", "ray"
"""Names of the runners that are not Beam's."""
_LINES = 3
_POLL = 1.0  # seconds between two looks at the folder


@dataclass(frozen=True)
class Runner:
    """Who does the shards.

    Attributes:
        name: `"local"`, `"ray"`, or the name of a Beam runner.
        beam_options: The Beam runner's own flags.
        actors: Ray processes, each of which opens the model. Defaults to one per GPU, else one per machine.
    """

    name: str
    beam_options: tuple[str, ...] = ()
    actors: int | None = None


def do_shards(
    task: Task, shards: Sequence[Shard], folder: Path, runner: Runner, progress: Callable[[int], object]
) -> None:
    """Does shards and waits until all have their files.

    Args:
        task: What is done.
        shards: Those that are due.
        folder: Folder of the job, which all workers see under the same path.
        runner: Who does them.
        progress: Called with the number of shards that are done since the last call.

    Raises:
        ImportError: The engine is not installed.
        ValueError: The runner is not known, or its flags are wrong.
        OSError: A worker failed; the shards that are done have their files.
    """
    if not shards:
        return
    run = {LOCAL: _run_here, RAY: _run_with_ray}.get(runner.name, _run_with_beam)
    with _watched(folder, shards, progress):
        try:
            run(task, shards, str(folder), runner)
        except (ImportError, ValueError, OSError):
            raise
        except Exception as error:  # each engine wraps a worker's error in a class of its own
            raise OSError(f"a worker of --runner {runner.name} failed: {_last_lines(error)}") from error
    missing = [shard for shard in shards if not (folder / shard.file_name).exists()]
    if missing:
        raise OSError(
            f"{len(missing)} of {len(shards)} shards have no file in {folder}: do the workers see it under this path? "
            "The same command does those that are missing."
        )


def _last_lines(error: Exception) -> str:
    """The end of an engine's message, which may hold the traceback of the worker."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[-_LINES:]) or repr(error)


def _run_here(task: Task, shards: Sequence[Shard], folder: str, runner: Runner) -> None:
    del runner
    for shard in shards:
        do_shard(task, folder, shard)


def _run_with_beam(task: Task, shards: Sequence[Shard], folder: str, runner: Runner) -> None:
    with open_pipeline(runner.name, runner.beam_options) as pipeline:
        add_steps(pipeline, task, shards, folder)


def add_steps(pipeline: Any, task: Task, shards: Sequence[Shard], folder: str) -> Any:
    """Adds to a Beam pipeline what does shards.

    Args:
        pipeline: The pipeline.
        task: What is done; opened when a worker is set up.
        shards: The shards.
        folder: Folder of the job.

    Returns:
        The collection of the names of the files.
    """
    import apache_beam as beam

    class DoShard(beam.DoFn):
        """Does shards. Its pickle holds the settings of the task."""

        def setup(self) -> None:
            open_once(task)

        def process(self, shard: Shard) -> Iterator[str]:
            yield do_shard(task, folder, shard)

    given = pipeline | "shards" >> beam.Create(list(shards), reshuffle=False)
    return given | "spread" >> beam.Reshuffle() | "do" >> beam.ParDo(DoShard())


def _run_with_ray(task: Task, shards: Sequence[Shard], folder: str, runner: Runner) -> None:
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ImportError(f"--runner ray needs Ray Data ({error}): {install_hint('ray')}.") from None

    class DoShard:
        """Does shards in a process of its own."""

        def __init__(self) -> None:
            open_once(task)

        def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
            return {"file": do_shard(task, folder, Shard(**row))}

    if not ray.is_initialized():
        if "RAY_ADDRESS" not in os.environ:  # read where a new cluster is started
            os.environ.setdefault("RAY_worker_niceness", "0")  # by default 15, which stands nearly still beside others
        ray.init(log_to_driver=False, include_dashboard=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    actors, resources = _resources(ray, runner.actors)
    rows = ray.data.from_items([shard._asdict() for shard in shards], override_num_blocks=len(shards))
    pool = ray.data.ActorPoolStrategy(size=min(actors, len(shards)))
    for _ in rows.map(DoShard, compute=pool, **resources).iter_rows():
        pass


def _resources(ray: Any, actors: int | None) -> tuple[int, dict[str, float]]:
    """Number of actors, and what each asks the cluster for: one core at most, and a GPU if there is one for each.

    More cores might not be free on any machine, for which Ray would wait for ever; it spreads actors by itself.
    """
    there = ray.cluster_resources()
    gpus, cores = int(there.get("GPU", 0)), there.get("CPU", 1.0)
    actors = actors or gpus or sum(node["Alive"] for node in ray.nodes())
    resources = {"num_cpus": min(1.0, cores / actors)}
    return actors, resources | ({"num_gpus": 1.0} if gpus >= actors else {})


@contextlib.contextmanager
def _watched(folder: Path, shards: Sequence[Shard], progress: Callable[[int], object]) -> Iterator[None]:
    """Reports the shards that have their files, whoever writes them, until the block ends."""
    waiting, has_ended = {shard.file_name for shard in shards}, threading.Event()

    def report() -> None:
        done = waiting & {path.name for path in folder.glob("*.npz")}
        waiting.difference_update(done)
        progress(len(done))

    def watch() -> None:
        while not has_ended.wait(_POLL):
            report()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        has_ended.set()
        thread.join()
        report()
