"""VisDrone's detection in images: one text file for each image."""

from __future__ import annotations

import functools
import re
from pathlib import Path

from keras_retinanet.data.datasets.shared.box_rows import BoxGroup
from keras_retinanet.data.datasets.shared.listed_boxes import ListedBox, parse_boxes
from keras_retinanet.data.datasets.shared.paired_reader import PairedReader
from keras_retinanet.data.datasets.shared.text_files import number, read_text
from keras_retinanet.data.errors import DataError, short_repr

VISDRONE_CLASSES = (
    "pedestrian", "people", "bicycle", "car", "van", "truck", "tricycle", "awning-tricycle", "bus", "motor",
)  # fmt: skip
"""Categories 1 to 10."""

_IGNORED, _OTHERS = 0, 11
_ROW = "'x,y,width,height,score,category,truncation,occlusion' with a category from 0 to 11"
_LINE = re.compile(r"(?:-?\d+,){4}[01],(?:\d|1[01]),[-0-9]+,[-0-9]+,?")


class VisDroneDataset(PairedReader):
    """VisDrone-DET as it unzips: `VisDrone2019-DET-<set>/images` and `annotations`, one set or several.

    As in the toolkit, ignored regions (category 0) are ignore regions for every class, boxes with score 0 are ignore
    regions, and others (category 11) are not evaluated and left out.

    Reference: https://github.com/VisDrone/VisDrone2018-DET-toolkit, "Annotation format".
    """

    word = "visdrone"
    summary = "VisDrone-DET: VisDrone2019-DET-<set>/images, annotations; that folder or the one above"
    tool = "VisDrone"
    listed_classes = VISDRONE_CLASSES

    @classmethod
    def is_text_folder(cls, name: str) -> bool:
        """Whether a folder of this name has the text files."""
        return name == "annotations"

    @classmethod
    def is_text(cls, lines: list[str]) -> bool:
        """Whether lines have eight numbers with commas between them."""
        return all(_LINE.fullmatch(line.replace(" ", "")) for line in lines)

    def read_boxes(self, file: Path) -> BoxGroup:
        """Read the boxes of a text file."""
        numbered = enumerate(read_text(file, _ROW).splitlines(), start=1)
        lines = [(number, line) for number, line in numbered if line.strip()]
        return parse_boxes(self, self.counts, f"{file}, line", lines, functools.partial(_parse_line, self))


def _parse_line(reader: VisDroneDataset, line: tuple[str, str]) -> ListedBox | None:
    where, text = line
    words = text.strip().rstrip(",").split(",")
    if len(words) != 8:
        raise DataError(where, f"{len(words)} columns in {short_repr(text)}", _ROW, "complete the line")
    x, y, width, height, score, category = (number(word, "a column", where, _ROW) for word in words[:6])
    if category not in range(_OTHERS + 1):
        raise DataError(where, f"category {short_repr(words[5])}", _ROW, "correct it")
    if category == _OTHERS:
        reader.counts["objects of the category others are left out"] += 1
        return None
    name = None if category == _IGNORED else VISDRONE_CLASSES[int(category) - 1]
    return ListedBox((x, y, x + width, y + height), name, where, score == 0 or name is None)
