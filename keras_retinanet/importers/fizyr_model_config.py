"""Settings in the description of a fizyr model: anchors, thresholds, box coder, epsilon of the batch normalisation.

Also fizyr's `config.ini` with the anchors, which training snapshots do not hold.
"""

from __future__ import annotations

import configparser
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keras_retinanet.importers.blueprint import CheckpointError

STD = (0.2, 0.2, 0.2, 0.2)
_OLD_STD = (0.1, 0.1, 0.2, 0.2)
SECTION, LEVELS = "anchor_parameters", "pyramid_levels"
KEYS = ("sizes", "strides", "ratios", "scales")


@dataclass(frozen=True)
class FizyrSettings:
    """Settings of a fizyr model. Files of weights alone hold none.

    Attributes:
        anchors: `sizes`, `strides`, `ratios` and `scales`; empty for training models.
        filter: Fields of `FilterConfig`; empty for training models.
        std: Four factors on the deltas.
        epsilon: Epsilon of the batch normalisation.
        stem_pad: Padding before the first convolution of a MobileNet; `None` if it has no such layer.
    """

    anchors: dict[str, Any] = field(default_factory=dict)
    filter: dict[str, Any] = field(default_factory=dict)
    std: tuple[float, ...] = STD
    epsilon: float | None = None
    stem_pad: Any = None


def read_model_config(config: Any) -> FizyrSettings:
    """Reads the settings in the description of a model.

    Args:
        config: JSON of the attribute `model_config`, or `None`.

    Returns:
        The settings.

    Raises:
        CheckpointError: The model is channels-first, codes boxes as before April 2018, or has malformed numbers.
    """
    try:
        layers = list(_iterate_layers(config))
        return _read_layers(layers)
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"Its model description cannot be read: {type(error).__name__} {error}.") from error


def _read_layers(layers: list[tuple[str, dict[str, Any]]]) -> FizyrSettings:
    if any(settings.get("data_format") == "channels_first" for _, settings in layers):
        raise CheckpointError(
            "It is a channels-first model. Load it in keras-retinanet with image_data_format channels_last in "
            "~/.keras/keras.json, save it again, and import that file."
        )
    anchors = sorted((s for kind, s in layers if kind == "Anchors"), key=lambda s: float(s["size"]))
    coder = next((settings for kind, settings in layers if kind == "RegressBoxes"), {})
    suppression = next((settings for kind, settings in layers if kind == "FilterDetections"), None)
    norms = {float(s["epsilon"]) for kind, s in layers if kind == "BatchNormalization" and "epsilon" in s}
    if len(norms) > 1 and max(norms) > 1.01 * min(norms):
        raise CheckpointError(f"Its batch normalisations differ in epsilon: {sorted(norms)}.")
    pad = next((settings["padding"] for kind, settings in layers if settings.get("name") == "conv1_pad"), None)
    return FizyrSettings(
        _read_anchors(anchors), _read_filter(suppression), _read_std(coder), min(norms) if norms else None, stem_pad=pad
    )


def _iterate_layers(config: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Class and settings of every layer, including those of submodels."""
    if config is None:
        return
    for layer in config["config"]["layers"]:
        yield str(layer["class_name"]), layer["config"]
        if "layers" in layer["config"]:
            yield from _iterate_layers(layer)


def _read_anchors(levels: list[dict[str, Any]]) -> dict[str, Any]:
    if not levels:
        return {}
    shapes = {(_read_numbers(level["ratios"]), _read_numbers(level["scales"])) for level in levels}
    if len(shapes) != 1:
        raise CheckpointError("Its levels have anchors of different ratios or scales.")
    ratios, scales = shapes.pop()
    return {
        "sizes": tuple(float(level["size"]) for level in levels),
        "strides": tuple(int(level["stride"]) for level in levels),
        "ratios": ratios,
        "scales": scales,
    }


def _read_filter(settings: dict[str, Any] | None) -> dict[str, Any]:
    if settings is None:
        return {}
    mode = "agnostic" if not settings.get("class_specific_filter", True) else "per_class"
    return {
        "nms": mode if settings.get("nms", True) else "none",
        "nms_threshold": float(settings.get("nms_threshold", 0.5)),
        "score_threshold": float(settings.get("score_threshold", 0.05)),
        "max_detections": int(settings.get("max_detections", 300)),
    }


def _read_std(coder: dict[str, Any]) -> tuple[float, ...]:
    std, mean = _read_numbers(coder.get("std") or STD), _read_numbers(coder.get("mean") or (0, 0, 0, 0))
    if std == _OLD_STD:
        raise CheckpointError(
            "Its boxes are coded by centre and size, as before April 2018. Convert it with the keras-retinanet of that "
            "time, or train again."
        )
    if any(mean) or len(std) != 4:
        raise CheckpointError(f"Its box coder has mean {mean} and std {std}; a mean of 0 can be imported.")
    return std


def _read_numbers(values: Any) -> tuple[float, ...]:
    """Plain numbers, also where Keras wrapped an array as `{"type": "ndarray", "value": …}`."""
    values = values["value"] if isinstance(values, dict) else values
    return tuple(float(value) for value in values)


def read_anchor_ini(path: str | Path) -> dict[str, tuple[float, ...]]:
    """Reads the anchors of fizyr's `config.ini`.

    Args:
        path: File with the section `anchor_parameters`, and optionally `pyramid_levels`.

    Returns:
        Fields of `AnchorConfig`: `sizes`, `strides`, `ratios`, `scales`.

    Raises:
        CheckpointError: A section or key is missing, unknown, or not numeric; the message names file and key.
        OSError: The file cannot be opened.
    """
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(Path(path).read_text(encoding="utf-8"))
    except (configparser.Error, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path}: {' '.join(str(error).split())}") from error
    if not parser.has_section(SECTION):
        raise CheckpointError(f"{path}: has no section [{SECTION}].")
    section = parser[SECTION]
    if wrong := [*(set(section) - set(KEYS)), *(set(KEYS) - set(section))]:
        raise CheckpointError(f"{path}: [{SECTION}] needs the keys {', '.join(KEYS)}; {wrong[0]!r} is not right.")
    found: dict[str, tuple[float, ...]] = {}
    for key in KEYS:
        kind = int if key in ("sizes", "strides") else float
        try:
            found[key] = tuple(kind(value) for value in section[key].split())
        except ValueError as error:
            raise CheckpointError(f"{path}: {key} = {section[key]!r} are not numbers.") from error
    if len(found["sizes"]) != len(found["strides"]) or not all(found.values()):
        raise CheckpointError(
            f"{path}: sizes and strides need one number a level each, ratios and scales at least one."
        )
    levels = parser.get(LEVELS, "levels", fallback="").split()
    if levels and len(levels) != len(found["sizes"]):
        raise CheckpointError(f"{path}: {len(levels)} pyramid levels and {len(found['sizes'])} sizes.")
    return found
