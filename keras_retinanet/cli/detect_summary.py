"""What `retinanet-detect` counts, and prints at its end."""

from __future__ import annotations

import collections
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keras_retinanet.schema import DetectedImage

SOME_UNREAD, INTERRUPTED = 1, 130
"""Exit statuses: images were left out; stopped by Ctrl-C."""
_NAMED = 8  # classes in the summary, and JPEGs that are cut off


@dataclass
class Tally:
    """Counts of a run.

    Attributes:
        images: Images that were read.
        unread: Images that could not be read.
        boxes: Class name → number of boxes.
        cut_off: JPEGs without their last bytes.
    """

    images: int = 0
    unread: int = 0
    boxes: collections.Counter[str] = field(default_factory=collections.Counter)
    cut_off: int = 0

    def add(self, found: DetectedImage) -> None:
        """Counts one image, and prints a line if it could not be read.

        Args:
            found: Detections of the image.
        """
        from tqdm import tqdm

        self.count(found)
        if found.error is not None:
            tqdm.write(f"left out  {' '.join(found.error.split())}", file=sys.stderr)
        if found.is_cut_off and self.cut_off <= _NAMED:
            what = "lacks its last bytes; it is decoded as far as it goes"
            tqdm.write(f"cut off   {found.image} {what}", file=sys.stderr)

    def count(self, found: DetectedImage) -> None:
        """Counts one image.

        Args:
            found: Detections of the image.
        """
        self.images += found.error is None
        self.unread += found.error is not None
        self.boxes.update(found.names)
        self.cut_off += found.is_cut_off


def summary(tally: Tally, written: Mapping[str, Sequence[Path]], *, is_whole: bool) -> str:
    """Formats the counts and the paths of the outputs.

    Args:
        tally: The counts.
        written: Kind of output → files or folders.
        is_whole: Whether the run reached its end.

    Returns:
        A few lines.
    """
    boxes = sum(tally.boxes.values())
    lines = [f"images    {tally.images}" + (f", {tally.unread} left out" if tally.unread else "")]
    lines[0] += f", {tally.cut_off} cut off" if tally.cut_off else ""
    lines[0] += "" if is_whole else ", stopped"
    named = ", ".join(f"{name} {count}" for name, count in tally.boxes.most_common(_NAMED))
    more = f" and {len(tally.boxes) - _NAMED} classes more" if len(tally.boxes) > _NAMED else ""
    lines.append(f"boxes     {boxes}" + (f": {named}{more}" if named else ""))
    if tally.images and not boxes:
        lines.append("hint      a lower --score-threshold shows what the model is less sure of")
    return "\n".join(lines + [f"{name:<8}  {', '.join(map(str, paths))}" for name, paths in written.items()])
