"""The tables of checks, and the section on checks in docs/extending.md, followed literally."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from keras_retinanet.config import FilterConfig, TrainConfig
from keras_retinanet.doctor import diagnose
from keras_retinanet.doctor.checks import PAIR_CHECKS, SPLIT_CHECKS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "extending.md"


def test_a_check_is_one_function_and_one_entry(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    section = PAGE.read_text(encoding="utf-8").partition("## A check of the doctor")[2].partition("\n## ")[0]
    (code,) = re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102: the documentation's own code
    monkeypatch.setitem(SPLIT_CHECKS, "crowded_images", names["check_crowded_images"])
    diagnosis = diagnose(dataclasses.replace(config, filter=FilterConfig(max_detections=5)))
    (finding,) = (finding for finding in diagnosis.findings if finding.kind == "crowded-image")
    assert (finding.split, finding.count, finding.title) == ("train", 1, "1 images have more than 5 boxes")
    assert finding.examples[0].where.endswith("good.png")
    assert finding.examples[0].what == "has 6 boxes"


def test_every_check_can_report_something(config: TrainConfig) -> None:
    """Every check finds at least one fault in a data set that has one of each kind; the names are unique."""
    train, val = diagnose(config).scans
    silent = [name for name, check in SPLIT_CHECKS.items() if not check(train, config)]
    silent += [name for name, pair_check in PAIR_CHECKS.items() if not pair_check(train, val, config)]
    assert silent == []
    assert SPLIT_CHECKS.keys().isdisjoint(PAIR_CHECKS)
