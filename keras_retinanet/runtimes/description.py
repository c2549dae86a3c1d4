"""The description inside an artefact: the same text in every format."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any

from keras_retinanet.config import ExportDtype, FilterConfig, ResizeConfig, to_dict
from keras_retinanet.config.tree import from_dict

DESCRIPTION_KEY = "keras_retinanet"
"""Key of the description, as JSON, in the metadata of a format."""
_EARLIER_NAMES = {"precision": "dtype"}


@dataclass(frozen=True)
class Description:
    """All that is needed to use an artefact, and its origin.

    Attributes:
        class_names: Names of the labels `0 … K-1`.
        resize: How an image becomes network input.
        pad_value: R, G, B in 0–255 with which it is padded.
        filter: The thresholds built into it.
        image_size: Height and width of the only input that it takes; `None` where it takes any.
        dtype: Numbers that the network computes with.
        has_folded_batch_norm: Batch normalisation is part of the convolutions.
        keras_retinanet: Version that wrote it.
        tensorflow: Version that made its graph.
        metadata: Metadata of the snapshot.
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

    def to_json(self) -> str:
        """The text that travels inside the artefact."""
        return json.dumps(to_dict(self), indent=1)

    @classmethod
    def from_json(cls, text: str, source: str) -> Description:
        """Reads the text; fields of later versions are ignored.

        Args:
            text: What `to_json` wrote.
            source: The artefact, for the message.

        Returns:
            The description.

        Raises:
            ValueError: It is not such a text.
        """
        try:
            plain = json.loads(text)
            plain = {_EARLIER_NAMES.get(name, name): value for name, value in plain.items()}
            known = {name: plain[name] for name in (f.name for f in dataclasses.fields(cls)) if name in plain}
            metadata = known.pop("metadata", {})
            return dataclasses.replace(from_dict(cls, known), metadata=metadata)
        except (ValueError, TypeError, AttributeError) as error:
            raise ValueError(f"{source!r} has a description that cannot be read: {error}") from error


def undescribed(path: Any) -> ValueError:
    """The error for a model without a description of ours.

    Args:
        path: Its path.

    Returns:
        The error to raise.
    """
    return ValueError(f"{str(path)!r} has no description: it was not written by retinanet-convert-model.")
