"""The folder of an ablation: its settings, and one line of JSON for each run that is done."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml

from keras_retinanet.config import TrainConfig
from keras_retinanet.config.tree import from_dict, to_dict
from keras_retinanet.experiments.plan import differing_settings


@dataclass(frozen=True)
class RunOutcome:
    """The result of a run.

    Attributes:
        key: Identity of the run.
        seed: Its seed.
        AP: AP at IoU 0.5 to 0.95, in `0 … 1`; `None` where the run diverged.
        AP50: AP at IoU 0.5.
        AP75: AP at IoU 0.75.
        loss: Loss of the last epoch.
        steps: Training steps.
        cpu_seconds: CPU time of training and measuring, all threads.
        failure: Why the run has no AP, such as `"diverged"`; empty if it has one.
    """

    key: str
    seed: int
    AP: float | None
    AP50: float | None
    AP75: float | None
    loss: float | None
    steps: int
    cpu_seconds: float
    failure: str = ""


class Ablation:
    """The folder of an ablation.

    Args:
        folder: The folder; made where missing.

    Attributes:
        folder: The folder.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.runs = self.folder / "runs"
        self._results, self._settings = self.folder / "results.jsonl", self.folder / "settings.yaml"

    def open(self, base: TrainConfig) -> None:
        """Stores the settings that all runs share, or compares them with those of the runs that are there.

        Args:
            base: The settings.

        Raises:
            ValueError: They differ.
        """
        self.runs.mkdir(parents=True, exist_ok=True)
        if not self._settings.exists():
            self._settings.write_text(yaml.safe_dump(to_dict(base), sort_keys=False), encoding="utf-8")
        elif names := differing_settings(self.base(), base):
            raise ValueError(
                f"{self.folder} holds runs with another {', '.join(names)}, which cannot be compared; choose another "
                "--out, or leave these flags as they were."
            )

    def base(self) -> TrainConfig:
        """The settings that all runs share."""
        return from_dict(TrainConfig, yaml.safe_load(self._settings.read_text(encoding="utf-8")))

    def outcomes(self) -> dict[str, RunOutcome]:
        """The runs that are done, by their keys."""
        if not self._results.exists():
            return {}
        lines = self._results.read_text(encoding="utf-8").splitlines()
        found = [RunOutcome(**json.loads(line)) for line in lines if line.endswith("}")]  # not one cut off by a crash
        return {each.key: each for each in found}

    def add(self, outcome: RunOutcome) -> None:
        """Appends a run.

        Args:
            outcome: Its result.
        """
        with self._results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(outcome)) + "\n")
