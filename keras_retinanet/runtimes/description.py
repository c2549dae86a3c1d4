"""The description inside an artefact, which is the same text in every format."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any

from keras_retinanet.config import ExportDtype, FilterConfig, ResizeConfig, to_dict
from keras_retinanet.config.aliases import FORMER_EXIF
from keras_retinanet.config.tree import from_dict

DESCRIPTION_KEY = "keras_retinanet"
"""Key of the description, as JSON, in the metadata of a format."""
_EARLIER_NAMES = {"precision": "dtype"}


@dataclass(frozen=True)
class Description:
    """The settings needed to use an artefact, and its origin.

    Attributes:
        class_names: Names of the labels `0 … K-1`.
        resize: How an image becomes network input.
        pad_value: R, G, B in 0–255 of the padding.
        filter: The thresholds built into the artefact.
        image_size: Height and width of the only input size; `None` if any size is accepted.
        dtype: Dtype that the network computes in.
        has_folded_batch_norm: Whether batch normalisation is folded into the convolutions.
        keras_retinanet: Version of this package that wrote the artefact.
        tensorflow: Version of TensorFlow that made the graph.
        metadata: Metadata of the snapshot.
        has_resize: Whether the graph takes uint8 images of any size, resizes them, and returns boxes in their pixels.
    """

    class_names: tuple[str, ...]
    resize: ResizeConfig
    pad_value: tuple[float, float, float]
    filter: FilterConfig
    image_size: tuple[int, int] | None = None
    dtype: ExportDtype = "float32"
    has_folded_batch_norm: bool = False
    keras_retinanet: str = ""
    tensorflow: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    has_resize: bool = False

    def to_json(self) -> str:
        """The text that is stored in the artefact."""
        return json.dumps(to_dict(self), indent=1)

    @classmethod
    def from_json(cls, text: str, source: str) -> Description:
        """Reads the text of `to_json`; fields of later versions are ignored.

        Args:
            text: The text.
            source: Path of the artefact, for messages.

        Returns:
            The description.

        Raises:
            ValueError: The text is not a description.
        """
        try:
            plain = json.loads(text)
            plain = {_EARLIER_NAMES.get(name, name): value for name, value in plain.items()}
            if isinstance(plain.get("resize"), dict):
                plain["resize"].setdefault("exif", FORMER_EXIF)
            known = {name: plain[name] for name in (f.name for f in dataclasses.fields(cls)) if name in plain}
            metadata = known.pop("metadata", {})
            return dataclasses.replace(from_dict(cls, known), metadata=metadata)
        except (ValueError, TypeError, AttributeError) as error:
            raise ValueError(f"{source!r} has a description that cannot be read: {error}") from error


def undescribed(path: Any) -> ValueError:
    """The error for a model without a description.

    Args:
        path: Path of the model.

    Returns:
        The error to raise.
    """
    return ValueError(f"{str(path)!r} has no description: it was not written by retinanet-convert-model.")
