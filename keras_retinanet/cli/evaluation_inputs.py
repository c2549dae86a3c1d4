"""What an evaluation works on: a model, and annotated images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from keras_retinanet.config import FilterConfig, ResizeConfig

if TYPE_CHECKING:
    from keras_retinanet.data.bad_images import BadImages, CutOffImages
    from keras_retinanet.data.datasets import Dataset
    from keras_retinanet.data.pipeline import InferenceBatches
    from keras_retinanet.data.thumbnails import Thumbnails
    from keras_retinanet.model.detection_model import DetectionModel
    from keras_retinanet.runtimes import Runtime
    from keras_retinanet.schema import Sample


@dataclass(frozen=True)
class Evaluation:
    """The model and the data of an evaluation.

    Attributes:
        model: The snapshot, or an exported model, with the thresholds of this evaluation.
        class_names: The model's classes; those of the data set, in order, if the snapshot has none.
        snapshot: Path of the snapshot.
        dataset: Reader of the annotated images.
        set_name: Name of the split.
        description: The data set in one line.
        samples: Images of the split, with labels in the order of the model's classes.
        resize: How images become network input.
        batches: The images as network input; `None` for an exported model, which prepares them itself.
        bad_images: Tracks images that cannot be decoded, which count as images without objects; `None` if such an
            image is an error.
        cut_off: JPEGs without their last bytes.
        thumbnails: Small copies of the images, kept as they are loaded.
    """

    model: DetectionModel | Runtime
    class_names: tuple[str, ...]
    snapshot: Path
    dataset: Dataset
    set_name: str
    description: str
    samples: Sequence[Sample]
    resize: ResizeConfig
    batches: InferenceBatches | None
    bad_images: BadImages | None
    cut_off: CutOffImages
    thumbnails: Thumbnails

    @property
    def filter(self) -> FilterConfig:
        """The thresholds of this evaluation."""
        own: FilterConfig = getattr(self.model, "filter_config", None) or getattr(self.model, "filter")  # noqa: B009
        return own
