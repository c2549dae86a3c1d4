"""What a run has come to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from keras_retinanet.snapshots.run_folder import Progress, Run
from keras_retinanet.training.monitor import Monitor
from keras_retinanet.training.processes import Processes


@dataclass(frozen=True)
class RunResult:
    """The result of a run.

    Attributes:
        folder: Where its files are.
        epochs: Complete epochs.
        figures: Last row of `metrics.csv`: `epoch`, `loss`, `val_AP` …
        best: Row of the epoch that is best by the metric, empty if nothing was measured.
        stopped_by: The signal that stopped the run, `None` where it is complete.
        report: The report; `None` where there is none.
        late_signal: A signal that came after the last step, so that the run is complete.
    """

    folder: Path
    epochs: int
    figures: dict[str, float]
    best: dict[str, float]
    stopped_by: int | None
    report: Path | None = None
    late_signal: int | None = None


def read_result(
    run: Run, progress: Progress, monitor: Monitor, processes: Processes, *, stopped_by: int | None, report: Path | None
) -> RunResult:
    """Reads the result of a run from its files, which the first process has.

    Args:
        run: The folder.
        progress: The progress of the run.
        monitor: The number that ranks epochs.
        processes: Those that train together.
        stopped_by: The signal that stopped the run.
        report: The report.

    Returns:
        The result.
    """

    def read() -> list[dict[str, float]]:
        rows, best = run.rows(), run.best_metric(monitor.column, monitor.mode)
        numbers = [{name: float(value) for name, value in row.items() if value} for row in rows]
        highest = next((row for row in numbers if best is not None and row["epoch"] == best[0]), {})
        return [numbers[-1] if numbers else {}, highest]

    last, highest = processes.broadcast(read)
    return RunResult(run.folder, progress.epoch, last, highest, stopped_by, report)
