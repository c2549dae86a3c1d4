"""Base of the readers of data sets with one text file for each image, in a folder next to the images."""

from __future__ import annotations

import collections
import os
from pathlib import Path
from typing import ClassVar

from keras_retinanet.data.datasets.shared.annotations import Annotations
from keras_retinanet.data.datasets.shared.box_rows import BoxGroup, BoxRows
from keras_retinanet.data.datasets.shared.image_places import NAME_FOLDER, choose_image_folder
from keras_retinanet.data.datasets.shared.paired_folders import Pair, find_pairs, pair_files
from keras_retinanet.data.datasets.shared.reader import Layout, Reader
from keras_retinanet.data.datasets.shared.split_names import usual_sets
from keras_retinanet.data.datasets.shared.text_files import suggest_parent_folder
from keras_retinanet.data.errors import DataError, short_repr

_PEEK = 4096


class PairedReader(Reader):
    """Base class of the readers of one text file per image.

    A reader defines `is_text_folder`, `is_text` and `read_boxes`.

    Attributes:
        tool: Name of the data set, for `Layout`.
        listed_classes: Class names, label 0 first, if the format defines them. Defaults to none: the sorted names.
        counts: What was left out or replaced, by sentence; each becomes a note.
    """

    tool: ClassVar[str] = ""
    listed_classes: ClassVar[tuple[str, ...]] = ()
    counts: collections.Counter[str]

    @classmethod
    def is_text_folder(cls, name: str) -> bool:
        """Whether a folder of this name, in lower case, has the text files."""
        raise NotImplementedError

    @classmethod
    def is_text(cls, lines: list[str]) -> bool:
        """Whether the first lines of a file are of this format."""
        raise NotImplementedError

    def read_boxes(self, file: Path) -> BoxGroup:
        """Read the boxes of a text file; broken ones are left out (`parse_boxes`)."""
        raise NotImplementedError

    @classmethod
    def find_sets(cls, path: Path) -> dict[str, Pair]:
        """Folders by the names of their sets."""

        def is_text(file: Path) -> bool:
            try:
                with file.open("rb") as opened:
                    start = opened.read(_PEEK).decode("utf-8-sig", "replace")
            except OSError:
                return False
            whole = start if len(start) < _PEEK else start[: start.rfind("\n")]
            lines = [line.strip() for line in whole.splitlines() if line.strip()]
            return bool(lines) and cls.is_text(lines)

        return find_pairs(path, cls.is_text_folder, is_text)

    @classmethod
    def find_layout(cls, path: str | os.PathLike[str]) -> Layout | None:
        """Recognise the format by its folders and the first lines of text files."""
        place = Path(path)
        pair = next(iter(cls.find_sets(place).values()), None)
        return None if pair is None else Layout(cls.word, place, str(pair.texts.relative_to(place)), 3, cls.tool)

    @classmethod
    def default_sets(cls, path: str | os.PathLike[str]) -> tuple[str, str | None]:
        """Names of the training set and, if there is one, of the validation set."""
        return usual_sets(cls.find_sets(Path(path)))

    def read_pairs(self, image_dir: str | None) -> Annotations:
        """Read the text file of each image.

        Args:
            image_dir: Folder of the images, or `None` for the one next to the text files.
        """
        self.counts = collections.Counter()
        sets = self.find_sets(self.path)
        if self.set_name not in sets:
            there = f" (sets there: {', '.join(sets)})" if sets else ""
            fix = suggest_parent_folder(self.path, ("images",), "check the path and the set's name")
            found = f"has no set {short_repr(self.set_name)}"
            raise DataError(str(self.path), found, self.summary, f"{fix}{there}")
        pair = sets[self.set_name]
        home = pair.images if image_dir is None else choose_image_folder(image_dir, self.set_name)
        if home is None:
            raise DataError(str(pair.texts), "has no folder images/ next to it", self.summary, NAME_FOLDER)
        is_shared = image_dir is not None and home == Path(image_dir) and len(sets) > 1
        files = pair_files(home, pair.texts, is_shared=is_shared)
        rows = BoxRows()
        for image, text in enumerate(files.texts):
            if text is not None:
                rows.add(image, self.read_boxes(text))
        notes = [f"{pair.texts}: {count} {what}" for what, count in self.counts.items() if count]
        return Annotations(
            listed_in=str(home),
            class_names=self.listed_classes or None,
            images=files.images,
            image_ids=list(files.names),
            boxes=rows,
            sources=[str(home), str(pair.texts), *(str(text) for text in files.texts if text is not None)],
            notes=[*files.notes, *notes],
            are_classes_listed=bool(self.listed_classes),
            describes_unused_images=True,
        )

    def read(self, *, image_dir: str | None = None) -> Annotations:
        """Read the split `set_name`."""
        return self.read_pairs(image_dir)
