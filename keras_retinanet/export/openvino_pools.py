"""Lets OpenVINO's max pooling pad by itself: padding of its own is an operation without a fast kernel.

It takes 14 of 465 ms of a ResNet-50 in int8 (one thread, 800 x 1344); see `findings/openvino_padded_max_pooling.sh`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

_AROUND = 2
"""Axes of a map `(B, C, H, W)` before its sides."""


def absorb_padding(model: Any) -> int:
    """Joins zeros around the result of a ReLU with the max pooling that follows.

    OpenVINO's pooling pads with the lowest number, which is the same after a ReLU in every window with a pixel.

    Args:
        model: An `openvino.Model`, changed in place.

    Returns:
        How many were joined.
    """
    from openvino import opset14

    count = 0
    for pool in model.get_ordered_ops():
        padding = _padding(pool)
        if padding is None:
            continue
        about = pool.get_attributes()
        new = opset14.max_pool(
            pool.input_value(0).get_node().input_value(0),
            about["strides"],
            about["dilations"],
            *padding,
            about["kernel"],
            about["rounding_type"],
            "explicit",
            about["index_element_type"],
            about["axis"],
        )
        new.set_friendly_name(pool.get_friendly_name())
        new.output(0).get_tensor().set_names(pool.output(0).get_names())
        for target in pool.output(0).get_target_inputs():
            target.replace_source_output(new.output(0))
        count += 1
    return count


def _padding(pool: Any) -> tuple[list[int], list[int]] | None:
    """Pixels before and after each side of the map that is padded for a pooling; `None` for any other operation."""
    if pool.get_type_name() != "MaxPool" or pool.output(1).get_target_inputs():
        return None
    about, pad = pool.get_attributes(), pool.input_value(0).get_node()
    if pad.get_type_name() != "Pad" or pad.get_attributes()["pad_mode"] != "constant":
        return None
    is_plain = about["auto_pad"] in ("valid", "explicit") and not any([*about["pads_begin"], *about["pads_end"]])
    if not is_plain or pad.input_value(0).get_node().get_type_name() != "Relu":
        return None
    constants = [value.get_source_output().get_node() for value in pad.inputs()[1:]]
    if any(node.get_type_name() != "Constant" for node in constants):
        return None
    begin, end, *value = (node.get_data().reshape(-1) for node in constants)
    if np.any(value) or begin[:_AROUND].any() or end[:_AROUND].any():
        return None
    sides = begin[_AROUND:], end[_AROUND:]
    if any((side < 0).any() or (side >= about["kernel"]).any() for side in sides):
        return None
    return [int(side) for side in sides[0]], [int(side) for side in sides[1]]
