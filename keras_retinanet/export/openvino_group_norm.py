"""Replaces group normalisation, which TensorFlow's graph spells out, by OpenVINO's operation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

_WITHIN = ("Reshape", "Tile", "Unsqueeze", "ReduceMean", "Multiply", "Power")
"""Operations between a map and its average over each group, as `GroupNormalization` computes it."""


class _Found(NamedTuple):
    """Group normalisation of `inputs (B, C, H, W)`; `scale` and `shift` have a value per channel."""

    inputs: Any
    scale: Any
    shift: Any
    groups: int
    epsilon: float


def replace_group_norms(model: Any) -> int:
    """Replaces every group normalisation that has scale and shift.

    OpenVINO 2026.4.1 computes the spelled-out form wrongly after an int8 convolution, see
    `findings/openvino_int8_mean.sh`; its own operation also takes less time.

    Args:
        model: An `openvino.Model`, changed in place.

    Returns:
        How many were replaced.
    """
    from openvino import opset12

    count = 0
    for node in model.get_ordered_ops():
        found = _match(node)
        if found is not None:
            new = opset12.group_normalization(*found)
            new.set_friendly_name(node.get_friendly_name())
            new.output(0).get_tensor().set_names(node.output(0).get_names())
            for target in node.output(0).get_target_inputs():
                target.replace_source_output(new.output(0))
            count += 1
    return count


def _match(node: Any) -> _Found | None:
    """Finds `(x - mean) * (variance + epsilon) ** -0.5 * scale + shift` on channels first, which ends in `node`."""
    product, shift = _operands(node, "Add")
    difference, factor = _operands(product, "Multiply")
    inputs, mean = _operands(difference, "Subtract")
    root, scale = _operands(factor, "Multiply")
    variance, exponent = _operands(root, "Power")
    averages, epsilon = _operands(variance, "Add")
    constants = [_constant(value) for value in (scale, shift, exponent, epsilon)]
    if inputs is None or averages is None or any(value is None for value in constants):
        return None
    gamma, beta, power, added = (value for value in constants if value is not None)
    chain = list(_chain(mean))
    groups = [value.get_output_partial_shape(0)[1] for value in chain if _is_average_of_groups(value)]
    is_of_one_map = chain[-1] == inputs and list(_chain(averages))[-1] == difference
    has_channels = gamma.shape == beta.shape == (1, gamma.size, 1, 1) and power.size == added.size == 1
    if not is_of_one_map or not has_channels or len(groups) != 1 or power.item() != -0.5:
        return None
    return _Found(inputs.output(0), gamma.ravel(), beta.ravel(), groups[0].get_length(), added.item())


def _operands(node: Any | None, kind: str) -> tuple[Any | None, Any | None]:
    """Both operands of an operation of that kind; none if it is of another."""
    if node is None or node.get_type_name() != kind:
        return None, None
    first, second = (value.get_source_output().get_node() for value in node.inputs())
    return first, second


def _constant(node: Any | None) -> np.ndarray | None:
    return None if node is None or node.get_type_name() != "Constant" else np.asarray(node.get_data())


def _chain(node: Any) -> Iterator[Any]:
    """The node and those before it, by their first operands, up to the first that is not part of an average."""
    yield node
    while node.get_type_name() in _WITHIN:
        node = node.inputs()[0].get_source_output().get_node()
        yield node


def _is_average_of_groups(node: Any) -> bool:
    """Whether it averages `(B, G, C / G)` to `(B, G)`."""
    before = node.inputs()[0].get_partial_shape().rank if node.inputs() else 0
    return node.get_type_name() == "ReduceMean" and before == 3
