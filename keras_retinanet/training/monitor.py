"""The number that ranks epochs, any number of any metric, and the end of a run in which it no longer improves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import keras

from keras_retinanet.evaluation import METRICS, EvaluationResult, MetricSettings
from keras_retinanet.evaluation.number_name import find_number
from keras_retinanet.schema import Detections, Sample
from keras_retinanet.snapshots.run_folder import Run, column
from keras_retinanet.training.callbacks import Logs
from keras_retinanet.training.pictures import METRIC_PREFIX


@dataclass(frozen=True)
class Monitor:
    """Which number ranks epochs.

    Attributes:
        metric: Its metric.
        number: Its name in the `stats` of that metric's results, or in `per_class`.
        class_name: Its class; `None` for a number over all classes.
        name: How it is written, such as `"AP"`, `"AP/cat"` or `"lrp.oLRP"`.
        is_chosen: Whether the run names it; otherwise the metric does.
    """

    metric: str
    number: str
    class_name: str | None
    name: str
    is_chosen: bool

    @property
    def column(self) -> str:
        """Its column of `metrics.csv`."""
        return f"{METRIC_PREFIX}{self.name}"

    @property
    def mode(self) -> Literal["max", "min"]:
        """`"max"` if a higher value is better, else `"min"`."""
        return METRICS[self.metric].mode_of(self.number)

    def value(self, result: EvaluationResult) -> float:
        """Its value.

        Args:
            result: A result of its metric.

        Returns:
            The value; -1 or nan if no annotated box contributes to it.
        """
        if self.class_name is None:
            return result.stats[self.number]
        return float(result.per_class[self.number][result.class_names.index(self.class_name)])

    def log(
        self,
        metric: str,
        samples: Sequence[Sample],
        found: Sequence[Detections],
        class_names: Sequence[str],
        settings: MetricSettings,
    ) -> tuple[dict[str, float], dict[str, float]]:
        """Computes what training logs.

        Args:
            metric: Name of the run's metric.
            samples: The validation images.
            found: Their detections.
            class_names: Names of the labels.
            settings: Settings of the metric.

        Returns:
            Name → value of the numbers of the run's metric, and of this one; and the first number of each class that
            has boxes, such as `"AP/cat"`.
        """
        result = METRICS[metric](samples, found, class_names, settings)
        logged = METRICS[metric].logged_stats(result)
        if self.name not in logged:
            other = METRICS[self.metric](samples, found, class_names, settings) if self.metric != metric else result
            value = self.value(other)
            logged |= {self.name: value} if value >= 0 else {}
        first, values = next(iter(result.per_class.items()))
        classes = {f"{first}/{name}": float(value) for name, value in zip(class_names, values, strict=True)}
        return logged, {name: value for name, value in classes.items() if value >= 0}


def choose_monitor(
    chosen: str | None,
    metric: str,
    samples: Sequence[Sample] | None,
    class_names: Sequence[str],
    settings: MetricSettings,
) -> Monitor:
    """Finds the number that ranks epochs.

    Args:
        chosen: `NUMBER` of the run's metric, `METRIC.NUMBER` of another, either with `/CLASS`. `None` for the one by
            which the run's metric ranks models.
        metric: The run's metric.
        samples: The validation images; `None` if nothing is measured.
        class_names: Names of the labels.
        settings: Settings of the metric.

    Returns:
        The number.

    Raises:
        ValueError: There is no such number, or nothing is measured.
    """
    if chosen is None:
        number = METRICS[metric].monitor_for(samples or (), settings)
        return Monitor(metric, number, None, number, is_chosen=False)
    if samples is None:
        raise ValueError(f"--monitor {chosen} needs validation images.")
    found = find_number(chosen, metric, samples, class_names, settings)
    return Monitor(*found, chosen, is_chosen=True)


class StopEarly(keras.callbacks.Callback):
    """Ends a run whose monitored number has not improved for some evaluations; comes last.

    It counts rows of `metrics.csv`, so that a resumed run counts on.

    Args:
        run: The folder.
        monitor: Column of the number that ranks epochs.
        mode: `"max"` if higher is better, else `"min"`.
        patience: Evaluations in a row without a better value. `None` for no limit.
        log: Receives one line when the run ends.
    """

    def __init__(
        self,
        run: Run,
        monitor: str,
        mode: Literal["max", "min"],
        *,
        patience: int | None,
        log: Callable[[str], object],
    ) -> None:
        super().__init__()
        self.run, self.monitor, self.mode, self.patience, self.log = run, monitor, mode, patience, log

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Ends the run if its patience is exhausted."""
        del epoch, logs
        if not self.model.stop_training and self.is_due():
            self.log(f"stopped: {self.monitor} has not improved in {self.patience} evaluations")
            self.model.stop_training = True

    def is_due(self) -> bool:
        """Whether the last `patience` evaluations brought no better value."""
        best = self.run.best_metric(self.monitor, self.mode)
        if self.patience is None or best is None:
            return False
        epochs, _ = column(self.run.rows(), self.monitor)
        return sum(epoch > best[0] for epoch in epochs) >= self.patience
