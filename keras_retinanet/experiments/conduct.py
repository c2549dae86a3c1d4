"""Trains and measures the planned runs that are not done yet, within a budget of CPU time."""

from __future__ import annotations

import gc
import shutil
import signal
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from statistics import fmean

import keras

from keras_retinanet.config import TrainConfig
from keras_retinanet.experiments.plan import PlannedRun, run_settings
from keras_retinanet.experiments.results import Ablation, RunOutcome
from keras_retinanet.snapshots.run_lock import locked
from keras_retinanet.training.prepare import NonFiniteLossError, prepare
from keras_retinanet.training.signals import StopRequest

Log = Callable[[str], object]


def conduct(
    ablation: Ablation,
    base: TrainConfig,
    runs: Sequence[PlannedRun],
    *,
    chosen: Collection[str] = (),
    budget: float | None = None,
    keeps_snapshots: bool = False,
    log: Log = print,
) -> bool:
    """Trains and measures what is left. It may be stopped at any time: the next call repeats the run it was in.

    What a run that was killed left in the folder is removed when it is repeated.

    Args:
        ablation: The folder.
        base: Settings of all runs.
        runs: The runs.
        chosen: Dotted names of the settings that a recipe must not change, besides those of the variants.
        budget: CPU seconds of all runs in the folder, those of earlier calls included; no run begins that would
            probably exceed it. Defaults to no limit.
        keeps_snapshots: Keep the folders of the runs. Defaults to `False`.
        log: Receives one line per message.

    Returns:
        Whether all are done.

    Raises:
        RunInUseError: Another process trains the run that is next.
    """
    with StopRequest() as request:
        for number, run in enumerate(runs, 1):
            done = ablation.outcomes()
            if run.key in done:
                continue
            if request.is_made:
                log("stopped; the same command continues")
                return False
            costs = [each.cpu_seconds for each in done.values()]
            if budget is not None and costs and sum(costs) + fmean(costs) > budget:
                log(f"budget: {sum(costs) / 60:.1f} CPU minutes are used, {len(runs) - number + 1} runs are left out")
                return False
            folder = ablation.runs / run.folder_name
            _remove_attempts(folder)
            outcome = train_one(run_settings(base, run, str(folder)), run, chosen)
            if outcome is None:
                log("stopped; the same command continues")
                return False
            if not keeps_snapshots:
                _remove_attempts(folder)
            ablation.add(outcome)
            figure = outcome.failure or f"AP {outcome.AP:.3f}"
            name = f"{number}/{len(runs)}  {run.names[0]}, seed {run.seed}"
            log(f"{name}: {figure}, {outcome.cpu_seconds:.0f} s of CPU time")
    return True


def _remove_attempts(folder: Path) -> None:
    """Removes the folders of a run, unless a process trains in one of them."""
    for attempt in folder.iterdir() if folder.exists() else ():
        with locked(attempt):
            shutil.rmtree(attempt)
    if folder.exists():
        folder.rmdir()


def train_one(config: TrainConfig, run: PlannedRun, chosen: Collection[str]) -> RunOutcome | None:
    """Trains and measures one run.

    Args:
        config: Its settings.
        run: The run.
        chosen: See `conduct`.

    Returns:
        Its result, of which divergence is one; `None` if a signal stopped it.
    """
    started, failure, figures = time.process_time(), "", {}
    training = prepare(config, chosen={*chosen, *run.changes}, log=_discard)
    try:
        result = training.fit()
        figures = result.figures
        if result.stopped_by is not None:
            return None
        if result.late_signal is not None:  # the run is complete; whoever conducts the runs stops after it
            signal.raise_signal(result.late_signal)
    except NonFiniteLossError:
        failure = "diverged"
    steps = training.progress.epoch * training.batches.steps_per_epoch + training.progress.step
    del training
    keras.backend.clear_session()
    gc.collect()
    ap, ap50, ap75 = (None if failure else figures[f"val_{name}"] for name in ("AP", "AP50", "AP75"))
    seconds = round(time.process_time() - started, 1)
    return RunOutcome(run.key, run.seed, ap, ap50, ap75, figures.get("loss"), steps, seconds, failure)


def _discard(line: str) -> None:
    """A log that keeps nothing: what `prepare` says is the same for every run."""
    del line
