"""SavedModels for TensorFlow Serving, from image bytes to boxes in the pixels of each image."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

import tensorflow as tf

from keras_retinanet.config import ExportConfig
from keras_retinanet.export.artefact import Check, check_settings
from keras_retinanet.export.detection_graph import describe, floating, prepare_model
from keras_retinanet.export.serving_graph import ServingGraph
from keras_retinanet.export.warmup import write_warmup
from keras_retinanet.framework_internals import parse_saved_model
from keras_retinanet.model.detection_model import DetectionModel
from keras_retinanet.runtimes.saved_model import DESCRIPTION_FILE

LABELS = "labels.txt"
"""File in `assets/` with one class name per line, in the order of the labels."""

PYTHON_OPS = ("PyFunc", "PyFuncStateless", "EagerPyFunc", "NumpyFunction")
"""Ops without a kernel on a server, because they call the Python process that wrote them."""


def export_saved_model(
    model: DetectionModel, out: Path, settings: ExportConfig | None = None, check: Check | None = None
) -> Path:
    """Write a new version into a model's folder.

    The version is written and checked under a temporary name and then renamed, so that a server that polls the folder
    never reads an incomplete one.

    Args:
        model: The model; its thresholds are built in.
        out: The model's folder, created if absent. Versions are its subfolders 1, 2, …
        settings: Dtype and folding. Defaults to float32, folded.
        check: See `Check`. Defaults to no check.

    Returns:
        The folder of the new version.

    Raises:
        ValueError: The model uses ops that a server cannot run.
    """
    settings = settings or ExportConfig()
    check_settings("saved_model", settings)
    out.mkdir(parents=True, exist_ok=True)
    version = 1 + max((int(path.name) for path in out.iterdir() if path.name.isdecimal()), default=0)
    aside = Path(tempfile.mkdtemp(prefix=".writing-", dir=out))
    try:
        labels = aside / LABELS
        labels.write_text("".join(f"{name}\n" for name in model.class_names), encoding="utf-8")
        described = describe(model, settings).to_json()
        prepared = prepare_model(model, settings, dtype=floating(settings))
        tracked = tf.Module()  # of Keras' own variables TensorFlow would restore copies that no signature reads
        tracked.weights = [variable.value for variable in prepared.variables]
        tracked.labels = tf.saved_model.Asset(str(labels))
        written = aside / "model"
        signatures = ServingGraph(prepared, settings.winograd).signatures
        no_gradients = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
        tf.saved_model.save(tracked, str(written), signatures=signatures, options=no_gradients)
        if problems := unservable_ops(written):
            raise ValueError(f"The model's graph uses {', '.join(problems)}, which a server cannot run.")
        description = written / DESCRIPTION_FILE
        description.parent.mkdir()
        description.write_text(described, encoding="utf-8")
        write_warmup(description.parent, out.name, model.network.resize_config)
        if check is not None:
            check(written)
        written.rename(out / str(version))
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return out / str(version)


def unservable_ops(folder: Path) -> list[str]:
    """Lists ops of a SavedModel that TensorFlow Serving has no kernel for, or would have to compile.

    Args:
        folder: Folder of the SavedModel.

    Returns:
        Sorted names; functions that must be compiled are given as `"<function> (must be compiled)"`.
    """
    saved = parse_saved_model((folder / "saved_model.pb").read_bytes())
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
