"""Do the anchors meet the boxes? Positives of each image and the boxes that train no anchor, before any training."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from keras_retinanet.assigners import AssignerInputs, assign
from keras_retinanet.model.retinanet import RetinaNet
from keras_retinanet.schema import Targets, Tensor

WORRYING_SHARE = 0.05


@dataclass(frozen=True)
class Coverage:
    """How a sample of images meets the anchors.

    Attributes:
        images: Images looked at.
        boxes: Their boxes, ignore regions not counted.
        positives: Anchors that learn an object, over all of them.
        missed: Boxes that no anchor learns.
        missed_sides: Median side in network pixels (root of the area) of those.
        is_forced: Whether `use_force_match` is set, so that it cannot help any more.
    """

    images: int
    boxes: int
    positives: int
    missed: int
    missed_sides: float
    is_forced: bool = False

    @property
    def missed_share(self) -> float:
        """Share of the boxes that no anchor learns, 0 where there are none."""
        return self.missed / self.boxes if self.boxes else 0.0

    def describe(self) -> str:
        """One line for the log."""
        mean = self.positives / max(self.images, 1)
        return (
            f"{mean:.1f} positive anchors an image; {self.missed} of {self.boxes} boxes match no anchor "
            f"({self.missed_share:.1%}; {self.images} images looked at)"
        )

    def advice(self) -> str | None:
        """What to do where many boxes match no anchor, `None` where all is well."""
        if self.missed_share <= WORRYING_SHARE:
            return None
        last = "" if self.is_forced else ", or --force-match"
        return (
            f"{self.missed_share:.0%} of the boxes match no anchor and train nothing; their median side is "
            f"{self.missed_sides:.0f} px after resizing. Try other --anchor-sizes, --anchor-ratios or --anchor-scales, "
            f"a larger --image-min-side and --image-max-side{last}."
        )


def measure_coverage(model: RetinaNet, batches: Iterable[tuple[Tensor, Targets]]) -> Coverage:
    """Matches batches of the training data with the anchors of a model.

    Args:
        model: RetinaNet. Its anchors, pyramid and assigner are used, its weights are not.
        batches: Iterable. `(images (B, H, W, 3), Targets)` as `fit` gets them.

    Returns:
        The counts over all the batches.
    """
    rows = [_cover(model, images.shape[1:3], targets) for images, targets in batches]
    sides = np.concatenate([sides for _, _, _, sides in rows] or [np.zeros(0)])
    return Coverage(
        images=sum(images for images, _, _, _ in rows),
        boxes=sum(boxes for _, boxes, _, _ in rows),
        positives=sum(positives for _, _, positives, _ in rows),
        missed=len(sides),
        missed_sides=float(np.median(sides)) if len(sides) else 0.0,
        is_forced=model.assigner_config.use_force_match,
    )


def canvas_anchors(model: RetinaNet, height: int, width: int) -> tuple[Tensor, ...]:
    """The anchors of one image shape, from the shapes of its feature maps; nothing is computed on pixels.

    Args:
        model: RetinaNet.
        height: int. Rows of the padded image.
        width: int. Columns of the padded image.

    Returns:
        `(A_level, 4)` float32 in pixels, one per level.
    """
    image = keras.KerasTensor((1, height, width, 3), dtype="float32")
    pyramid = model.neck.compute_output_spec(model.backbone.compute_output_spec(image))
    maps = {name: np.zeros((1, *level.shape[1:3], 1), np.float32) for name, level in pyramid.items()}
    levels = model.anchors(maps, np.zeros((1, height, width, 1), np.float32))
    return tuple(level[0] for level in levels.values())


def _cover(model: RetinaNet, shape: tuple[int, int], targets: Targets) -> tuple[int, int, int, np.ndarray]:
    """Images, boxes and positives of a batch, and the sides of the boxes that no anchor learns."""
    boxes, labels, ignore = (ops.convert_to_numpy(targets[name]) for name in ("boxes", "labels", "ignore"))
    batch = (ops.convert_to_tensor(targets[name]) for name in ("boxes", "labels", "ignore", "size"))
    inputs = AssignerInputs(canvas_anchors(model, *shape), model.anchors.num_anchors, *batch)
    assignment = assign(model.assigner_config, inputs)
    state, index = assignment.anchor_labels, assignment.matched_idxs
    is_object, index = ops.convert_to_numpy(state) == 1, ops.convert_to_numpy(index)  # (B, A)
    is_missed = (labels >= 0) & (ignore == 0)  # (B, N)
    count = int(is_missed.sum())
    for image in range(len(boxes)):
        is_missed[image, index[image][is_object[image]]] = False
    missed = boxes[is_missed]
    sides = np.sqrt(np.prod(missed[:, 2:] - missed[:, :2], axis=1))
    return len(boxes), count, int(is_object.sum()), sides
