"""WIDER FACE: one text file for all images of a split."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from keras_retinanet.data.datasets.shared.list_reader import ListedImage, ListReader
from keras_retinanet.data.datasets.shared.listed_boxes import ListedBox
from keras_retinanet.data.datasets.shared.split_names import split_in
from keras_retinanet.data.datasets.shared.text_files import number, read_text
from keras_retinanet.data.errors import DataError, short_repr
from keras_retinanet.data.image_files import SUFFIXES

_ROW = "'x y width height blur expression illumination invalid occlusion pose'"
_SUFFIX = "|".join(suffix[1:] for suffix in SUFFIXES)
_START = re.compile(rb"[^\r\n]+\.(?:" + _SUFFIX.encode() + rb")\r?\n\s*\d+\s*\r?\n\s*-?\d+(?: -?\d+){3}", re.IGNORECASE)
_NAME = re.compile(rf".*\.(?:{_SUFFIX})", re.IGNORECASE)
_INVALID = 7  # column that marks boxes which are not evaluated
_COLUMNS = (4, 5, 10, 11)


class WiderFaceDataset(ListReader):
    """WIDER FACE as it unzips: `wider_face_split/wider_face_<set>_bbx_gt.txt` and `WIDER_<set>/images/`.

    For each image its path, the number of faces, and a line per face with x, y, width, height, blur, expression,
    illumination, invalid, occlusion and pose. An image without faces has 0 and a line of zeros. Faces marked as invalid
    become ignore regions. Datumaro's class name in a further column is read.

    Reference: http://shuoyang1213.me/WIDERFACE/, `wider_face_split/readme.txt`.
    """

    word = "wider"
    summary = "WIDER FACE: wider_face_split/wider_face_<set>_bbx_gt.txt, WIDER_<set>/images; a folder or the file"
    suffixes = (".txt",)
    tool = "WIDER FACE"

    @classmethod
    def is_list(cls, file: Path, start: bytes) -> bool:
        """Whether the file begins with the name of an image, a number, and a line of numbers."""
        del file
        return _START.match(start.lstrip()) is not None

    def image_folders(self, file: Path) -> list[Path]:
        """`WIDER_<set>/images` next to the folder of the file, then the usual places."""
        split = split_in(file.stem)
        homes = (file.parent.parent, file.parent, file.parent.parent / f"WIDER_{split}")
        own = [home / place for home in homes for place in (f"WIDER_{split}/images", "images")]
        return [*own, *super().image_folders(file)]

    def read_images(self, file: Path) -> Iterator[ListedImage]:
        """Yield the images of a file."""
        for name, where, lines in self._blocks(file):
            count, rows = lines[0] if lines else ("", where), lines[1:]
            boxes = [box for box in self.parse_each(rows, _parse_row) if box is not None]
            is_empty = count[0] == "0" and len(rows) <= 1
            if not is_empty and count[0] != str(len(rows)):
                found = f"{len(rows)} lines of boxes follow, and the number is {short_repr(count[0])}"
                self.report_error(DataError(count[1], found, "the number of lines", "complete the file"))
                continue
            yield ListedImage([name], boxes)

    def _blocks(self, file: Path) -> Iterator[tuple[str, str, list[tuple[str, str]]]]:
        """The name of each image, its line, and the lines that follow with theirs."""
        name, where = "", ""
        lines: list[tuple[str, str]] = []
        for position, line in enumerate(read_text(file, "a file of WIDER FACE").splitlines(), start=1):
            text, place = line.strip(), f"{file}, line {position}"
            if _NAME.fullmatch(text):
                if name:
                    yield name, where, lines
                name, where, lines = text, place, []
            elif text and name:
                lines.append((text, place))
            elif text:
                self.report_error(DataError(place, short_repr(text), "the path of an image", "correct the line"))
        if name:
            yield name, where, lines


def _parse_row(line: tuple[str, str]) -> ListedBox | None:
    text, where = line
    words = text.split()
    if len(words) not in _COLUMNS:
        raise DataError(where, f"{len(words)} columns in {short_repr(text)}", _ROW, "complete the line")
    x, y, width, height = (number(word, "a side", where, _ROW) for word in words[:4])
    if not width and not height:
        return None  # stands for no face
    name = words[-1] if len(words) in (5, 11) else "face"
    is_invalid = len(words) >= 10 and words[_INVALID] == "1"
    return ListedBox((x, y, x + width, y + height), name, where, is_invalid)
