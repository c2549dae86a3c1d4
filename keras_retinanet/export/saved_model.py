"""SavedModels for TensorFlow Serving: image bytes in, boxes in the pixels of each image out."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

import tensorflow as tf

from keras_retinanet.config import to_dict
from keras_retinanet.export.serving_graph import ServingGraph
from keras_retinanet.export.warmup import write_warmup
from keras_retinanet.inference import DetectionModel
from keras_retinanet.version import __version__

LABELS = "labels.txt"
"""In `assets/`: a class name a line, in the order of the labels."""
PROVENANCE = "keras_retinanet.json"
"""In `assets.extra/`: version, class names, thresholds, resize rule and the snapshot's metadata."""

PYTHON_OPS = ("PyFunc", "PyFuncStateless", "EagerPyFunc", "NumpyFunction")
"""Ops that a server has no kernel for: they call back into the Python process that wrote them."""


def export_saved_model(detector: DetectionModel, folder: Path) -> Path:
    """Write a new version into a model's folder.

    The version is written beside its place and then renamed: a server that polls the folder sees it whole or not.

    Args:
        detector: The model, with the thresholds that are built in.
        folder: The model's folder, made if absent. Versions are its subfolders 1, 2, …

    Returns:
        The folder of the new version.

    Raises:
        ValueError: The model uses ops that a server cannot run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    version = 1 + max((int(path.name) for path in folder.iterdir() if path.name.isdecimal()), default=0)
    aside = Path(tempfile.mkdtemp(prefix=".writing-", dir=folder))
    try:
        labels = aside / LABELS
        labels.write_text("".join(f"{name}\n" for name in detector.class_names), encoding="utf-8")
        tracked = tf.Module()  # of Keras' own variables TensorFlow would restore copies that no signature reads
        tracked.weights = [variable.value for variable in detector.variables]
        tracked.labels = tf.saved_model.Asset(str(labels))
        written = aside / "model"
        tf.saved_model.save(tracked, str(written), signatures=ServingGraph(detector).signatures)
        if problems := unservable_ops(written):
            raise ValueError(f"A server cannot run {', '.join(problems)}, of which this model's graph makes use.")
        (written / "assets.extra").mkdir()
        (written / "assets.extra" / PROVENANCE).write_text(json.dumps(provenance(detector), indent=1), encoding="utf-8")
        write_warmup(written / "assets.extra", folder.name, detector.detector.resize)
        written.rename(folder / str(version))
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return folder / str(version)


def provenance(detector: DetectionModel) -> dict[str, object]:
    """What a reader of the artefact wants to know of its origin, ready for JSON."""
    return {
        "keras_retinanet": __version__,
        "tensorflow": tf.__version__,
        "class_names": list(detector.class_names),
        "filter": to_dict(detector.filter),
        "resize": to_dict(detector.detector.resize),
        "metadata": detector.detector.metadata,
    }


def unservable_ops(folder: Path) -> list[str]:
    """Ops of a SavedModel that TensorFlow Serving has no kernel for, or that it would have to compile.

    Args:
        folder: The SavedModel.

    Returns:
        Their names, sorted; functions that must be compiled as `"<function> (must be compiled)"`.
    """
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    saved = SavedModel()
    saved.ParseFromString((folder / "saved_model.pb").read_bytes())
    found: set[str] = set()
    for graph in (meta.graph_def for meta in saved.meta_graphs):
        found |= _refused(node.op for node in graph.node)
        for function in graph.library.function:
            found |= _refused(node.op for node in function.node_def)
            if function.attr["_XlaMustCompile"].b:
                found.add(f"{function.signature.name} (must be compiled)")
    return sorted(found)


def _refused(ops: Iterable[str]) -> set[str]:
    return {op for op in ops if op in PYTHON_OPS or op.startswith("Xla")}
