"""`retinanet-evaluate --label-errors`: annotations that look wrong, written and summarised."""

from __future__ import annotations

import collections
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keras_retinanet.schema import Detections, Sample

_NAMES = {"missing": "missing", "wrong_class": "of a wrong class", "misplaced": "misplaced"}


def check_label_error_files(paths: Sequence[str]) -> None:
    """Checks the names before anything is computed.

    Args:
        paths: Values of the flag.

    Raises:
        ValueError: The end of a name is none that decides a format.
    """
    from keras_retinanet.analysis.label_error_files import WRITERS

    for path in paths:
        if not Path(path).name.lower().endswith(tuple(WRITERS)):
            raise ValueError(f"--label-errors {path}: the name must end with one of {', '.join(WRITERS)}")


def list_label_errors(
    paths: Sequence[str],
    samples: Sequence[Sample],
    detections: Sequence[Detections],
    class_names: Sequence[str],
    category_ids: Sequence[int],
) -> None:
    """Finds label errors, writes them and prints how many there are.

    Args:
        paths: The files; nothing happens without one.
        samples: Annotated images.
        detections: Detections of models that were not trained on them.
        class_names: Names of the labels.
        category_ids: COCO's id of each label.
    """
    if not paths:
        return
    from keras_retinanet.analysis.label_error_files import LabelReview, write_label_errors
    from keras_retinanet.analysis.label_errors import find_label_errors
    from keras_retinanet.analysis.matches import match

    errors = find_label_errors(match(samples, detections, class_names))
    for path in paths:
        write_label_errors(path, LabelReview(errors, samples, class_names, category_ids))
    likely = [error for error in errors if error.rank >= 0.5]
    counts: collections.Counter[str] = collections.Counter(error.kind for error in likely)
    kinds = ", ".join(f"{counts[kind]} {name}" for kind, name in _NAMES.items())
    print(f"\nlabels    {len(likely)} boxes look wrong with rank 0.5 or more: {kinds}")
    print(f"          {len(errors)} suggestions, most likely first: {', '.join(paths)}")
    print("          only sound for images that the model was not trained on (--val-fold)")
