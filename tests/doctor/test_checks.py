"""The tables of checks."""

from __future__ import annotations

from keras_retinanet.config import TrainConfig
from keras_retinanet.doctor import diagnose
from keras_retinanet.doctor.checks import PAIR_CHECKS, SPLIT_CHECKS


def test_every_check_can_report_something(config: TrainConfig) -> None:
    """Every check finds at least one fault in a data set that has one of each kind; the names are unique."""
    train, val = diagnose(config).scans
    silent = [name for name, check in SPLIT_CHECKS.items() if not check(train, config)]
    silent += [name for name, pair_check in PAIR_CHECKS.items() if not pair_check(train, val, config)]
    assert silent == []
    assert SPLIT_CHECKS.keys().isdisjoint(PAIR_CHECKS)
