"""The pictures of a run: `curves.png` with losses and metrics, `detections.jpg` with example detections."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from keras_retinanet.config import ResizeConfig
from keras_retinanet.data.bad_images import BadImages
from keras_retinanet.data.sample_table import SampleTable
from keras_retinanet.drawing.visualize import contact_sheet, draw_annotations, draw_detections
from keras_retinanet.schema import Detections, Sample
from keras_retinanet.snapshots.atomic_files import write_whole
from keras_retinanet.snapshots.run_folder import column

LOSSES = {"loss": "total", "classification_loss": "classification", "box_loss": "box"}
"""Columns of `metrics.csv` in the left plot, with their labels."""

METRIC_PREFIX = "val_"
"""Columns of `metrics.csv` that start with this are in the right plot."""

NUM_EXAMPLES, SHEET_COLUMNS = 12, 4
"""Images in `detections.jpg`, and in each of its rows."""

MIN_SCORE = 0.3
"""Detections that score less are not drawn."""

_METRIC_LABELS = {"APs": "AP small", "APm": "AP medium", "APl": "AP large"}
_LABEL_GAP = 0.045  # least distance between labels, as a share of the height of the axes
_LABEL_ROOM = 0.42  # room for labels to the right of the last epoch, as a share of the epochs


def draw_curves(rows: Sequence[Mapping[str, str]], path: Path) -> None:
    """Plots losses (left) and validation metrics (right) over the epochs; each curve ends in its name and last value.

    Args:
        rows: Rows of `metrics.csv`; columns without a value are left out.
        path: The PNG file.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # slow to import, and only needed here
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    _plot_columns(left, "training loss", rows, LOSSES)
    _plot_columns(right, "validation metrics", rows, label_metrics(name for row in rows for name in row))
    write_whole(path, lambda temporary: figure.savefig(temporary, dpi=100))


def label_metrics(columns: Iterable[str]) -> dict[str, str]:
    """Picks the columns of `metrics.csv` that hold validation metrics.

    Args:
        columns: Names of columns.

    Returns:
        Column → label, such as `"val_APs"` → `"AP small"`.
    """
    names = {column: column.removeprefix(METRIC_PREFIX) for column in columns if column.startswith(METRIC_PREFIX)}
    return {column: _METRIC_LABELS.get(name, name) for column, name in names.items()}


def _plot_columns(axes: Any, title: str, rows: Sequence[Mapping[str, str]], columns: Mapping[str, str]) -> None:
    curves = {label: column(rows, name) for name, label in columns.items()}
    curves = {label: curve for label, curve in curves.items() if curve[0]}
    for label, (epochs, values) in curves.items():
        axes.plot(epochs, values, marker="o", markersize=4, label=label)
    axes.set(title=title, xlabel="epoch")
    axes.grid(alpha=0.3)
    if not curves:
        axes.text(0.5, 0.5, "nothing was measured", transform=axes.transAxes, ha="center", color="grey")
        return
    last = max(int(row["epoch"]) for row in rows)
    span = max(last - 1, 1)
    axes.set_xlim(1 - 0.05 * span, last + _LABEL_ROOM * span)  # the same epochs in both plots
    axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    axes.set_xticks([tick for tick in axes.get_xticks() if 1 <= tick <= last and tick == int(tick)])
    axes.set_ylim(*_limits([value for _, values in curves.values() for value in values]))
    _label_ends(axes, curves)


def _limits(values: Sequence[float]) -> tuple[float, float]:
    """Limits of the y axis: from 0 to a little above the largest finite value."""
    return 0.0, 1.1 * max([value for value in values if np.isfinite(value)] + [1e-6])


def _label_ends(axes: Any, curves: Mapping[str, tuple[list[int], list[float]]]) -> None:
    """Writes name and last value of each curve to the right of its last point; labels do not overlap."""
    low, high = axes.get_ylim()
    ends = [(epochs[-1], values[-1]) for epochs, values in curves.values()]
    heights = spread([(value - low) / (high - low) if np.isfinite(value) else 0.0 for _, value in ends], _LABEL_GAP)
    for label, (epoch, value), height, line in zip(curves, ends, heights, axes.lines, strict=True):
        axes.annotate(
            f"{label} {value:.3f}",
            (epoch, low + height * (high - low)),
            (8, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            color=line.get_color(),
        )


def spread(positions: Sequence[float], gap: float) -> list[float]:
    """Moves positions apart that are closer than a gap, as little as needed, keeping their order.

    Args:
        positions: Positions along an axis.
        gap: Least distance of two of them.

    Returns:
        The new positions, in the order given. Groups that were too close are centred on their mean.
    """
    order = sorted(range(len(positions)), key=lambda index: positions[index])
    groups: list[list[int]] = []
    centres: list[float] = []
    for index in order:
        groups.append([index])
        centres.append(positions[index])
        while len(groups) > 1 and centres[-1] - centres[-2] < gap * (len(groups[-1]) + len(groups[-2])) / 2:
            groups[-2:] = [groups[-2] + groups[-1]]
            centres[-2:] = [float(np.mean([positions[index] for index in groups[-1]]))]
    moved = list(positions)
    for group, centre in zip(groups, centres, strict=True):
        for place, index in enumerate(group):
            moved[index] = centre + gap * (place - (len(group) - 1) / 2)
    return moved


def draw_examples(
    samples: Sequence[Sample],
    found: Sequence[Detections],
    class_names: Sequence[str],
    resize: ResizeConfig,
    path: Path,
    bad_images: BadImages | None = None,
) -> None:
    """Draws the detections of the first images on one sheet, at the size of the network input.

    Args:
        samples: Images; the first `NUM_EXAMPLES` are drawn.
        found: The detections of each.
        class_names: Names of the labels.
        resize: The model's resize rule.
        path: The JPEG or PNG file.
        bad_images: Records images that cannot be decoded. Defaults to `None`: such an image is an error.
    """
    drawn = draw_found(samples[:NUM_EXAMPLES], found, class_names, resize, bad_images)
    sheet = contact_sheet(drawn, SHEET_COLUMNS)
    write_whole(path, lambda temporary: Image.fromarray(sheet).save(temporary))


def draw_found(
    samples: Sequence[Sample],
    found: Sequence[Detections],
    class_names: Sequence[str],
    resize: ResizeConfig,
    bad_images: BadImages | None = None,
) -> list[Any]:
    """Draws the detections of images, at the size of the network input.

    Args:
        samples: Images.
        found: The detections of each.
        class_names: Names of the labels.
        resize: The model's resize rule.
        bad_images: Records images that cannot be decoded. Defaults to `None`: such an image is an error.

    Returns:
        One `(H, W, 3)` uint8 per image.
    """
    table = SampleTable(samples, resize, bad_images)
    drawn = []
    for index in range(len(table)):
        detections, scale = found[index], np.asarray(table.scale(index))
        boxes, labels = detections["boxes"] * scale[[1, 0, 1, 0]], detections["labels"]
        image = np.asarray(table.load_image(index))
        drawn.append(
            draw_detections(image, boxes, labels, detections["scores"], class_names, score_threshold=MIN_SCORE)
        )
    return drawn


def draw_fed(batches: Iterable[Any], class_names: Sequence[str], count: int) -> list[Any]:
    """Draws images as the network gets them: augmented, with the boxes that moved along.

    Args:
        batches: Training batches, see `schema.Targets`.
        class_names: Names of the labels.
        count: Images.

    Returns:
        At most `count` of `(H, W, 3)` uint8, without padding.
    """
    drawn: list[Any] = []
    for images, targets in batches:
        rows = {name: np.asarray(values) for name, values in targets.items()}
        for row, image in enumerate(np.asarray(images)):
            height, width = rows["size"][row].astype(int)
            pixels = np.clip(np.round(image[:height, :width]), 0, 255).astype(np.uint8)
            is_box = rows["labels"][row] >= 0
            boxes, labels, ignore = (rows[name][row][is_box] for name in ("boxes", "labels", "ignore"))
            drawn.append(draw_annotations(pixels, boxes, labels, class_names, ignore=ignore.astype(bool)))
            if len(drawn) == count:
                return drawn
    return drawn
