"""Quantises the network inside an OpenVINO model to int8 with NNCF; decoding and suppression stay as they are."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from keras_retinanet.config import ExportConfig
from keras_retinanet.export.int8 import representative_inputs
from keras_retinanet.extras import install_hint
from keras_retinanet.model.detection_model import DetectionModel
from keras_retinanet.runtimes.runtime import RAW_OUTPUTS

CONVOLUTIONS = ("Convolution", "GroupConvolution")
QUANTISED = (*CONVOLUTIONS, "Add", "Clamp", "MaxPool", "Relu")
"""Types of OpenVINO's operations that compute in int8."""
_MAP_RANK = 4


def quantize_openvino(converted: Any, model: DetectionModel, settings: ExportConfig) -> Any:
    """Quantises a model.

    Args:
        converted: The `openvino.Model` in float32.
        model: The Keras model it was converted from.
        settings: The representative images.

    Returns:
        A new `openvino.Model`.

    Raises:
        ImportError: NNCF is not installed.
    """
    try:
        import nncf
    except ImportError as error:
        raise ImportError(f"int8 for openvino needs NNCF: {install_hint('nncf')}") from error
    inputs = list(representative_inputs(model, settings))
    chosen = set(quantised_names(converted))
    names = [node.get_friendly_name() for node in converted.get_ordered_ops()]
    with _quiet():
        return nncf.quantize(
            converted,
            nncf.Dataset(inputs),
            subset_size=len(inputs),
            ignored_scope=nncf.IgnoredScope(names=[name for name in names if name not in chosen], validate=False),
        )


def quantised_names(model: Any) -> list[str]:
    """Names of the operations that compute in int8.

    Args:
        model: An `openvino.Model` with raw outputs.

    Returns:
        Those of feature maps from the first convolution of the network to the last ones, without those of the boxes,
        and without sums with a constant, such as the shift of a normalisation. Sums of positions, such as those of the
        pyramid's upsampling, need more than 256 steps. The last convolution of the classes gets int8 maps, too: its
        sums, the logits, are float32.
    """
    nodes = model.get_ordered_ops()
    outputs, boxes = (
        [value.get_node() for value in model.outputs if value.get_names() & names]
        for names in (set(RAW_OUTPUTS), set(RAW_OUTPUTS) - {"logits"})
    )
    network, last = _sources(outputs), _sources(boxes, is_last=_is_convolution)
    first = next(node for node in nodes if node.get_friendly_name() in network and _is_convolution(node))
    outside = _sources(_inputs(first)) | last
    return [
        node.get_friendly_name()
        for node in nodes
        if node.get_friendly_name() in network - outside
        and node.get_type_name() in QUANTISED
        and node.get_output_partial_shape(0).rank == _MAP_RANK
        and not _is_shift(node)
    ]


def _is_convolution(node: Any) -> bool:
    return node.get_type_name() in CONVOLUTIONS


def _is_shift(node: Any) -> bool:
    return node.get_type_name() == "Add" and any(source.get_type_name() == "Constant" for source in _inputs(node))


def _inputs(node: Any) -> list[Any]:
    return [value.get_source_output().get_node() for value in node.inputs()]


def _sources(nodes: Iterable[Any], is_last: Callable[[Any], bool] | None = None) -> set[str]:
    """Names of nodes and of all that they depend on, up to and including those for which `is_last`."""
    found: set[str] = set()
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if node.get_friendly_name() not in found:
            found.add(node.get_friendly_name())
            waiting += [] if is_last is not None and is_last(node) else _inputs(node)
    return found


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Suppresses the lists of ignored operations and the progress bars of NNCF."""
    logger = logging.getLogger("nncf")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)
