from __future__ import annotations

from typing import get_args

from keras_retinanet.config import ExportFormat
from keras_retinanet.export import FORMATS


def test_every_format_has_its_name() -> None:
    assert get_args(ExportFormat) == tuple(FORMATS)
