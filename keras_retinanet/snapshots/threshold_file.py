"""Score thresholds and calibration in a file, and in a snapshot.

`retinanet-evaluate --save-thresholds` writes the file; people may write or change one:

    classes:
      ant: 0.4
      bee: {threshold: 0.55}
"""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from keras_retinanet.config import FilterConfig, to_dict
from keras_retinanet.config.aliases import with_current_arguments
from keras_retinanet.config.near_names import nearest_name
from keras_retinanet.snapshots.atomic_files import write_whole

_CONFIG = "config.json"
_NUMBERS = ("score_threshold", "temperature", "score_bias")
_ALLOWED = "{classes: {NAME: {threshold: X}, …}, temperature: T, score_bias: B, score_threshold: X}"


@dataclass(frozen=True)
class StoredThresholds:
    """What a file says about scores.

    Attributes:
        by_class: Score threshold by class name. Classes that are left out have `score_threshold`.
        score_threshold: The threshold of all other classes; `None` leaves the model's own.
        temperature: See `FilterConfig`; `None` leaves the model's own, as for `score_bias`.
        score_bias: See `FilterConfig`.
        source: Path of the file, for messages.
        lines: Class name → line of the file.
    """

    by_class: Mapping[str, float] = field(default_factory=dict)
    score_threshold: float | None = None
    temperature: float | None = None
    score_bias: float | None = None
    source: str = ""
    lines: Mapping[str, int] = field(default_factory=dict)

    def place_of(self, name: str) -> str:
        """File and line of a class, for messages."""
        return f"{self.source}, line {self.lines[name]}" if name in self.lines else self.source

    def applied_to(self, filter: FilterConfig, class_names: Sequence[str]) -> FilterConfig:
        """The filter of a model with these thresholds.

        Args:
            filter: The model's filter.
            class_names: The model's classes.

        Returns:
            The filter.

        Raises:
            ValueError: The model does not have a class of the file; the message has the line.
        """
        for name in self.by_class:
            if name not in class_names:
                near = nearest_name(name, class_names)
                hint = f"did you mean {near!r}?" if near else f"it has {', '.join(class_names)}."
                raise ValueError(f"{self.place_of(name)}: the model has no class {name!r}; {hint}")
        changes: dict[str, Any] = {name: getattr(self, name) for name in _NUMBERS if getattr(self, name) is not None}
        own = filter.class_thresholds or (filter.score_threshold,) * len(class_names)
        if self.score_threshold is not None:
            own, changes["class_thresholds"] = (self.score_threshold,) * len(class_names), ()
        if self.by_class:
            thresholds = (self.by_class.get(name, other) for name, other in zip(class_names, own, strict=True))
            changes["class_thresholds"] = tuple(thresholds)
        return dataclasses.replace(filter, **changes)


def write_threshold_file(path: Path, content: Mapping[str, Any]) -> None:
    """Writes a file that `read_threshold_file` reads.

    Args:
        path: A name that ends in `.json`, else the file is YAML; its folder is created if absent.
        content: `"classes"` with the `"threshold"` of each, `"temperature"`, `"score_bias"`, `"score_threshold"`, and
            anything else that people want to know, in plain values.
    """
    if path.suffix.lower() == ".json":
        text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    else:
        text = yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True, default_flow_style=None, width=120)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, lambda part: part.write_text(text, encoding="utf-8"))


def read_threshold_file(path: str | Path) -> StoredThresholds:
    """Reads thresholds and calibration.

    Args:
        path: YAML or JSON.

    Returns:
        What the file says.

    Raises:
        ValueError: It is not such a file; the message has the line.
        OSError: It cannot be opened.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
        content = yaml.safe_load(text)
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist; retinanet-evaluate --save-thresholds writes such a file.") from None
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"{path} is neither YAML nor JSON: {error}. Allowed is {_ALLOWED}.") from None
    if not isinstance(content, dict) or not (content.keys() & {"classes", *_NUMBERS}):
        raise ValueError(f"{path}, line 1: this is not a file of thresholds; allowed is {_ALLOWED}.")
    classes = content.get("classes") or {}
    if not isinstance(classes, dict):
        raise ValueError(f"{path}, line {_line_of(text, 'classes')}: classes need names, as in {_ALLOWED}.")
    lines = {str(name): _line_of(text, str(name), "classes") for name in classes}
    by_class = {}
    for name, entry in classes.items():
        value = entry.get("threshold") if isinstance(entry, dict) else entry
        by_class[str(name)] = _number(value, f"{path}, line {lines[str(name)]}: the threshold of {name!r}", 0, 1)
    places = {name: f"{path}, line {_line_of(text, name)}: {name}" for name in _NUMBERS}
    limits = {"score_threshold": (0, 1), "temperature": (1e-6, 1e6), "score_bias": (-1e6, 1e6)}
    numbers = {
        name: _number(content[name], places[name], *limits[name])
        for name in _NUMBERS
        if content.get(name) is not None
    }  # fmt: skip
    return StoredThresholds(by_class, **numbers, source=str(path), lines=lines)


def store_thresholds(path: Path, stored: StoredThresholds, class_names: Sequence[str]) -> None:
    """Replaces the thresholds inside a snapshot; weights, optimizer and the state of the run stay as they are.

    Args:
        path: A `.keras` file.
        stored: The thresholds.
        class_names: Names of the labels.

    Raises:
        ValueError: The file is not a snapshot.
        OSError: The file cannot be read or written.
    """

    def write(target: Path) -> None:
        with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as copy:
            for entry in source.infolist():
                if entry.filename == _CONFIG:
                    changed = _with_thresholds(json.loads(source.read(entry)), stored, class_names)
                    copy.writestr(entry, json.dumps(changed))
                else:
                    with source.open(entry) as content, copy.open(entry, "w") as target_entry:
                        shutil.copyfileobj(content, target_entry)

    try:
        write_whole(path, write)
    except (zipfile.BadZipFile, KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{str(path)!r} is not a snapshot, whose thresholds can be replaced: {error}") from None


def _with_thresholds(
    content: dict[str, Any], thresholds: StoredThresholds, class_names: Sequence[str]
) -> dict[str, Any]:
    config = with_current_arguments(content["config"])
    filter = thresholds.applied_to(FilterConfig(**(config["filter_config"] or {})), class_names)
    return {**content, "config": {**config, "filter_config": to_dict(filter)}}


def _number(value: Any, what: str, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise ValueError(f"{what} is {value!r}; allowed are numbers from {least:g} to {most:g}.")
    return float(value)


def _line_of(text: str, key: str, below: str | None = None) -> int:
    """The line, from 1, of a key; 1 if it is written in an unusual way."""
    start = 0
    if below is not None and (head := re.search(rf"^[\s{{\"']*{below}[\"']?\s*:", text, re.MULTILINE)):
        start = head.end()
    found = re.compile(rf"(?:^|[\s{{,])[\"']?{re.escape(key)}[\"']?\s*:", re.MULTILINE).search(text, start)
    return text.count("\n", 0, found.end()) + 1 if found else 1
