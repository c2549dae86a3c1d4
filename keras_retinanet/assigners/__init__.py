"""Which anchor learns which box: one rule per file, listed in one table."""

from __future__ import annotations

from keras import ops

from keras_retinanet.assigners.assigner import Assigner, AssignerInputs, Assignment, with_a_row
from keras_retinanet.assigners.atss import atss
from keras_retinanet.assigners.iou_threshold import iou_threshold
from keras_retinanet.assigners.task_aligned import task_aligned
from keras_retinanet.config import AssignerConfig, AssignerName
from keras_retinanet.config.constants import chosen_constants

__all__ = ["ASSIGNERS", "Assigner", "AssignerInputs", "Assignment", "assign", "assigner_constants", "with_a_row"]


ASSIGNERS: dict[AssignerName, Assigner] = {
    "iou_threshold": Assigner(iou_threshold, ("positive_iou", "negative_iou", "use_force_match", "forced_box")),
    "atss": Assigner(atss, ("nearest_cells",)),
    "task_aligned": Assigner(
        task_aligned, ("aligned_top_k", "alignment_alpha", "alignment_beta"), uses_predictions=True
    ),
}


def assigner_constants(config: AssignerConfig) -> dict[str, object]:
    """The constants of the assigner that the settings name.

    Args:
        config: Name and constants.

    Returns:
        Keyword arguments of `Assigner.function`.

    Raises:
        ValueError: A constant of another assigner is set.
    """
    names = {name: assigner.constants for name, assigner in ASSIGNERS.items()}
    return chosen_constants(config, "assigner", config.assigner, names, {})


def assign(config: AssignerConfig, inputs: AssignerInputs) -> Assignment:
    """Assigns the anchors of a batch to its boxes.

    Args:
        config: Which assigner, and its constants.
        inputs: Anchors, boxes, and predictions if the assigner uses them.

    Returns:
        The assignment, without gradient.
    """
    boxes, labels, ignore = with_a_row(inputs.boxes, inputs.labels, inputs.ignore)
    inputs = inputs._replace(boxes=boxes, labels=labels, ignore=ignore)
    assignment = ASSIGNERS[config.assigner].function(inputs, **assigner_constants(config))
    return Assignment(*(None if part is None else ops.stop_gradient(part) for part in assignment))
