"""The allowed differences between an artefact and its snapshot, and the dtypes of each format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from keras_retinanet.config import ExportDtype, ExportFormat

COUNTED_ABOVE = 0.3
"""Score above which detections are compared."""
RESIZED_RAW = 1e-3
"""`Tolerance.raw` of float32 artefacts that resize: a pixel halfway between two values may become the other one."""

FEWEST_VALIDATED, LEAST_AP = 50, 0.05
"""Annotated images, and AP of the snapshot on them, from which the loss of AP may decide."""


@dataclass(frozen=True)
class Tolerance:
    """The allowed differences between an artefact and its snapshot.

    Attributes:
        raw: Maximum difference of deltas and logits, as a share of their largest magnitude; `None` for no limit.
        score: Maximum difference between the scores of a pair of detections.
        iou: Minimum IoU of a pair of detections with the same label.
        share: Minimum share of the snapshot's detections that have a partner.
        average_precision: Maximum loss of COCO's AP. Where it was measured on at least `FEWEST_VALIDATED` images and
            the snapshot has at least `LEAST_AP`, an artefact within it needs no `share`. Defaults to `None`: it does.
    """

    raw: float | None
    score: float
    iou: float = 0.9
    share: float = 0.95
    average_precision: float | None = None

    def __str__(self) -> str:
        raw = "" if self.raw is None else f"raw outputs within {self.raw:g} of their largest, and "
        text = f"{raw}partners for {self.share:.0%}, of IoU {self.iou:g} and scores within {self.score:g}"
        if self.average_precision is not None:
            text += f", or an AP lower by up to {self.average_precision:g} on {FEWEST_VALIDATED} validation images"
        return text


_EXACT = Tolerance(raw=1e-4, score=1e-3, iou=0.99)
_HALF = Tolerance(raw=None, score=0.02)
_BRAIN = Tolerance(raw=None, score=0.05)
_BYTE = Tolerance(raw=None, score=0.1, average_precision=0.003)

TOLERANCES: Mapping[tuple[ExportFormat, ExportDtype], Tolerance] = MappingProxyType(
    {
        ("keras", "float32"): _EXACT,
        ("keras", "float16"): _HALF,
        ("keras", "bfloat16"): _BRAIN,
        ("saved_model", "float32"): _EXACT,
        ("saved_model", "float16"): _HALF,
        ("saved_model", "bfloat16"): _BRAIN,
        ("onnx", "float32"): _EXACT,
        ("onnx", "float16"): _HALF,
        ("onnx", "int8"): _BYTE,
        ("openvino", "float32"): _EXACT,
        ("openvino", "float16"): _HALF,
        ("openvino", "bfloat16"): _BRAIN,
        ("openvino", "int8"): _BYTE,
        ("litert", "float32"): _EXACT,
        ("litert", "float16"): _HALF,
        ("litert", "int8"): _BYTE,
    }
)
"""Format and dtype → tolerance; other combinations are not supported."""

REMEDIES: Mapping[ExportDtype, str] = MappingProxyType(
    {
        "float32": "Please report this, with the snapshot's settings; until then another --format may serve.",
        "float16": "Use --precision float32.",
        "bfloat16": "Use --precision float16 or float32.",
        "int8": (
            "Put more images into the folder of --representative, of the kind that the model will see (up to 100 are "
            "used); if that does not help, use --precision float16."
        ),
    }
)
"""Dtype → advice for an artefact that differs too much."""
