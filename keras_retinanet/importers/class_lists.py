"""Class names for checkpoints that do not hold any."""

from __future__ import annotations

from pathlib import Path

from keras_retinanet.importers.blueprint import CheckpointError

COCO = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow", "elephant",
    "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard",
    "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle",
    "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange", "broccoli",
    "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch", "potted plant", "bed", "dining table", "toilet",
    "tv", "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave", "oven", "toaster", "sink",
    "refrigerator", "book", "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
)  # fmt: skip
"""The 80 classes of COCO in the order of their ids."""
TORCHVISION_UNUSED = frozenset((0, 12, 26, 29, 30, 45, 66, 68, 69, 71, 83))
"""COCO ids below 91 without objects; torchvision's labels are COCO's ids."""


def _list_coco_ids() -> tuple[str, ...]:
    names = iter(COCO)
    unused = {0: "__background__"}
    return tuple(unused.get(i, f"N/A {i}") if i in TORCHVISION_UNUSED else next(names) for i in range(91))


CLASS_LISTS: dict[int, tuple[str, ...]] = {80: COCO, 91: _list_coco_ids()}
"""Number of classes → names: COCO's, and torchvision's with the unused ids."""


def read_class_names(path: str | Path) -> tuple[str, ...]:
    """Reads class names from a text file: one per line, or lines `name,index` as in fizyr's class files.

    Args:
        path: UTF-8 text; empty lines are skipped.

    Returns:
        The names in the order of their indices.

    Raises:
        CheckpointError: The indices are not 0, 1, 2 …, or a name occurs twice; the message names the file.
    """
    try:
        lines = [line.strip() for line in Path(path).read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{path}: is not UTF-8 text.") from error
    pairs = [line.rpartition(",") for line in lines]
    if lines and all(comma and index.strip().isdecimal() for _, comma, index in pairs):
        by_index = {int(index): name.strip() for name, _, index in pairs}
        if sorted(by_index) != list(range(len(lines))):
            raise CheckpointError(f"{path}: indices have to be 0 … {len(lines) - 1}, each once.")
        lines = [by_index[index] for index in range(len(lines))]
    twice = sorted({name for name in lines if lines.count(name) > 1})
    if twice or not lines:
        raise CheckpointError(f"{path}: {f'{twice[0]!r} occurs twice' if twice else 'holds no names'}.")
    return tuple(lines)
