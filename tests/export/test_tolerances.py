"""The table of tolerances: complete, and the same in the documentation."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from keras_retinanet.config import ExportDtype, ExportFormat
from keras_retinanet.export.tolerances import COUNTED_ABOVE, TOLERANCES

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")


def test_every_format_is_written_in_float32() -> None:
    assert {name for name, dtype in TOLERANCES if dtype == "float32"} == set(get_args(ExportFormat))
    assert {dtype for _, dtype in TOLERANCES} == set(get_args(ExportDtype))


def test_float32_is_held_to_its_raw_outputs() -> None:
    assert {limit.raw for (_, dtype), limit in TOLERANCES.items() if dtype == "float32"} == {1e-4}
    assert {limit.raw for (_, dtype), limit in TOLERANCES.items() if dtype != "float32"} == {None}


def test_the_documentation_shows_the_same_numbers() -> None:
    """Rows are `| formats | precision | raw | score | IoU | share |`."""
    shown = {}
    for row in re.findall(r"^\| `(.*) \| `(float32|float16|bfloat16|int8)` \| (.*) \|$", PAGE, flags=re.MULTILINE):
        names, dtype, numbers = re.findall(r"\w+", row[0]), row[1], row[2].split(" | ")
        for name in names:
            shown[name, dtype] = tuple(None if number == "–" else float(number) for number in numbers)
    assert shown == {key: (limit.raw, limit.score, limit.iou, limit.share) for key, limit in TOLERANCES.items()}
    assert f"score above {COUNTED_ABOVE}" in PAGE
