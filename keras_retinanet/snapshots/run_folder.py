"""The folder of a run: its files, each written atomically, and the progress of the run.

`last.keras` and `best.keras` carry the state of the run (`run_state.json` inside the archive) beside weights and
optimizer, so that one atomic rename commits all of it; `state.json` is the same text for people to read.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import yaml

from keras_retinanet.config import TrainConfig, to_dict
from keras_retinanet.config import tree as config_tree
from keras_retinanet.config.aliases import with_current_names
from keras_retinanet.snapshots.atomic_files import write_durably, write_whole

STATE_MEMBER = "run_state.json"
SNAPSHOTS = ("best.keras", "last.keras")
"""Snapshots of a run; the first that exists is taken."""
PRESET = "task.json"
"""The file that marks a folder as a preset of KerasHub."""
TF_DETECTOR = ("pipeline.config", "params.yaml", "checkpoint", "variables/variables.index")
"""Files by which a folder is known as a TensorFlow checkpoint or exported detector."""
DIGITS = 8
"""Digits after the point in `metrics.csv`."""


@dataclass
class Progress:
    """The progress of a run.

    Attributes:
        epoch: Epochs whose training is complete.
        step: Steps of the epoch after them that are done, where the run was stopped in its middle.
        seed: Seed of the run.
        figures: Training figures of the last complete epoch; where `metrics.csv` lacks its row, it is still to measure.
        random: States of the model's random generators (dropout), in the order of its variables.
        images: Images that the run trains on; 0 if the snapshot does not say.
        averaged: Whether the weights of the snapshot are averages. The optimizer's state then has the weights that
            training continues from in the places of the averages.
        trackers: Sums and counts of the epoch's mean losses, where the run was stopped in its middle.
        data: Fingerprints of the images and of their boxes; empty if the snapshot does not say.
        rate_scale: Factor on the learning rate, halved whenever a loss that is not finite restored a snapshot.
        failures: Losses so far that were not finite.
    """

    epoch: int = 0
    step: int = 0
    seed: int = 0
    figures: dict[str, float] = field(default_factory=dict)
    random: list[list[int]] = field(default_factory=list)
    images: int = 0
    averaged: bool = False
    trackers: list[float] = field(default_factory=list)
    data: dict[str, str] = field(default_factory=dict)
    rate_scale: float = 1.0
    failures: int = 0


class Run:
    """One folder under the snapshot path.

    Args:
        folder: The existing folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.last = folder / "last.keras"
        self.best = folder / "best.keras"
        self.config = folder / "config.yaml"
        self.metrics = folder / "metrics.csv"
        self.curves = folder / "curves.png"
        self.examples = folder / "detections.jpg"
        self.report = folder / "report.html"
        self.state = folder / "state.json"
        self.recipe = folder / "recipe.txt"
        self.range_test = folder / "learning_rate.png"

    @classmethod
    def create(cls, parent: str | Path, name: str) -> Run:
        """Makes a new folder named after the moment; an existing one is never reused.

        Args:
            parent: Folder of all runs; made where missing.
            name: What follows the date and time, for example `"coco-resnet50"`.

        Returns:
            The run of the new, empty folder.

        Raises:
            OSError: No folder can be made there.
        """
        stem, tries = f"{time.strftime('%Y-%m-%d_%H-%M-%S')}-{name}", 1
        while True:
            folder = Path(parent) / (stem if tries == 1 else f"{stem}-{tries}")
            try:
                folder.mkdir(parents=True)
            except FileExistsError:
                if not folder.exists():  # a parent is not a folder
                    raise
                tries += 1
                continue
            return cls(folder)

    @classmethod
    def find(cls, path: str | Path) -> tuple[Run, Path]:
        """Finds a former run.

        Args:
            path: Its folder, or one of the snapshots inside.

        Returns:
            The run, and the snapshot to continue from: `last.keras` where a folder was named. It does not exist if the
            run ended before its first snapshot.

        Raises:
            ValueError: If there is no such run, or it has no configuration.
        """
        path = Path(path)
        run = cls(path if path.is_dir() else path.parent)
        snapshot = run.last if path.is_dir() else path
        if not path.exists():
            raise ValueError(f"{path}: no such run; name the run's folder, or a snapshot in it.")
        if not run.config.exists():
            raise ValueError(
                f"{run.config}: missing, so {path} cannot be resumed; name a run's folder or its snapshot."
            )
        return run, snapshot

    def write_config(self, config: TrainConfig) -> None:
        """Writes `config.yaml`.

        Args:
            config: All settings of the run.
        """
        text = yaml.safe_dump(to_dict(config), sort_keys=False, allow_unicode=True)
        write_durably(self.config, lambda path: path.write_text(text, encoding="utf-8"))

    def write_recipe(self, lines: Sequence[str]) -> None:
        """Writes `recipe.txt`, for people to read: what was chosen for this run, and why.

        Args:
            lines: Lines of text; without any, no file is written.
        """
        if lines:
            write_whole(self.recipe, lambda path: path.write_text("\n".join(lines) + "\n", encoding="utf-8"))

    def write_state(self, progress: Progress) -> None:
        """Writes `state.json`, for people to read.

        Args:
            progress: The progress of the run.
        """
        text = json.dumps(dataclasses.asdict(progress), indent=2) + "\n"
        write_whole(self.state, lambda path: path.write_text(text, encoding="utf-8"))

    def write_row(self, epoch: int, figures: Mapping[str, float]) -> list[dict[str, str]]:
        """Puts the figures of an epoch into `metrics.csv`, in place of those of this and later epochs.

        Args:
            epoch: Counted from 1.
            figures: Column → value; columns of earlier rows that are missing here stay empty.

        Returns:
            All rows, oldest first.
        """
        rows = [row for row in self.rows() if int(row["epoch"]) < epoch]
        rows.append({"epoch": str(epoch)} | {name: str(round(value, DIGITS)) for name, value in figures.items()})
        columns = list(dict.fromkeys(name for row in rows for name in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_durably(self.metrics, lambda path: path.write_text(text.getvalue(), encoding="utf-8"))
        return rows

    def rows(self) -> list[dict[str, str]]:
        """The rows of `metrics.csv`, column → text; empty if the file does not exist."""
        if not self.metrics.exists():
            return []
        with self.metrics.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def best_metric(
        self, monitor: str = "val_AP", mode: Literal["max", "min"] = "max", before: int | None = None
    ) -> tuple[int, float] | None:
        """The best value of a column of `metrics.csv`.

        Args:
            monitor: The column. Defaults to `"val_AP"`.
            mode: `"max"` if higher is better, else `"min"`. Defaults to `"max"`.
            before: Only epochs before this one, counted from 1. Defaults to `None`, all.

        Returns:
            The earliest epoch with the best value, and that value; `None` if there is no value.
        """
        epochs, values = column(self.rows(), monitor)
        measured = [(epoch, value) for epoch, value in zip(epochs, values, strict=True) if not before or epoch < before]
        best = max if mode == "max" else min
        return best(measured, key=lambda pair: pair[1], default=None)

    def best_epoch(self) -> int | None:
        """The epoch of `best.keras`; `None` if there is none."""
        try:
            return read_progress(self.best).epoch
        except ValueError:
            return None


def read_config(path: str | Path, log: Callable[[str], object] | None = None) -> TrainConfig:
    """Reads the `config.yaml` of a run.

    Args:
        path: The file.
        log: Receives a note per earlier name of a setting. Defaults to `None`: no notes.

    Returns:
        Its settings; missing settings have their defaults.

    Raises:
        ValueError: If the file is not YAML, or has a setting that does not exist.
    """
    try:
        plain = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        named = None if log is None else lambda note: log(f"{path}: {note}")  # says where the name stands
        return config_tree.from_dict(TrainConfig, with_current_names(plain, named))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValueError) as error:
        raise ValueError(f"{path}: not a configuration of a run: {str(error).splitlines()[0]}") from error


def find_snapshot(path: Path) -> Path:
    """The snapshot that a path means.

    Args:
        path: A snapshot, another library's checkpoint, or the folder of a run.

    Returns:
        The file, or the folder of KerasHub or of a TensorFlow detector.

    Raises:
        ValueError: The folder has no snapshot.
    """
    if not path.is_dir():
        return path
    if (path / PRESET).is_file():
        return path
    for name in SNAPSHOTS:
        if (path / name).is_file():
            return path / name
    if any((path / name).is_file() for name in TF_DETECTOR):
        return path
    raise ValueError(f"{path}: has no {' or '.join(SNAPSHOTS)}; name a snapshot, or the folder of a run")


def read_progress(snapshot: Path) -> Progress:
    """Reads the progress stored in a snapshot.

    Args:
        snapshot: A `.keras` file of a run.

    Returns:
        Its progress.

    Raises:
        ValueError: If the file is not a snapshot of a run.
    """
    try:
        with zipfile.ZipFile(snapshot) as archive:
            return Progress(**json.loads(archive.read(STATE_MEMBER)))
    except (OSError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{snapshot}: not a snapshot of a run, so it cannot be resumed; to start from its weights use --weights."
        ) from error


def column(rows: Sequence[Mapping[str, str]], name: str) -> tuple[list[int], list[float]]:
    """Epochs and values of one column of `metrics.csv`.

    Args:
        rows: Rows of `Run.rows`.
        name: The column.

    Returns:
        Epochs at which it has a value, and the values.
    """
    pairs = [(int(row["epoch"]), float(row[name])) for row in rows if row.get(name)]
    return [epoch for epoch, _ in pairs], [value for _, value in pairs]
