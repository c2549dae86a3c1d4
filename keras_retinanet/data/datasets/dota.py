"""DOTA: aerial images with turned rectangles, one text file for each image."""

from __future__ import annotations

import functools
from pathlib import Path

from keras_retinanet.config import DifficultRule
from keras_retinanet.data.datasets.shared.annotations import Annotations
from keras_retinanet.data.datasets.shared.box_rows import BoxGroup
from keras_retinanet.data.datasets.shared.listed_boxes import ListedBox, parse_boxes
from keras_retinanet.data.datasets.shared.paired_reader import PairedReader
from keras_retinanet.data.datasets.shared.text_files import number, read_text
from keras_retinanet.data.errors import DataError, short_repr

_ROW = "'x1 y1 x2 y2 x3 y3 x4 y4 category difficult'"
_HEADERS = ("imagesource:", "gsd:")
_CORNERS = 8


class DotaDataset(PairedReader):
    """DOTA of any version: `<set>/images` and `<set>/labelTxt`, or `images/<set>` and `labelTxt/<set>`.

    Each line has four corners, a category and whether the object is difficult; the first lines may name the source of
    the image (`imagesource:`) and its resolution (`gsd:`). Turned rectangles become their enclosing boxes.

    Reference: https://captain-whu.github.io/DOTA/dataset.html, "Annotation format".

    Args:
        difficult: What difficult objects become; the benchmark ignores them. Defaults to `"ignore"`.
        image_dir: Folder of the images, if it is not next to the text files. Defaults to `None`.
    """

    word = "dota"
    summary = "DOTA: <set>/images, <set>/labelTxt with four corners per line; that folder or the one above"
    tool = "DOTA"

    def read(self, *, difficult: DifficultRule = "ignore", image_dir: str | None = None) -> Annotations:
        """Read the text file of each image."""
        self._difficult = difficult
        return self.read_pairs(image_dir)

    @classmethod
    def is_text_folder(cls, name: str) -> bool:
        """Whether a folder of this name has the text files."""
        return name.startswith("labeltxt") or name in ("annfiles", "labels", "annotations")

    @classmethod
    def is_text(cls, lines: list[str]) -> bool:
        """Whether lines have eight numbers, a word and a flag."""
        rows = [line.split() for line in lines if not line.lower().startswith(_HEADERS)]
        return bool(rows) and all(
            len(row) in (9, 10) and _are_numbers(row[:_CORNERS]) and _is_word(row) for row in rows
        )

    def read_boxes(self, file: Path) -> BoxGroup:
        """Read the boxes of a text file."""
        numbered = enumerate(map(str.split, read_text(file, _ROW).splitlines()), start=1)
        lines = [(number, words) for number, words in numbered if words and not _is_header(words)]
        parse = functools.partial(_parse_line, self, self._difficult)
        return parse_boxes(self, self.counts, f"{file}, line", lines, parse)


def _is_header(words: list[str]) -> bool:
    return words[0].lower().startswith(_HEADERS)


def _is_word(row: list[str]) -> bool:
    return not _are_numbers([row[_CORNERS]]) and row[_CORNERS + 1 :] in ([], ["0"], ["1"], ["2"])


def _are_numbers(words: list[str]) -> bool:
    try:
        return len([float(word) for word in words]) > 0
    except ValueError:
        return False


def _parse_line(reader: DotaDataset, difficult: DifficultRule, line: tuple[str, list[str]]) -> ListedBox | None:
    where, words = line
    if len(words) not in (9, 10):
        raise DataError(where, f"{len(words)} columns in {short_repr(' '.join(words))}", _ROW, "complete the line")
    try:
        corners = [float(word) for word in words[:_CORNERS] if "_" not in word]
    except ValueError:
        corners = []
    if len(corners) < _CORNERS:
        corners = [number(word, "a corner", where, _ROW) for word in words[:_CORNERS]]  # raises, with the reason
    xs, ys = corners[::2], corners[1::2]
    flag = words[9] if len(words) == 10 else "0"
    if flag not in ("0", "1", "2"):
        raise DataError(where, f"difficult is {short_repr(flag)}", "0 or 1", "correct it")
    is_difficult = flag != "0" and difficult != "keep"
    if is_difficult and difficult == "drop":
        reader.counts["difficult objects are left out"] += 1
        return None
    reader.counts["turned rectangles: their enclosing boxes are used"] += int(len(set(xs)) > 2 or len(set(ys)) > 2)
    return ListedBox((min(xs), min(ys), max(xs), max(ys)), words[_CORNERS], where, is_difficult)
