from __future__ import annotations

import dataclasses
from typing import get_args

from keras_retinanet import DetectionModel, build
from keras_retinanet.config import AnchorConfig, ExportFormat, ModelConfig, ResizeConfig
from keras_retinanet.export import FORMATS, warn_of_padding


def test_every_format_has_its_name() -> None:
    assert get_args(ExportFormat) == tuple(FORMATS)


def test_a_fixed_square_is_warned_of_where_padding_counts() -> None:
    """Sides are padded to multiples of 32: 60 to 64, 90 to 96."""
    settings = ModelConfig("resnet10_050", "none", 3, 5, fpn_width=32, head_width=32, head_depth=1, head_norm="group")
    anchors = AnchorConfig((16.0, 32.0, 64.0), (8, 16, 32))

    def warning(settings: ModelConfig, resize: ResizeConfig) -> str | None:
        model = build(settings, class_names=["ant"], anchors=anchors, resize=resize)
        return warn_of_padding(DetectionModel(model))

    found = warning(settings, ResizeConfig(60, 90))
    assert found is not None
    assert "padded to 96 x 96" in found
    assert "landscape, give --image-size 64 96, if all are portrait, --image-size 96 64" in found
    assert warning(settings, ResizeConfig(70, 90)) is None, "the square is the only padded size"
    assert warning(dataclasses.replace(settings, head_norm="none"), ResizeConfig(60, 90)) is None
