"""The curves of a run: losses and validation metrics over its epochs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

METRIC_PREFIX = "val_"
"""Columns of `metrics.csv` that begin with this hold validation metrics."""


def describe_run(rows: Sequence[Mapping[str, str]], best_epoch: int | None) -> dict[str, Any] | None:
    """Describes the course of a run.

    Args:
        rows: Rows of its `metrics.csv`.
        best_epoch: Epoch of `best.keras`.

    Returns:
        `epochs`, `best`, `explanation` and `charts`; `None` without rows.
    """
    if not rows:
        return None
    names = list(dict.fromkeys(name for row in rows for name in row if name and name != "epoch"))
    columns = {
        "Training loss": [name for name in names if name.endswith("loss") and not name.startswith(METRIC_PREFIX)],
        "Validation metrics": [name for name in names if name.startswith(METRIC_PREFIX)],
        "Learning rate": [name for name in names if name == "learning_rate"],
    }
    charts = [{"title": title, "curves": [_curve(rows, name) for name in own]} for title, own in columns.items() if own]
    best = f" best.keras is of epoch {best_epoch}." if best_epoch else ""
    return {
        "epochs": [int(row["epoch"]) for row in rows],
        "best": best_epoch,
        "explanation": f"{len(rows)} epoch{'s' * (len(rows) > 1)}.{best}",
        "charts": charts,
    }


def _curve(rows: Sequence[Mapping[str, str]], name: str) -> dict[str, Any]:
    values = [float(row.get(name) or math.nan) for row in rows]
    label = name.removeprefix(METRIC_PREFIX)
    return {"name": label, "values": [value if math.isfinite(value) else None for value in values]}
