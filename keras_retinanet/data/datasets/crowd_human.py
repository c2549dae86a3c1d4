"""CrowdHuman: one line of JSON for each image."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keras_retinanet.config import PersonBox
from keras_retinanet.data.datasets.shared.annotations import Annotations
from keras_retinanet.data.datasets.shared.json_lines import parse_object
from keras_retinanet.data.datasets.shared.list_reader import ListedImage, ListReader
from keras_retinanet.data.datasets.shared.listed_boxes import ListedBox, parse_boxes
from keras_retinanet.data.errors import DataError, short_repr

_KIND = "a line of odgt: {'ID': …, 'gtboxes': [{'tag': 'person', 'fbox': [x, y, w, h], …}]}"
_ATTRIBUTES = {"fbox": "extra", "vbox": "extra", "hbox": "head_attr"}


class CrowdHumanDataset(ListReader):
    """CrowdHuman: `annotation_<set>.odgt` and `Images/<ID>.jpg`.

    Boxes are those of whole persons, which may extend beyond the image, or with `person_box` those of the visible part
    (class `person`) or of the head (class `head`). Boxes with `extra.ignore` (heads: `head_attr.ignore`), and all with
    the tag `mask` (crowds, reflections), become ignore regions.

    Reference: https://www.crowdhuman.org/download.html; the toolkit treats ignored boxes and masks alike.

    Args:
        person_box: `"fbox"`, `"vbox"` or `"hbox"`. Defaults to `"fbox"`.
    """

    word = "crowdhuman"
    summary = "CrowdHuman: annotation_<set>.odgt, Images/; a folder or the file"
    suffixes = (".odgt",)
    tool = "CrowdHuman"

    def read(self, *, person_box: PersonBox = "fbox", image_dir: str | None = None) -> Annotations:
        """Read the file of a split."""
        self._kind = person_box
        return self.read_list(image_dir)

    @classmethod
    def is_list(cls, file: Path, start: bytes) -> bool:
        """Whether the first line has an ID and boxes."""
        del file
        return start.lstrip().startswith(b"{") and b'"ID"' in start and b'"gtboxes"' in start

    def image_folders(self, file: Path) -> list[Path]:
        """`Images` next to the file, as well as the usual places."""
        homes = (file.parent, file.parent / file.stem.replace("annotation_", "CrowdHuman_"))
        return [*(home / "Images" for home in homes), *super().image_folders(file)]

    def read_images(self, file: Path) -> Iterator[ListedImage]:
        """Yield the images of a file."""
        return self.read_json_lines(file, _KIND, self._parse_line)

    def _parse_line(self, line: tuple[str, str]) -> ListedImage:
        where, text = line
        content = parse_object(text, where, _KIND)
        image, boxes = content.get("ID"), content.get("gtboxes", [])
        if not isinstance(image, str) or not image or not isinstance(boxes, list):
            raise DataError(where, f"ID is {short_repr(image)}", _KIND, "download the file again")
        numbered = enumerate(boxes, start=1)
        return ListedImage([image], parse_boxes(self, self.counts, f"{where}, box", numbered, self._parse_box))

    def _parse_box(self, item: tuple[str, Any]) -> ListedBox | None:
        where, content = item
        if not isinstance(content, dict):
            raise DataError(where, f"is {short_repr(content)}", _KIND, "correct it")
        sides = content.get(self._kind)
        if sides is None or sides == []:
            self.counts[f"persons have no {self._kind} and are left out"] += 1
            return None
        try:
            x, y, width, height = (float(side) for side in sides)
        except (TypeError, ValueError, OverflowError):
            raise DataError(where, f"{self._kind} is {short_repr(sides)}", "[x, y, w, h]", "correct it") from None
        attributes = content.get(_ATTRIBUTES[self._kind])
        is_ignored = isinstance(attributes, dict) and attributes.get("ignore") not in (None, 0, False)
        name = "head" if self._kind == "hbox" else "person"
        is_mask = content.get("tag") != "person"
        return ListedBox((x, y, x + width, y + height), name, where, is_ignored or is_mask)
