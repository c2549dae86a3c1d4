"""The settings inside a snapshot, read without opening the model; fine-tuning takes them over."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

from keras_retinanet.config.aliases import with_current_arguments

SNAPSHOT_CLASS, INFERENCE_CLASS = "RetinaNet", "DetectionModel"
_NO_SETTINGS = ("name", "dtype", "trainable", "max_side")  # arguments of the layer of anchors; the shape has the last


def read_settings(path: str | Path) -> dict[str, Any]:
    """Reads the network, anchors or default boxes, and resize rule of a snapshot.

    Args:
        path: Any file.

    Returns:
        Dotted name → value, as `config.tree.changed` takes them; empty if the file is not a snapshot of a RetinaNet.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            stored = json.loads(archive.read("config.json"))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        return {}
    if isinstance(stored, dict) and stored.get("class_name") == INFERENCE_CLASS:
        stored = with_current_arguments(stored["config"])["network"]
    if not isinstance(stored, dict) or stored.get("class_name") != SNAPSHOT_CLASS:
        return {}
    config = with_current_arguments(_decode_tuples(stored["config"]))
    groups = {"model": config["metadata"].get("model", {}), "resize": config["resize_config"]}
    anchors = config["anchors"]["config"]
    group = "default_boxes" if config["anchors"]["class_name"] == "DefaultBoxes" else "anchors"
    groups[group] = {name: value for name, value in anchors.items() if name not in _NO_SETTINGS}
    return {
        f"{group}.{name}": value
        for group, values in groups.items()
        for name, value in values.items()
        if f"{group}.{name}" != "model.weights"
    }


def _decode_tuples(value: Any) -> Any:
    """Plain values: Keras writes tuples as objects, our settings write them as lists."""
    if isinstance(value, dict) and value.get("class_name") == "__tuple__":
        return tuple(_decode_tuples(item) for item in value["items"])
    if isinstance(value, dict):
        return {name: _decode_tuples(item) for name, item in value.items()}
    if isinstance(value, list):
        return tuple(_decode_tuples(item) for item in value)
    return value
