"""Pascal VOC: one XML file for each image.

Reference: Everingham et al., "The PASCAL Visual Object Classes Challenge 2012 Development Kit", §3 and §5.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import NamedTuple

from keras_retinanet.config import DifficultRule
from keras_retinanet.data.datasets.annotations import Annotations, BoxRow
from keras_retinanet.data.datasets.reader import Reader
from keras_retinanet.data.datasets.text_files import images_by_stem, suggest_parent_folder
from keras_retinanet.data.datasets.voc_xml import VocObject, VocText, read_voc_xml
from keras_retinanet.data.error_collector import ErrorCollector, OnError, collect_errors
from keras_retinanet.data.errors import DataError, short_repr
from keras_retinanet.data.image_files import SUFFIXES, near_name_hint

VOC_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
"""The 20 classes of the challenge in their usual, alphabetical order."""

_NOTHING = VocText([], None)


class _Layout(NamedTuple):
    """Where the files of a set are."""

    listed_in: Path
    ids: list[str]
    texts: list[Path]
    images: list[str]
    all_texts: list[Path]
    homes: list[Path]
    notes: list[str]


class PascalDataset(Reader):
    """Pascal VOC: `ImageSets/Main/<set>.txt`, `JPEGImages/<name>.jpg` (or .png …), `Annotations/<name>.xml`.

    Without `ImageSets` the set is a folder: every `<name>.xml` in it and the image of that name (or those in its
    `Annotations` and `JPEGImages`). Images without an XML file are left out and reported. The default set is `train`,
    or `trainval` if that is the only list; without `ImageSets` it is a folder in `path`, or `"."` for `path` itself if
    it has XML files.

    VOC counts pixels from 1 and includes the last one: `xmin = 1, xmax = W` is the whole width. As edges in pixels
    counted from 0 that is `x1 = xmin - 1 = 0` and `x2 = xmax = W`, so 1 is subtracted from `xmin` and `ymin` only, as
    Detectron2 does. (fizyr's keras-retinanet subtracts 1 from all four and cuts off the last pixel.) A box whose `xmax`
    is not above its `xmin` as annotated counts as one without area: tools write such boxes for a click without a drag.

    Sizes are read from the image files, because the `size` tag is often wrong. Class names default to the 20 VOC
    classes if there is an `ImageSets` and they cover every name, otherwise to the sorted names of the *whole* data set,
    so that all sets agree.

    Args:
        difficult: Objects marked difficult become ignore regions (`"ignore"`), stay objects like others (`"keep"`) or
            are left out (`"drop"`). Defaults to `"ignore"`.
    """

    word = "pascal"
    summary = "Pascal VOC folder: JPEGImages/ Annotations/ ImageSets/Main/<set>.txt"
    signs = (("ImageSets/Main", 2), ("Annotations/*.xml", 2), ("*.xml", 1), ("train/*.xml", 1))

    def read(self, *, difficult: DifficultRule = "ignore") -> Annotations:
        """Read the XML file of each image."""
        is_listed = _lists(self.path).is_dir()
        is_lenient = isinstance(self.on_error, ErrorCollector)
        layout = (_from_list if is_listed else _from_folder)(self.path, self.set_name, is_lenient=is_lenient)
        read = [collect_errors(self.on_error, functools.partial(read_voc_xml, text), _NOTHING) for text in layout.texts]
        objects = dict(zip(layout.texts, (text.objects for text in read), strict=True))
        names = self.wanted_classes or _all_classes(layout, objects, is_listed, self.on_error)
        return Annotations(
            listed_in=str(layout.listed_in),
            class_names=names,
            images=layout.images,
            image_ids=[*layout.ids],
            annotated_sizes=[text.size for text in read],
            boxes=[
                _row(item, position, is_ignored=item.is_difficult and difficult == "ignore")
                for position, items in enumerate(objects.values())
                for item in items
                if not (item.is_difficult and difficult == "drop")
            ],
            sources=[str(text) for text in (layout.listed_in, *layout.homes, *layout.texts, *layout.all_texts)],
            notes=layout.notes,
        )

    @classmethod
    def default_sets(cls, path: str | os.PathLike[str]) -> tuple[str, str | None]:
        """Names of the training set and, if there is one, of the validation set."""
        folder = Path(path)
        if _lists(folder).is_dir():
            has_train, has_val = ((_lists(folder) / f"{name}.txt").is_file() for name in ("train", "val"))
            return ("train", "val" if has_val else None) if has_train else ("trainval", None)
        there = [name for name in ("train", "val", "valid", "validation") if _texts(_homes(folder / name)[0])]
        if "train" not in there or _texts(_homes(folder)[0]):
            return (".", None) if _texts(_homes(folder)[0]) else ("trainval", None)
        return "train", next((name for name in there if name != "train"), None)


def _lists(folder: Path) -> Path:
    return folder / "ImageSets" / "Main"


def _texts(folder: Path) -> list[Path]:
    """XML files in a folder, without those that macOS leaves (`._x.xml`)."""
    return sorted(file for file in folder.glob("*.xml") if not file.name.startswith("."))


def _homes(folder: Path) -> tuple[Path, Path]:
    """Folders of the XML files and of the images."""
    apart = folder / "Annotations", folder / "JPEGImages"
    return apart if all(part.is_dir() for part in apart) else (folder, folder)


def _from_list(folder: Path, set_name: str, *, is_lenient: bool) -> _Layout:
    list_file, home = _lists(folder) / f"{set_name}.txt", folder / "Annotations"
    ids = _read_list(list_file, {text.stem for text in _texts(home)})
    texts = [home / f"{name}.xml" for name in ids]
    return _Layout(
        list_file, ids, texts, _images(folder, ids, list_file, is_lenient=is_lenient), _texts(home), [home], []
    )


def _from_folder(folder: Path, set_name: str, *, is_lenient: bool) -> _Layout:
    home = folder / set_name
    text_home, image_home = _homes(home)
    texts = _texts(text_home)
    if not texts:
        allowed = "ImageSets/Main/<set>.txt, or a folder of XML files and images"
        fix = suggest_parent_folder(folder, ("ImageSets", "JPEGImages", "Annotations"))
        raise DataError(str(home), "has no Pascal VOC annotations", allowed, fix)
    files = images_by_stem(image_home)
    images = []
    for text in texts:
        if text.stem not in files and not is_lenient:
            allowed = f"{text.stem} ending in {', '.join(SUFFIXES)} in {image_home}"
            fix = f"{near_name_hint(image_home / f'{text.stem}.jpg')}add the image or remove the file"
            raise DataError(str(text), "has no image", allowed, suggest_parent_folder(home, ("JPEGImages",), fix))
        images.append(os.path.join(image_home, files.get(text.stem, f"{text.stem}.jpg")))
    ids = [text.stem for text in texts]
    alone = sorted(set(files) - set(ids))
    note = f"{image_home}: {len(alone)} images without an XML file are left out ({short_repr(alone[:1])[2:-2]} …)"
    siblings = (
        [] if set_name == "." else [file for part in sorted(folder.iterdir()) for file in _texts(_homes(part)[0])]
    )
    return _Layout(text_home, ids, texts, images, siblings, [text_home, image_home], [note] if alone else [])


def _read_list(file: Path, known: set[str]) -> list[str]:
    """The name in each line: all of it, without a suffix, or its first word, whichever has an XML file."""
    try:
        lines = file.read_text("utf-8-sig").splitlines()
    except OSError as error:
        there = ", ".join(sorted(found.stem for found in file.parent.glob("*.txt"))[:20]) or "none"
        fix = f"check the path and the set's name (sets there: {there})"
        raise DataError(str(file), f"cannot be read ({error.strerror})", "a list of image names", fix) from None
    except ValueError as error:
        raise DataError(
            str(file), f"is not UTF-8 text ({error})", "a list of image names", "save it as UTF-8"
        ) from None
    ids: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        whole, first = line.strip(), (line.split() or [""])[0]
        name = next((name for name in (whole, os.path.splitext(whole)[0]) if name in known), first)
        if name in ids:
            found = f"{short_repr(name)} is listed twice (first in line {ids[name]})"
            raise DataError(f"{file}, line {number}", found, "each image once", "remove one of the lines")
        if name:
            ids[name] = number
    return list(ids)


def _images(folder: Path, ids: list[str], list_file: Path, *, is_lenient: bool) -> list[str]:
    """Image files, whatever their suffix."""
    home = folder / "JPEGImages"
    by_stem = images_by_stem(home)
    for name in ids:
        if name not in by_stem and os.path.basename(name) == name and not is_lenient:
            allowed = f"JPEGImages/{name} ending in {', '.join(SUFFIXES)}"
            fix = f"{near_name_hint(home / f'{name}.jpg')}add the image or remove the line"
            raise DataError(str(list_file), f"image {short_repr(name)} is not there", allowed, fix)
    return [os.path.join(home, by_stem.get(name, f"{name}.jpg")) for name in ids]


def _all_classes(
    layout: _Layout, read: dict[Path, list[VocObject]], is_listed: bool, on_error: OnError
) -> tuple[str, ...]:
    """Class names of the whole data set, those of the files outside this set included."""
    texts = (file for file in layout.all_texts if file not in read)
    others = (
        item
        for file in texts
        for item in collect_errors(on_error, functools.partial(read_voc_xml, file), _NOTHING).objects
    )
    names = {item.name for items in read.values() for item in items} | {item.name for item in others}
    return VOC_CLASSES if is_listed and names <= set(VOC_CLASSES) else tuple(sorted(names))


def _row(item: VocObject, image: int, *, is_ignored: bool) -> BoxRow:
    x1, y1, x2, y2 = item.box
    if x1 < x2 and y1 < y2:
        x1, y1 = x1 - 1.0, y1 - 1.0  # only here: 1-based, last pixel included → edges counted from 0
    return BoxRow(image, (x1, y1, x2, y2), item.name, item.where, is_ignored)
