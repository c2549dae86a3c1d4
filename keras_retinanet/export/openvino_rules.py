"""Conversion rules that OpenVINO lacks: TensorFlow's NMS kernel, a fast stable sort, group normalisation.

OpenVINO has no rule for `CombinedNonMaxSuppression`, and converts `TopKV2` to a stable `TopK`, which compares each
value with all kept ones: 430 ms for 1,000 of 80,000 scores, where the unstable one takes 1 ms.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_retinanet.export.openvino_group_norm import replace_group_norms
from keras_retinanet.export.openvino_pools import absorb_padding

_ROWS, _COLUMNS = 0, 1
_EPSILON, _TINY = np.finfo(np.float32).eps, np.finfo(np.float32).tiny


def convert(saved_model: str) -> Any:
    """Convert a SavedModel.

    Args:
        saved_model: Folder of the model, which may use only the scores of `CombinedNonMaxSuppression`.

    Returns:
        An `openvino.Model`.
    """
    import openvino
    from openvino.frontend.tensorflow import ConversionExtension

    rule = ConversionExtension("CombinedNonMaxSuppression", _convert_suppression)
    try:
        model = openvino.convert_model(saved_model, extension=[rule])
    except openvino.frontend.OpConversionFailure as error:
        what = " ".join(str(error).split())
        raise ValueError(f"OpenVINO cannot run this model: {what[:300]} Use --format onnx.") from error
    for node in model.get_ordered_ops():
        if node.get_type_name() == "TopK" and _is_slow(node):
            _replace(node)
    replace_group_norms(model)
    absorb_padding(model)
    model.validate_nodes_and_infer_types()
    return model


def _is_slow(node: Any) -> bool:
    about, shape = node.get_attributes(), node.input_value(0).get_partial_shape()
    return bool(about["stable"]) and about["mode"] == "max" and shape.rank == 2 and about["axis"] in (_COLUMNS, -1)


def _replace(node: Any) -> None:
    """Replaces a stable `TopK` along the rows of a matrix by `stable_top`."""
    for old, new in zip(node.outputs(), stable_top(node.input_value(0), node.input_value(1)), strict=True):
        new.get_tensor().add_names(old.get_names())
        for target in old.get_target_inputs():
            target.replace_source_output(new)


def stable_top(values: Any, k: Any) -> tuple[Any, Any]:
    """Finds the largest values of each row, in stable order, with unstable sorts.

    The first sort finds the least of the k values, and with it the positions of all; the second sorts the values; the
    third sorts equal values by position.

    Args:
        values: An `openvino.Output` `(B, N)`.
        k: An `openvino.Output`, an integer scalar, at most `N`.

    Returns:
        Outputs `(B, k)`: values in descending order, equal ones by position; and their int32 positions.
    """
    from openvino import opset13 as ov

    k = ov.convert(k, "i32")
    least = ov.reduce_min(_top(values, k).output(0), _number(_COLUMNS), keep_dims=True)  # (B, 1)
    positions = _first_positions(values, least, k)  # (B, k), ascending
    order = _top(ov.gather_elements(values, positions, _COLUMNS), k)
    largest, among = order.output(0), order.output(1)
    is_less = ov.not_equal(_neighbours(largest, k), largest)
    group = ov.cumsum(ov.convert(is_less, "i32"), _number(_COLUMNS))  # equal values have one number
    turn = _top(ov.add(ov.multiply(group, k), among), k, "min").output(1)
    positions = ov.gather_elements(positions, ov.gather_elements(among, turn, _COLUMNS), _COLUMNS)
    return largest, positions.output(0)


def _first_positions(values: Any, least: Any, k: Any) -> Any:
    """Ascending positions `(B, k)` of the values above `least`, and of the first values equal to it."""
    from openvino import opset13 as ov

    above, equal = ov.greater(values, least), ov.equal(values, least)
    room = ov.subtract(k, ov.reduce_sum(ov.convert(above, "i32"), _number(_COLUMNS), keep_dims=True))
    turn = ov.cumsum(ov.convert(equal, "i32"), _number(_COLUMNS))
    is_kept = ov.logical_or(above, ov.logical_and(equal, ov.less_equal(turn, room)))
    place = ov.subtract(ov.cumsum(ov.convert(is_kept, "i32"), _number(_COLUMNS)), _number(1))
    place = ov.select(is_kept, place, k)  # one place more takes all others
    shape = ov.shape_of(values, "i32")
    own = ov.broadcast(ov.range(_number(0), _size(values, _COLUMNS), _number(1), "i32"), shape)
    places = _vector(_size(values, _ROWS), ov.add(k, _number(1)))
    filled = ov.scatter_elements_update(ov.broadcast(_number(0), places), place, own, _number(_COLUMNS))
    return _slice(filled, _number(0), k)


def _convert_suppression(node: Any) -> list[Any]:
    """Converts `CombinedNonMaxSuppression` of boxes `(B, N, 1, 4)` and scores `(B, N, K)` to kept scores `(B, D)`.

    OpenVINO uses the first output of an extension for all outputs of the operation, so this is the only one.
    """
    from openvino import opset13 as ov

    boxes, scores, most_of_class, most, iou, threshold = (node.get_input(index) for index in range(6))
    # TensorFlow drops what lies above the threshold, OpenVINO also what equals it: it gets one of the next two numbers
    iou = ov.maximum(ov.multiply(iou, ov.constant(np.float32(1) + _EPSILON)), ov.constant(_TINY))
    most = ov.convert(most, "i32")
    boxes = ov.squeeze(boxes, _number(2))  # (B, N, 4)
    scores = ov.transpose(scores, ov.constant(np.array([0, 2, 1], np.int32)))  # (B, K, N)
    chosen = ov.non_max_suppression(boxes, scores, most_of_class, iou, threshold, None, "corner", False, "i32")
    rows = ov.slice(chosen.output(0), _vector(0), chosen.output(2), _vector(1), _vector(0))  # (M, 3): image, class, box
    nothing = ov.broadcast(ov.constant(np.float32(-1)), ov.shape_of(scores, "i32"))
    kept = ov.scatter_nd_update(nothing, rows, ov.gather_nd(scores, rows))
    kept = ov.reshape(kept, ov.constant(np.array([0, -1], np.int32)), True)  # (B, K * N)
    found = _top(ov.concat([kept, _padding(kept, most)], _COLUMNS), most).output(0)
    is_found = ov.greater_equal(found, ov.constant(np.float32(0)))
    return [ov.select(is_found, found, ov.constant(np.float32(0))).output(0)]


def _padding(values: Any, count: Any) -> Any:
    """`(B, count)` of -1: padding that makes rows long enough for the `TopK` of `count`."""
    from openvino import opset13 as ov

    return ov.broadcast(ov.constant(np.float32(-1)), _vector(_size(values, _ROWS), count))


def _top(values: Any, k: Any, mode: str = "max") -> Any:
    from openvino import opset13 as ov

    return ov.topk(values, k, _COLUMNS, mode, "value", index_element_type="i32", stable=False)


def _neighbours(values: Any, k: Any) -> Any:
    """Shifts `(B, k)` right by one and repeats column 0."""
    from openvino import opset13 as ov

    before = _slice(values, _number(0), ov.subtract(k, _number(1)))
    return ov.concat([_slice(values, _number(0), _number(1)), before], _COLUMNS)


def _slice(values: Any, start: Any, end: Any) -> Any:
    from openvino import opset13 as ov

    return ov.slice(values, _vector(start), _vector(end), _vector(1), _vector(_COLUMNS))


def _size(values: Any, axis: int) -> Any:
    from openvino import opset13 as ov

    return ov.gather(ov.shape_of(values, "i32"), _number(axis), _number(0))


def _number(value: int) -> Any:
    from openvino import opset13 as ov

    return ov.constant(np.int32(value))


def _vector(*values: Any) -> Any:
    """Concatenates integers and scalar nodes to a vector."""
    from openvino import opset13 as ov

    one = ov.constant(np.array([1], np.int32))
    parts = [ov.reshape(_number(value) if isinstance(value, int) else value, one, False) for value in values]
    return parts[0] if len(parts) == 1 else ov.concat(parts, 0)
