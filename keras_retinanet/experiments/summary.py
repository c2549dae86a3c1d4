"""What the runs of several seeds say: means, intervals, and which orderings of the paper hold."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Literal

from keras_retinanet.experiments.paper import TABLES, Changes, Claim, Table, Variant
from keras_retinanet.experiments.plan import run_key
from keras_retinanet.experiments.results import RunOutcome

_STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""Two-sided 95 % quantiles of Student's t with 1 to 9 degrees of freedom."""

Verdict = Literal["holds", "does not hold", "undecided", "not measured"]


@dataclass(frozen=True)
class MeanInterval:
    """A mean with its 95 % interval over seeds.

    Attributes:
        mean: The mean.
        half_width: Half the width of the interval; `None` with one seed.
    """

    mean: float
    half_width: float | None


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        variant: What was varied.
        runs: Its results, by seed.
        figures: AP, AP50 and AP75 in percent over the seeds that did not diverge; `None` without any.
    """

    variant: Variant
    runs: Mapping[int, RunOutcome]
    figures: tuple[MeanInterval, ...] | None

    @property
    def diverged(self) -> int:
        """How many runs diverged."""
        return sum(run.AP is None for run in self.runs.values())


@dataclass(frozen=True)
class Judgement:
    """An ordering, and what the runs say about it.

    Attributes:
        claim: The ordering.
        difference: AP of the better less that of the worse in percent, over common seeds; a run that diverged has 0.
        verdict: It holds if the interval lies above 0, and does not if it lies below.
    """

    claim: Claim
    difference: MeanInterval | None
    verdict: Verdict


@dataclass(frozen=True)
class TableSummary:
    """The results of a table.

    Attributes:
        table: The experiment.
        rows: Its rows that have been run.
        judgements: What the runs say about the orderings.
    """

    table: Table
    rows: tuple[Row, ...]
    judgements: tuple[Judgement, ...]


def summarise(outcomes: Mapping[str, RunOutcome], tables: Sequence[str] = tuple(TABLES)) -> list[TableSummary]:
    """Summarises the runs of each table that has any.

    Args:
        outcomes: The runs that are done, by their keys.
        tables: Names of tables.

    Returns:
        One summary per table with a run.
    """
    seeds = sorted({outcome.seed for outcome in outcomes.values()})
    found = []
    for name in tables:
        table = TABLES[name]
        rows = {
            variant.name: _summarise_row(variant, runs)
            for variant in table.variants
            if (runs := _runs_of(variant.changes, outcomes, seeds))
        }
        if rows:
            judged = tuple(_judge(claim, rows) for claim in table.claims)
            found.append(TableSummary(table, tuple(rows.values()), judged))
    return found


def interval(values: Sequence[float]) -> MeanInterval:
    """Mean and 95 % interval of Student's t.

    Args:
        values: At least one, at most ten are expected.

    Returns:
        The interval.
    """
    if len(values) < 2:
        return MeanInterval(values[0], None)
    quantile = _STUDENT[len(values) - 2] if len(values) - 2 < len(_STUDENT) else 1.96
    return MeanInterval(fmean(values), quantile * stdev(values) / math.sqrt(len(values)))


def _runs_of(changes: Changes, outcomes: Mapping[str, RunOutcome], seeds: Sequence[int]) -> dict[int, RunOutcome]:
    keys = {seed: run_key(changes, seed) for seed in seeds}
    return {seed: outcomes[key] for seed, key in keys.items() if key in outcomes}


def _summarise_row(variant: Variant, runs: Mapping[int, RunOutcome]) -> Row:
    measured = [(run.AP, run.AP50, run.AP75) for run in runs.values()]
    complete = [[100 * value for value in each if value is not None] for each in measured if None not in each]
    figures = tuple(interval(values) for values in zip(*complete, strict=True)) if complete else None
    return Row(variant, runs, figures)


def _judge(claim: Claim, rows: Mapping[str, Row]) -> Judgement:
    if claim.better not in rows or claim.worse not in rows:
        return Judgement(claim, None, "not measured")
    better, worse = rows[claim.better].runs, rows[claim.worse].runs
    seeds = sorted(set(better) & set(worse))
    if not seeds:
        return Judgement(claim, None, "not measured")
    found = interval([100 * ((better[seed].AP or 0.0) - (worse[seed].AP or 0.0)) for seed in seeds])
    width = math.inf if found.half_width is None else found.half_width
    if found.mean - width > 0:
        return Judgement(claim, found, "holds")
    return Judgement(claim, found, "does not hold" if found.mean + width < 0 else "undecided")
