"""Image-level labels of Open Images: which classes a person has looked for in an image, and whether they are there.

Reference: https://storage.googleapis.com/openimages/web/evaluation.html; the expansion along the hierarchy is that of
`oid_hierarchical_labels_expansion.py` of the TensorFlow Object Detection API.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from keras_retinanet.data.datasets.shared.text_files import csv_records
from keras_retinanet.data.errors import DataError, short_repr

IMAGE_LABELS = ("*{set}*human-imagelabels*.csv",)
"""Names of the files, such as `validation-annotations-human-imagelabels-boxable.csv`."""

_COLUMNS = ("ImageID", "LabelName", "Confidence")


def read_image_labels(
    file: Path, image_ids: Collection[int | str], names: Mapping[str, str], above: Mapping[str, frozenset[str]]
) -> dict[str, frozenset[str]]:
    """Reads which classes are verified in each image: looked for by a person, and found or not.

    A class that is there says that those above it are there, too; one that is not, that those below it are not.

    Args:
        file: A CSV file with the columns `ImageID`, `LabelName` and `Confidence` (1 there, 0 not).
        image_ids: Images of interest.
        names: Class names by ID such as `/m/01g317`; other IDs are names themselves.
        above: All classes above each class.

    Returns:
        Class names by image id; images that the file does not name have no verified class.

    Raises:
        DataError: It is not such a file.
    """
    below: dict[str, set[str]] = {}
    for name, parents in above.items():
        for parent in parents:
            below.setdefault(parent, set()).add(name)
    verified: dict[str, set[str]] = {str(image_id): set() for image_id in image_ids}
    with file.open(encoding="utf-8-sig", newline="") as content:
        records = csv_records(content, file)
        _, head = next(records, (0, []))
        missing = [column for column in _COLUMNS if column not in head]
        if missing:
            fix = "download the human-verified image labels again"
            raise DataError(f"{file}, line 1", f"has no column {missing[0]}", ",".join(_COLUMNS), fix)
        image, label, confidence = (head.index(column) for column in _COLUMNS)
        for line, fields in records:
            if len(fields) != len(head) or fields[confidence] not in ("0", "1", "0.0", "1.0"):
                where, allowed = f"{file}, line {line}", f"{len(head)} fields, the confidence 0 or 1"
                raise DataError(where, f"is {short_repr(','.join(fields))}", allowed, "correct the line")
            if fields[image] in verified:
                name = names.get(fields[label], fields[label])
                is_there = float(fields[confidence]) == 1
                verified[fields[image]] |= {name, *(above if is_there else below).get(name, ())}
    return {image_id: frozenset(classes) for image_id, classes in verified.items()}
