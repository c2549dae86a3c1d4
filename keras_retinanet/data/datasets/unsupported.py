"""Formats that are not read, recognised by their files, with the way round."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import NamedTuple

_PEEK = 1 << 14  # bytes at the beginning of a file
_MAX_FILES = 20  # files of a pattern that are looked into


class UnsupportedFormat(NamedTuple):
    """A format that is not read.

    Attributes:
        name: Its name.
        patterns: Where its files are, relative to the folder of the data set.
        start: Pattern of the first bytes of such a file.
        way_round: What to do instead.
    """

    name: str
    patterns: tuple[str, ...]
    start: re.Pattern[bytes]
    way_round: str


UNSUPPORTED = (
    UnsupportedFormat(
        "FiftyOne's own JSON",
        ("samples.json", "labels.json", "*/labels.json"),
        re.compile(rb'\s*\{\s*(?:"samples"\s*:|"classes"\s*:.*"labels"\s*:\s*\{)', re.DOTALL),
        "export it again with `dataset_type=fo.types.COCODetectionDataset`: COCO is read",
    ),
    UnsupportedFormat(
        "Label Studio's CSV or TSV",
        ("*.csv", "*.tsv"),
        re.compile(rb"[^\n]*\bannotation_id\b[^\n]*\blead_time\b"),
        "export the project again as JSON or JSON-MIN, which are read",
    ),
    UnsupportedFormat(
        "Labelbox's export v1",
        ("*.json",),
        re.compile(rb'\s*\[\s*\{.*?"Labeled Data"', re.DOTALL),
        "export the project again as NDJSON (export v2), which is read",
    ),
    UnsupportedFormat(
        "MOT Challenge (tracks in videos)",
        ("gt/gt.txt", "*/gt/gt.txt", "*/*/gt/gt.txt"),
        re.compile(rb"\s*\d+,\d+,(?:-?[\d.]+,){4}"),
        "convert it with Datumaro (from mot_seq to coco), or write its frames as lines of CSV",
    ),
    UnsupportedFormat(
        "Roboflow's multi-label classification",
        ("_classes.csv", "*/_classes.csv"),
        re.compile(rb"filename\s*,"),
        "its classes have no boxes: export a project of object detection, such as COCO JSON",
    ),
    UnsupportedFormat(
        "Supervisely",
        ("*/ann/*.json", "ann/*.json"),
        re.compile(rb'\s*\{.*"(?:geometryType|exterior|classTitle)"', re.DOTALL),
        "export the project as COCO or Pascal VOC from Supervisely's list of exports",
    ),
    UnsupportedFormat(
        "V7 Darwin JSON",
        ("*.json", "annotations/*.json", "releases/*/annotations/*.json"),
        re.compile(rb'\s*\{.*"(?:schema_ref|slots)".*(?:darwin|slots)', re.DOTALL),
        "export the data set from V7 as COCO, or convert it with `darwin convert coco FILES OUT`",
    ),
    UnsupportedFormat(
        "VisDrone-VID (tracks in videos)",
        ("annotations/*.txt", "*/annotations/*.txt"),
        re.compile(rb"\s*(?:-?\d+,){9}-?\d+\s"),
        "take VisDrone-DET, which is read, or write the frames as lines of CSV",
    ),
    UnsupportedFormat(
        "VoTT's JSON",
        ("*.vott", "*-export.json", "vott-json-export/*.json", "*-asset.json"),
        re.compile(rb'\s*\{.*"(?:assets|asset|tags|regions)"', re.DOTALL),
        "choose CSV as the export format in VoTT and export again: that CSV is read",
    ),
)
"""Formats with files that show them, sorted by name."""


def find_unsupported(path: Path) -> tuple[UnsupportedFormat, Path] | None:
    """Recognise a format that is not read.

    Args:
        path: A folder or file.

    Returns:
        The format, and the file that shows it; `None` if there is none.
    """
    for known in UNSUPPORTED:
        for file in _files(path, known.patterns):
            if known.start.match(_start(file)):
                return known, file
    return None


def _files(path: Path, patterns: tuple[str, ...]) -> list[Path]:
    if path.is_file():
        return [path] if any(Path("x/y/z", path.name).match(Path(pattern).name) for pattern in patterns) else []
    try:
        return [file for pattern in patterns for file in itertools.islice(path.glob(pattern), _MAX_FILES)]
    except (OSError, ValueError):
        return []


def _start(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(_PEEK).removeprefix(b"\xef\xbb\xbf")
    except OSError:
        return b""
