"""Which runs the experiments need: each once, the first seed of all before the second of any."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from keras_retinanet.config import TrainConfig
from keras_retinanet.config.architectures import ARCHITECTURES
from keras_retinanet.config.tree import changed, flattened
from keras_retinanet.experiments.paper import TABLES, Changes, Variant


@dataclass(frozen=True)
class PlannedRun:
    """One training run.

    Attributes:
        key: Its identity in the file of results: the changed settings and the seed.
        names: `table/variant` of all rows that it belongs to.
        changes: The settings that it changes.
        seed: The seed.
    """

    key: str
    names: tuple[str, ...]
    changes: Changes
    seed: int

    @property
    def folder_name(self) -> str:
        """Name of the folder of its snapshots: the key without what file systems may refuse."""
        return re.sub(r"[^\w.]+", "-", self.key).strip("-")


def plan_runs(tables: Sequence[str], only: Collection[str], seeds: Sequence[int]) -> list[PlannedRun]:
    """Lists the runs of some tables; a variant that several tables share is run once.

    Args:
        tables: Names of tables.
        only: Names of variants; empty for all.
        seeds: The seeds.

    Returns:
        The runs, seed by seed.

    Raises:
        ValueError: A table or a variant is unknown.
    """
    rows = [(table, variant) for table in tables for variant in _variants(table)]
    if unknown := set(only) - {variant.name for _, variant in rows}:
        raise ValueError(
            f"No variant {min(unknown)!r} in {', '.join(tables)}; they have "
            f"{', '.join(dict.fromkeys(variant.name for _, variant in rows))}."
        )
    found: dict[str, PlannedRun] = {}
    for seed in seeds:
        for table, variant in rows:
            if only and variant.name not in only:
                continue
            key, name = run_key(variant.changes, seed), f"{table}/{variant.name}"
            names = (*found[key].names, name) if key in found else (name,)
            found[key] = PlannedRun(key, names, variant.changes, seed)
    return list(found.values())


def run_key(changes: Changes, seed: int) -> str:
    """The identity of a run in the file of results.

    Args:
        changes: The settings that it changes.
        seed: Its seed.

    Returns:
        A line of text.
    """
    return json.dumps({"seed": seed, **{name: changes[name] for name in sorted(changes)}})


def run_settings(base: TrainConfig, run: PlannedRun, snapshot_path: str) -> TrainConfig:
    """The settings of a run; it is measured once, after its last epoch, with COCO's AP.

    A run of another architecture keeps of the base what applies to it and what it does not decide itself.

    Args:
        base: Settings of all runs.
        run: The run.
        snapshot_path: Folder of the runs' folders.

    Returns:
        The settings.
    """
    fresh: dict[str, Any] = dict.fromkeys(("loss.alpha", "loss.gamma", "loss.shift"))
    architecture = run.changes.get("model.architecture", base.model.architecture)
    if architecture != base.model.architecture:
        plain, applies = flattened(TrainConfig()), ARCHITECTURES[architecture].applies
        fresh |= {name: value for name, value in plain.items() if not applies(name)}
        fresh |= ARCHITECTURES[architecture].defaults
    return changed(
        base,
        {
            **fresh,
            **run.changes,
            "seed": run.seed,
            "snapshot_path": snapshot_path,
            "use_evaluation": True,
            "evaluate_every": base.epochs,
            "metric": "coco",
            "monitor": None,
            "report": "none",
        },
    )


def differing_settings(before: TrainConfig, now: TrainConfig) -> list[str]:
    """Names of the settings in which two bases differ and that would change the results.

    Args:
        before: Settings of the runs that are there.
        now: Settings of those that are to follow.

    Returns:
        Dotted names.
    """
    ignored = {"snapshot_path", "seed", "data.workers", "data.use_cache", "data.use_index_cache", "report"}
    values, others = flattened(before), flattened(now)
    return [name for name, value in values.items() if name not in ignored and others[name] != value]


def _variants(table: str) -> Sequence[Variant]:
    if table not in TABLES:
        raise ValueError(f"No table {table!r}; there are {', '.join(TABLES)}.")
    return TABLES[table].variants
