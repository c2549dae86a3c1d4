"""Names of the numbers of all metrics, as `retinanet-train --monitor` takes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from keras_retinanet.evaluation import METRICS, EvaluationResult, MetricSettings
from keras_retinanet.schema import Sample

_OF_CROWDED_IMAGES = " maxDets="


class NumberName(NamedTuple):
    """A number of a metric.

    Attributes:
        metric: Its metric.
        number: Its name in the `stats` of that metric's results, or in `per_class`.
        class_name: Its class; `None` for a number over all classes.
    """

    metric: str
    number: str
    class_name: str | None


def find_number(
    name: str,
    metric: str,
    samples: Sequence[Sample],
    class_names: Sequence[str],
    settings: MetricSettings,
) -> NumberName:
    """Finds a number by its name.

    Args:
        name: `NUMBER` of a metric, `METRIC.NUMBER` of another, either with `/CLASS`.
        metric: The metric of names without one.
        samples: The images that are measured: some numbers depend on them.
        class_names: Names of the labels.
        settings: Settings of the metric.

    Returns:
        The number.

    Raises:
        ValueError: The name is unknown.
    """
    found = _split(name, metric)
    _require(name, found, METRICS[found.metric](samples, [], class_names, settings), class_names)
    return found


def check_number(name: str, metric: str) -> None:
    """Requires a name that a number can have, before the images and classes are known.

    Args:
        name: As in `find_number`.
        metric: The metric of names without one.

    Raises:
        ValueError: No data set has such a number.
    """
    found = _split(name, metric)
    if _OF_CROWDED_IMAGES not in found.number:
        any_class = (found.class_name or "CLASS",)
        _require(name, found, METRICS[found.metric]([], [], any_class, MetricSettings()), any_class)


def _require(name: str, found: NumberName, result: EvaluationResult, class_names: Sequence[str]) -> None:
    known = result.stats if found.class_name is None else result.per_class
    if found.number not in known or found.class_name not in (None, *class_names):
        of_class = ", ".join(f"{number}/CLASS" for number in result.per_class)
        raise ValueError(
            f"--monitor {name}: the metric {found.metric} has no such number. It has {', '.join(result.stats)}; of a "
            f"class {of_class} (such as {class_names[0]}); METRIC.NUMBER is one of another metric "
            f"({', '.join(METRICS)})."
        )


def _split(name: str, metric: str) -> NumberName:
    first, dot, rest = name.partition(".")
    own, number = (first, rest) if dot and first in METRICS else (metric, name)
    number, slash, class_name = number.partition("/")
    return NumberName(own, number, class_name if slash else None)
