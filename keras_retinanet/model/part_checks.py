"""Checks that the parts and settings of a network fit together."""

from __future__ import annotations

from collections.abc import Sequence

from keras_retinanet.assigners import assigner_constants
from keras_retinanet.config import AssignerConfig, LossConfig
from keras_retinanet.geometry.box_coder import BoxCoder
from keras_retinanet.losses import CLASSIFICATION_LOSSES, check_class_numbers, class_constants
from keras_retinanet.model.heads import Head


def check_parts(
    class_names: Sequence[str], class_head: Head, box_head: Head, box_coder: BoxCoder, num_anchors: Sequence[int]
) -> None:
    """Checks the heads against the classes, the box coder and the anchors.

    Args:
        class_names: Names of the labels `0 … K-1`.
        class_head: The class head.
        box_head: The box head.
        box_coder: The box coder.
        num_anchors: Anchors at each position, one number per level.

    Raises:
        ValueError: A number of outputs or of anchors is wrong, or a name has a line break.
    """
    num_classes = class_head.outputs_per_anchor - class_head.has_background
    if len(class_names) != num_classes:
        raise ValueError(f"{len(class_names)} class names for a head of {num_classes} classes.")
    if box_coder.num_deltas != box_head.outputs_per_anchor:
        raise ValueError(
            f"The box coder {box_coder.coder!r} needs a box head of {box_coder.num_deltas} outputs per anchor; "
            f"received one of {box_head.outputs_per_anchor}."
        )
    for name, head in (("class", class_head), ("box", box_head)):
        own = head.num_anchors
        if (own,) * len(num_anchors) != tuple(num_anchors) and own != tuple(num_anchors):
            raise ValueError(
                f"The {name} head predicts for {own} anchors per position; there are {tuple(num_anchors)}."
            )
    if broken := [name for name in class_names if len(f"{name}.".splitlines()) > 1]:
        raise ValueError(
            f"The class {broken[0]!r} has a line break in its name; label files hold one class name per line."
        )


def check_settings(loss: LossConfig, assigner: AssignerConfig, class_head: Head) -> None:
    """Checks the constants of loss and assigner, and the loss against the class head.

    Args:
        loss: Names and constants of the losses.
        assigner: Which anchor learns which box.
        class_head: The class head.

    Raises:
        ValueError: A constant does not apply, or the loss needs a head of another kind.
    """
    class_constants(loss), assigner_constants(assigner)  # raise where one does not apply
    check_class_numbers(loss, class_head.outputs_per_anchor - class_head.has_background)
    if class_head.has_background != CLASSIFICATION_LOSSES[loss.classification].has_background:
        has, needs = ("an output", "none") if class_head.has_background else ("no output", "one")
        raise ValueError(
            f"The class head has {has} for the background, and the loss {loss.classification!r} needs {needs}."
        )
