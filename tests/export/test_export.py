from __future__ import annotations

import dataclasses
from typing import get_args

from keras_retinanet import build
from keras_retinanet.config import AnchorConfig, ExportFormat, ModelConfig, ResizeConfig
from keras_retinanet.export import FORMATS, default_input_size


def test_every_format_has_its_name() -> None:
    assert get_args(ExportFormat) == tuple(FORMATS)


def test_a_fixed_square_is_warned_of_where_padding_counts() -> None:
    """A photo of 4:3 becomes 60 x 80, then 64 x 96; by a longest side of 128 it becomes 96 x 128, of 90 96 x 96."""
    settings = ModelConfig("resnet10_050", "none", 3, 5, fpn_width=32, head_width=32, head_depth=1, head_norm="group")
    anchors = AnchorConfig((16.0, 32.0, 64.0), (8, 16, 32))

    def warning(settings: ModelConfig, resize: ResizeConfig) -> str | None:
        model = build(settings, class_names=["ant"], anchors=anchors, resize=resize)
        return default_input_size(model).note

    found = warning(settings, ResizeConfig(60, 90))
    assert found is not None
    assert "padded to 96 x 96" in found
    assert "for photos of 4:3 --image-size 64 96;" in found
    assert "--image-size 96 128;" in str(warning(settings, ResizeConfig(128, 128)))
    assert warning(settings, ResizeConfig(90, 90)) is None
    assert warning(settings, ResizeConfig(128, 128, is_square=True)) is None
    assert warning(dataclasses.replace(settings, head_norm="none"), ResizeConfig(60, 90)) is None
