"""Pascal VOC: one XML file for each image.

Reference: Everingham et al., "The PASCAL Visual Object Classes Challenge 2012 Development Kit", §3 and §5.
"""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Sequence
from pathlib import Path

from keras_retinanet.config import DifficultRule, VocOrigin
from keras_retinanet.data.datasets.pascal import files as voc_files
from keras_retinanet.data.datasets.pascal.lists import list_folder, read_label_map
from keras_retinanet.data.datasets.pascal.origin import OriginEvidence, describe_origin
from keras_retinanet.data.datasets.pascal.xml import VocText, is_voc_file, read_voc_xml
from keras_retinanet.data.datasets.shared.annotations import Annotations
from keras_retinanet.data.datasets.shared.box_rows import BoxGroup, BoxRows
from keras_retinanet.data.datasets.shared.class_names import add_unlisted
from keras_retinanet.data.datasets.shared.reader import Layout, Reader
from keras_retinanet.data.datasets.shared.text_files import describe_files
from keras_retinanet.data.error_collector import ErrorCollector, OnError, collect_errors

VOC_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
"""The 20 classes of the challenge in their usual, alphabetical order."""

_NOTHING = VocText([], None)
_BROKEN = VocText([], None)  # told from the former by identity
_MAX_PROBED = 20  # files that are opened to recognise a layout


class PascalDataset(Reader):
    """Pascal VOC: `ImageSets/Main/<set>.txt`, `JPEGImages/<name>.jpg` (or .png …), `Annotations/<name>.xml`.

    Tools give the two folders other names, too: `annotations` and `images` (Kaggle, Label Studio), `labels` and `data`
    (FiftyOne). Without `ImageSets` a set is a folder (`train/`, `valid/` … of Roboflow, or
    `annotations/train/`): every XML file in it and the image of that name. The default set is `train`, else `trainval`,
    `default` or the only list; without `ImageSets` and folders of sets it is `"."`, everything in `path`. Sub-folders
    are kept: `Annotations/a/one.xml` belongs to `JPEGImages/a/one.jpg`.

    A listed image without an XML file is background. Where no list names it, it is left out, as is an XML file without
    an image (an error with `on_error="error"`). Notes report and count all of them.

    VOC counts pixels from 1 and includes the last one: `xmin = 1, xmax = W` is the whole width. As edges in pixels
    counted from 0 that is `x1 = xmin - 1 = 0` and `x2 = xmax = W`, so 1 is subtracted from `xmin` and `ymin` only, as
    Detectron2 does. (fizyr's keras-retinanet subtracts 1 from all four and cuts off the last pixel.) Most tools,
    though, count from 0; `OriginEvidence.decide` describes how the reader tells them apart, once for the whole data
    set, and a note reports it. A box whose `xmax` is not above its `xmin` as annotated counts as one without area:
    tools write such boxes for a click without a drag.

    Sizes are read from the image files, because the `size` tag is often wrong. Class names are those of `labelmap.txt`
    (CVAT, Datumaro; without `background`), else the 20 VOC classes if there is an `ImageSets` and they cover every
    name, otherwise the sorted names of the *whole* data set, so that all sets agree.

    Args:
        difficult: Objects marked difficult become ignore regions (`"ignore"`), stay objects like others (`"keep"`) or
            are left out (`"drop"`). Defaults to `"ignore"`.
        voc_origin: Number of the first pixel, `"0"` or `"1"`. Defaults to `"auto"`: what a file states in
            `<pixel_origin>`, else what the coordinates of the data set show.
        image_dir: Folder of the images, if it is none of these. Defaults to `None`.
    """

    word = "pascal"
    summary = "Pascal VOC folder: JPEGImages/ Annotations/ ImageSets/Main/<set>.txt"
    signs = (
        ("ImageSets/Main", 2), ("Annotations/*.xml", 2), ("annotations/*.xml", 2), ("labels/*.xml", 2), ("*.xml", 1),
        ("*.XML", 1), ("train/*.xml", 1), ("train/*/*.xml", 1), ("annotations/*/*.xml", 1),
        ("Annotations/*/*.xml", 1), ("*/*.xml", 1),
    )  # fmt: skip

    def read(
        self, *, difficult: DifficultRule = "ignore", voc_origin: VocOrigin = "auto", image_dir: str | None = None
    ) -> Annotations:
        """Read the XML file of each image."""
        is_lenient, is_strict = isinstance(self.on_error, ErrorCollector), self.on_error == "error"
        files = voc_files.find_files(self.path, self.set_name, image_dir, is_strict=is_strict, is_lenient=is_lenient)
        texts = [_NOTHING if file is None else self._read_text(file, self.tolerance) for file in files.texts]
        if self.on_error == "skip" and any(text is _BROKEN for text in texts):
            texts = _leave_out_broken(files, texts)
        names, evidence = {item.name for text in texts for item in text.objects}, OriginEvidence()
        others: list[VocText] = []
        if self.wanted_classes is None or voc_origin == "auto":
            for file in files.other_texts:
                other = self._read_text(file, ErrorCollector() if self.on_error == "skip" else self.on_error)
                names.update(item.name for item in other.objects)
                others.append(other)
        evidence.add([*texts, *others])
        origin, notes = _choose_origin(evidence, voc_origin)
        if voc_origin != "auto":
            texts = [text._replace(origin=origin) for text in texts]
        classes, class_notes = _class_names(self.path, names)
        return Annotations(
            listed_in=str(files.listed_in),
            class_names=self.wanted_classes or classes,
            images=files.images,
            image_ids=[*files.ids],
            annotated_sizes=[text.size for text in texts],
            boxes=_rows(files, texts, origin, difficult),
            sources=_sources(self.path, files),
            notes=[*files.notes, *notes, *class_notes],
            describes_unused_images=True,
        )

    @staticmethod
    def _read_text(file: Path, on_error: OnError) -> VocText:
        return collect_errors(on_error, functools.partial(read_voc_xml, file, on_error), _BROKEN)

    @classmethod
    def find_layout(cls, path: str | os.PathLike[str]) -> Layout | None:
        """Recognise a data set; XML files of other formats, such as CVAT's, are not taken for it."""
        place = Path(path)
        for sign, certainty in cls.signs if place.is_dir() else ():
            for found in itertools.islice(place.glob(sign), _MAX_PROBED):
                if found.is_dir() or is_voc_file(found):
                    return Layout(cls.word, place, str(found.relative_to(place)), certainty)
        return None

    @classmethod
    def default_sets(cls, path: str | os.PathLike[str]) -> tuple[str, str | None]:
        """Names of the training set and, if there is one, of the validation set."""
        return voc_files.default_sets(Path(path))


def _leave_out_broken(files: voc_files.VocFiles, texts: list[VocText]) -> list[VocText]:
    """Remove the images whose XML files are broken, which would count as background; returns the other texts."""
    kept = [position for position, text in enumerate(texts) if text is not _BROKEN]
    broken = [name for name, text in zip(files.ids, texts, strict=True) if text is _BROKEN]
    files.notes += describe_files(files.listed_in, broken, "images are left out, since their XML files are broken")
    files.ids = [files.ids[position] for position in kept]
    files.texts = [files.texts[position] for position in kept]
    files.images = [files.images[position] for position in kept]
    return [texts[position] for position in kept]


def _sources(folder: Path, files: voc_files.VocFiles) -> list[str]:
    texts = [file for file in files.texts if file is not None]
    lists = sorted(list_folder(folder).glob("*.txt"))
    found = [files.listed_in, folder, folder / "labelmap.txt", *lists, *files.folders, *texts, *files.other_texts]
    return [str(file) for file in found]


def _choose_origin(evidence: OriginEvidence, voc_origin: VocOrigin) -> tuple[int, list[str]]:
    """Number of the first pixel where a file does not state it, and the note about the decision."""
    if voc_origin != "auto":
        return int(voc_origin), []
    origin, reason = evidence.decide()
    return origin, [describe_origin(origin, reason)] if evidence.num_boxes else []


def _class_names(folder: Path, names: set[str]) -> tuple[Sequence[str], list[str]]:
    """Class names of the whole data set, and notes about them."""
    mapped = read_label_map(folder)
    if mapped is None:
        is_challenge = list_folder(folder).is_dir() and names <= set(VOC_CLASSES)
        return VOC_CLASSES if is_challenge else tuple(sorted(names)), []
    return add_unlisted(mapped, names, str(folder / "labelmap.txt"))


def _rows(files: voc_files.VocFiles, texts: Sequence[VocText], origin: int, difficult: DifficultRule) -> BoxRows:
    """The boxes of all files."""
    rows = BoxRows()
    for position, (file, text) in enumerate(zip(files.texts, texts, strict=True)):
        used = [item for item in text.objects if difficult != "drop" or not item.is_difficult]
        first = origin if text.origin is None else text.origin
        sides: list[float] = []
        for x1, y1, x2, y2 in (item.box for item in used):
            is_box = x1 < x2 and y1 < y2  # only then: the last pixel is included: its number from 1 is its far edge
            sides += (x1 - first, y1 - first, x2, y2) if is_box else (x1, y1, x2, y2)
        ignore = [item.is_difficult and difficult == "ignore" for item in used]
        numbers = [item.number for item in used]
        rows.add(position, BoxGroup(f"{file}, object", [item.name for item in used], sides, numbers, ignore))
    return rows
