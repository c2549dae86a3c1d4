from __future__ import annotations

import pytest

from keras_retinanet.config import TrainConfig
from keras_retinanet.config.rules import check
from keras_retinanet.config.tree import changed
from keras_retinanet.experiments.paper import TABLES
from keras_retinanet.experiments.plan import differing_settings, plan_runs, run_settings
from keras_retinanet.losses import class_constants

BASE = changed(TrainConfig(), {"model.weights": "none", "epochs": 3, "loss.alpha": 0.9, "loss.box": "giou"})


@pytest.mark.parametrize("table", TABLES)
def test_every_row_has_settings_of_its_own_that_its_loss_knows(table: str) -> None:
    runs = plan_runs([table], (), [0])
    assert len(runs) == len(TABLES[table].variants)
    names = {variant.name for variant in TABLES[table].variants}
    assert {name for claim in TABLES[table].claims for name in (claim.better, claim.worse)} <= names
    for run in runs:
        config = run_settings(BASE, run, "runs")
        check(config)
        class_constants(config.loss)  # raises where a constant is left over from the base


def test_rows_that_are_equal_are_one_run() -> None:
    runs = plan_runs(["1a", "1b"], ["alpha-0.75", "gamma-0", "gamma-2"], [0, 1])
    assert [(run.names, run.seed) for run in runs] == [
        (("1a/alpha-0.75", "1b/gamma-0"), 0),
        (("1b/gamma-2",), 0),
        (("1a/alpha-0.75", "1b/gamma-0"), 1),
        (("1b/gamma-2",), 1),
    ]
    assert len({run.key for run in runs}) == 4


def test_a_run_keeps_the_base_and_is_measured_once() -> None:
    (run,) = plan_runs(["1b"], ["gamma-5"], [7])
    config = run_settings(BASE, run, "runs")
    assert (config.loss.gamma, config.loss.alpha, config.loss.box) == (5.0, 0.25, "giou")
    assert (config.seed, config.evaluate_every, config.epochs) == (7, 3, 3)


def test_another_architecture_keeps_what_applies_to_it() -> None:
    base = changed(BASE, {"model.fpn_width": 64, "anchors.ratios": (1.0,), "batch_size": 8})
    (run,) = plan_runs(["ssd"], ["ssd-focal"], [0])
    config = run_settings(base, run, "runs")
    assert (config.model.architecture, config.resize.shape, config.batch_size) == ("ssd300_vgg16", (300, 300), 8)
    assert (config.model.fpn_width, config.anchors.ratios) == (256, (0.5, 1.0, 2.0))
    assert (config.loss.classification, config.loss.gamma, config.loss.beta) == ("focal", 2.0, 1.0)


def test_unknown_rows_and_tables_are_named() -> None:
    with pytest.raises(ValueError, match=r"'gamma-3' in 1a, 1b; they have alpha-0\.1, .*gamma-5"):
        plan_runs(["1a", "1b"], ["gamma-3"], [0])
    with pytest.raises(ValueError, match=r"No table '1f'; there are prior, 1a"):
        plan_runs(["1f"], (), [0])


def test_what_does_not_change_results_may_change() -> None:
    now = changed(BASE, {"data.workers": 7, "seed": 3, "epochs": 4, "loss.box": "l1"})
    assert differing_settings(BASE, now) == ["loss.box", "epochs"]
