from __future__ import annotations

import pytest

from keras_retinanet.config import TrainConfig
from keras_retinanet.experiments.paper import TABLES
from keras_retinanet.experiments.plan import run_key
from keras_retinanet.experiments.report import report_blocks, to_html, to_markdown
from keras_retinanet.experiments.results import RunOutcome
from keras_retinanet.experiments.summary import interval, summarise


def outcomes(**aps: list[float | None]) -> dict[str, RunOutcome]:
    """Results of rows of table 1b and of the prior's, one AP per seed; underscores stand for the hyphens."""
    changes = {row.name.replace("-", "_"): row.changes for name in ("1b", "prior") for row in TABLES[name].variants}
    found = {}
    for name, values in aps.items():
        for seed, ap in enumerate(values):
            failure = "" if ap is not None else "diverged"
            half = None if ap is None else ap / 2
            key = run_key(changes[name], seed)
            found[key] = RunOutcome(key, seed, ap, ap, half, 1.0, 100, 30.0, failure)
    return found


def test_intervals_worked_by_hand() -> None:
    """Mean 2, deviation 1: 4.303 / √3 with three values, 12.706 · 0.7071 / √2 with 1 and 2."""
    assert interval([1.0, 2.0, 3.0]).mean == 2
    assert interval([1.0, 2.0, 3.0]).half_width == pytest.approx(2.4843, abs=1e-3)
    assert interval([1.0, 2.0]).half_width == pytest.approx(6.353, abs=1e-3)
    assert interval([5.0]).half_width is None


def test_orderings_are_judged_by_differences_of_the_same_seed() -> None:
    """γ 2 is 0.1 above γ 0 in each seed, although the seeds differ by more than that."""
    found = outcomes(gamma_0=[0.1, 0.3, 0.5], gamma_2=[0.2, 0.401, 0.6], gamma_1=[0.2, 0.2, 0.6], gamma_5=[0.3])
    (summary,) = summarise(found, ["1b"])
    judged = {(each.claim.better, each.claim.worse): each for each in summary.judgements}
    assert judged["gamma-2", "gamma-0"].verdict == "holds"
    assert judged["gamma-2", "gamma-0"].difference.mean == pytest.approx(10.033, abs=1e-3)
    assert judged["gamma-1", "gamma-0"].verdict == "undecided"
    assert judged["gamma-2", "gamma-5"].verdict == "undecided"  # one seed
    low = outcomes(gamma_0=[0.3, 0.3, 0.3], gamma_2=[0.1, 0.1, 0.11])
    (summary,) = summarise(low, ["1b"])
    assert summary.judgements[0].verdict == "does not hold"
    assert summary.judgements[1].verdict == "not measured"


def test_a_run_that_diverged_is_a_result() -> None:
    found = outcomes(ce_prior=[0.3, 0.31, 0.3], ce_no_prior=[None, None, None])
    (summary,) = summarise(found, ["prior"])
    assert [(row.variant.name, row.diverged) for row in summary.rows] == [("ce-prior", 0), ("ce-no-prior", 3)]
    assert summary.rows[1].figures is None
    assert summary.judgements[0].verdict == "holds"


def test_the_report_stands_beside_the_published_numbers() -> None:
    found = outcomes(gamma_0=[0.1, 0.2, 0.3], gamma_2=[0.4, 0.5, 0.6], ce_no_prior=[None])
    blocks = report_blocks(TrainConfig(), found, summarise(found, ["1b", "prior"]))
    text = to_markdown(blocks)
    assert "7 runs of 100 steps of 2 images" in text
    assert "3.5 CPU minutes in all" in text
    assert "| gamma-2 | 50.0 ± 24.8 | 50.0 ± 24.8 | 25.0 ± 12.4 | 3 | 34.0 | 52.5 | 36.5 |" in text
    assert "| ce-no-prior | – | – | – | 1, 1 diverged | diverged | – | – |" in text
    assert "| gamma-2 > gamma-0 | 30.0 ± 0.0 | holds |" in text
    page = to_html(blocks)
    assert "<td>gamma-2 &gt; gamma-0</td><td>30.0 ± 0.0</td><td>holds</td>" in page
    assert page.count("<table>") == 3
