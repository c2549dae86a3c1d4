"""The vocabulary: what one image, one batch of targets and one set of detections look like.

Boxes are `(x1, y1, x2, y2)` in absolute pixels, float32. Labels are `0 … K-1`; padding is `-1`.
Shape letters: `B` batch, `H W C` image, `A` anchors, `N` boxes of an image (padded), `K` classes, `D` detections.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

Tensor = Any
"""A tensor of the active Keras backend, or anything it converts to one."""

Size = tuple[int, int]
"""Height and width in pixels."""


class Sample(TypedDict):
    """One annotated image as a dataset reader yields it; NumPy arrays, pixels of the image."""

    image: str
    """Path of the image file."""
    image_id: int | str
    """The id that the source gives the image; evaluation answers under the same id."""
    boxes: Any
    """`(N, 4)` float32."""
    labels: Any
    """`(N,)` int32 in `0 … K-1`."""
    ignore: Any
    """`(N,)` bool: crowd or difficult boxes, which become ignore regions."""
    size: NotRequired[tuple[int, int]]
    """`(height, width)` of the image where the source states it."""
    orientation: NotRequired[int]
    """EXIF orientation to apply to the stored pixels, 2 … 8; 1 where the file has one, but boxes refer to the pixels as
    stored. Absent where the file has none. `size` and boxes are those of the picture after that."""
    bit_depth: NotRequired[int]
    """Bits of the values of a 16-bit image, as measured in its data set; absent for others."""
    areas: NotRequired[Any]
    """`(N,)` float64: area of each object in pixels where the source tells it (COCO: of the outline, not of the box).
    COCO's small, medium and large objects are reported apart by it; without it by the area of the box."""


class Targets(TypedDict):
    """The second half of a training batch, as the pipeline yields it and `compute_loss` takes it."""

    boxes: Tensor
    """`(B, N, 4)` float32 in pixels of the batch's images, rows of padding all zero."""
    labels: Tensor
    """`(B, N)` int32, padding -1."""
    ignore: Tensor
    """`(B, N)` int32, 1 for ignore regions; `tf.distribute` cannot average booleans, as Keras makes it do."""
    size: Tensor
    """`(B, 2)` float32: height and width of each image before padding."""
    image_index: Tensor
    """`(B,)` int32: position of the image in the dataset."""


class Predictions(TypedDict):
    """What the network answers."""

    deltas: Tensor
    """`(B, A, P)` float32, coded against the anchors; `P` is 4, or the bins of four distributions."""
    logits: Tensor
    """`(B, A, K)` float32."""
    quality: NotRequired[Tensor]
    """`(B, A, 1)` float32: logits of the IoU of each box, where the network predicts it."""
    anchors: dict[str, Tensor]
    """Per pyramid level `(1, A_level, 4)` float32; concatenated they are the `A` anchors."""


class BatchDetections(TypedDict):
    """The detections of a batch as the inference model returns them: fixed size, padded with -1."""

    boxes: Tensor
    """`(B, D, 4)` float32."""
    scores: Tensor
    """`(B, D)` float32, descending."""
    labels: Tensor
    """`(B, D)` int32."""
    num_detections: Tensor
    """`(B,)` int32."""


class Detections(TypedDict):
    """The detections of one image, best first, without padding; NumPy arrays."""

    boxes: Any
    """`(D, 4)` float32 in pixels of the image as it was given."""
    scores: Any
    """`(D,)` float32, descending."""
    labels: Any
    """`(D,)` int32 in `0 … K-1`."""
    names: NotRequired[list[str]]
    """Class name of each box, where a server answers it."""
    image_id: NotRequired[int | str]
    """The `image_id` of the sample, where a data set was searched."""
    is_cut_off: NotRequired[bool]
    """True where a server decoded a JPEG that lacks its last bytes."""


class RawOutputs(TypedDict):
    """What the network predicts, before boxes are decoded; NumPy arrays."""

    deltas: Any
    """`(B, A, P)` float32; `P` is 4, or the bins of four distributions."""
    logits: Any
    """`(B, A, K)` float32."""
    quality: NotRequired[Any]
    """`(B, A, 1)` float32: logits of the IoU, where the network predicts it."""


@dataclass(frozen=True, eq=False)
class DetectedImage:
    """What was found in one image, best first; NumPy arrays without padding.

    Attributes:
        image: Path as it was given; `"image 3"` for the fourth image where it came without a file.
        size: Height and width of the image in pixels, upright if it was turned; `None` where it could not be read.
        boxes: `(D, 4)` float32 in pixels of the image.
        scores: `(D,)` float32, descending.
        labels: `(D,)` int32 in `0 … K-1`.
        names: The class of each box.
        error: Why the image could not be read, else `None`.
        pixels: `(H, W, 3)` uint8 where they were asked for; of an image of more than 100 megapixels that was detected
            in tiles, a reduced copy.
        is_cut_off: Whether it is a JPEG without its last bytes, decoded as far as it goes.
    """

    image: str
    size: tuple[int, int] | None
    boxes: Any
    scores: Any
    labels: Any
    names: tuple[str, ...]
    error: str | None = None
    pixels: Any = None
    is_cut_off: bool = False
