"""Plots of a data set as PNG: classes, sizes, aspect ratios and positions of the boxes, and anchor coverage."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from keras_retinanet.anchor_coverage import AnchorCoverage, CoverageRow, NetworkBoxes

MAX_CLASSES = 40
"""Classes in the plots: the most frequent ones."""

HEAT_CELLS = 32
"""Cells along each side of the heat map."""

SPLIT_COLOURS = "#2f6f9f", "#9cc3dd"
"""Colours of the training and the validation split."""


def draw_plots(
    boxes: Mapping[str, NetworkBoxes], class_names: Mapping[str, Sequence[str]], coverage: Mapping[str, AnchorCoverage]
) -> Iterator[tuple[str, bytes]]:
    """Draws all plots.

    Args:
        boxes: The boxes of each split in network pixels.
        class_names: Names of the labels of each split.
        coverage: Coverage of each split.

    Yields:
        Title and PNG of each.
    """
    counts = {split: _count_by_name(found.labels, class_names[split]) for split, found in boxes.items()}
    images = {split: _count_images_by_name(found, class_names[split]) for split, found in boxes.items()}
    yield "Boxes of each class", _render_png(lambda axes: _draw_bars(axes, counts, "boxes"), _bar_height(counts))
    yield "Images with each class", _render_png(lambda axes: _draw_bars(axes, images, "images"), _bar_height(images))
    yield "Sizes of the boxes", _render_png(lambda axes: _draw_sizes(axes, boxes))
    yield "Aspect ratios of the boxes", _render_png(lambda axes: _draw_ratios(axes, boxes))
    yield "Positions of the boxes in their images", _render_png(lambda axes: _draw_positions(axes, boxes))
    for split, found in coverage.items():
        if found.all.boxes:
            title = f"Boxes with a positive anchor, by size ({split})"
            yield title, _render_png(lambda axes, rows=found.by_size: _draw_coverage(axes, rows))  # type: ignore[misc]


def _render_png(draw: Callable[[Any], None], height: float = 3.4) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # slow to import, and only needed here
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    draw(axes)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=100)
    return stream.getvalue()


def _count_by_name(labels: Any, names: Sequence[str]) -> dict[str, int]:
    return dict(zip(names, np.bincount(labels, minlength=len(names)).tolist(), strict=True))


def _count_images_by_name(found: NetworkBoxes, names: Sequence[str]) -> dict[str, int]:
    pairs = np.unique(np.stack([found.image, found.labels], axis=1), axis=0)
    return _count_by_name(pairs[:, 1], names)


def _most_frequent(counts: dict[str, dict[str, int]]) -> list[str]:
    """Names of the `MAX_CLASSES` most frequent classes of the first split."""
    first = next(iter(counts.values()))
    return sorted(first, key=lambda name: -first[name])[:MAX_CLASSES]


def _bar_height(counts: dict[str, dict[str, int]]) -> float:
    return 1.2 + 0.22 * max(len(_most_frequent(counts)), 4)


def _draw_bars(axes: Any, counts: dict[str, dict[str, int]], what: str) -> None:
    names = _most_frequent(counts)
    places, width = np.arange(len(names)), 0.8 / len(counts)
    for k, (split, found) in enumerate(counts.items()):
        values = [found.get(name, 0) for name in names]
        axes.barh(places + k * width, values, width, label=split, color=SPLIT_COLOURS[k % 2])
    axes.set_yticks(places + 0.4 - width / 2, names, fontsize=8, parse_math=False)
    axes.invert_yaxis()
    axes.set_xlabel(what if len(names) < MAX_CLASSES else f"{what} (the {MAX_CLASSES} most frequent classes)")
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, fontsize=8, frameon=False)  # clear of the bars


def _side_lengths(found: NetworkBoxes) -> Any:
    return np.maximum(found.boxes[:, 2:] - found.boxes[:, :2], 0.1)


def _draw_histograms(axes: Any, values: dict[str, Any], bins: Any) -> None:
    for k, (split, numbers) in enumerate(values.items()):
        weights = np.full(len(numbers), 1 / max(len(numbers), 1))
        axes.hist(
            numbers, bins, weights=weights, label=split, histtype="stepfilled", alpha=0.6, color=SPLIT_COLOURS[k % 2]
        )
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_ylabel("share of the boxes")
    axes.legend(loc="upper right")


def _draw_sizes(axes: Any, boxes: Mapping[str, NetworkBoxes]) -> None:
    values = {split: np.sqrt(np.prod(_side_lengths(found), axis=1)) for split, found in boxes.items()}
    _draw_histograms(axes, values, 2.0 ** np.arange(1, 11.01, 0.25))
    axes.set_xlabel("side (root of the area) in pixels after resizing")


def _draw_ratios(axes: Any, boxes: Mapping[str, NetworkBoxes]) -> None:
    values = {split: _side_lengths(found)[:, 1] / _side_lengths(found)[:, 0] for split, found in boxes.items()}
    _draw_histograms(axes, values, 2.0 ** np.arange(-4, 4.01, 0.2))
    axes.set_xlabel("height over width")


def count_covering_boxes(boxes: Mapping[str, NetworkBoxes]) -> Any:
    """Counts the boxes that cover each cell of a grid over their images.

    Args:
        boxes: The boxes of each split in network pixels.

    Returns:
        `(HEAT_CELLS, HEAT_CELLS)` float64, rows from top to bottom.
    """
    cells = np.zeros((HEAT_CELLS + 1, HEAT_CELLS + 1))
    for found in boxes.values():
        limits = found.sizes[found.image][:, [1, 0, 1, 0]]
        shares = np.clip(found.boxes / np.maximum(limits, 1), 0, 1)
        low = np.minimum(np.floor(shares[:, :2] * HEAT_CELLS).astype(int), HEAT_CELLS - 1)
        high = np.maximum(np.ceil(shares[:, 2:] * HEAT_CELLS).astype(int), low + 1)
        # Corners of a summed-area table: its cumulative sum fills all boxes at once.
        for sign, x, y in (
            (1, low[:, 0], low[:, 1]),
            (-1, high[:, 0], low[:, 1]),
            (-1, low[:, 0], high[:, 1]),
            (1, high[:, 0], high[:, 1]),
        ):
            np.add.at(cells, (y, x), sign)
    return cells.cumsum(axis=0).cumsum(axis=1)[:HEAT_CELLS, :HEAT_CELLS]


def _draw_positions(axes: Any, boxes: Mapping[str, NetworkBoxes]) -> None:
    shown = axes.imshow(count_covering_boxes(boxes), extent=(0, 1, 1, 0), cmap="viridis", aspect=0.75)
    axes.figure.colorbar(shown, ax=axes, label="boxes")
    axes.set(xlabel="share of the width", ylabel="share of the height")


def _draw_coverage(axes: Any, rows: Sequence[CoverageRow]) -> None:
    places = np.arange(len(rows))
    axes.bar(places, [100 * row.share for row in rows], color=SPLIT_COLOURS[0])
    for place, row in zip(places, rows, strict=True):
        axes.text(place, 100 * row.share, f"{row.boxes:,}", ha="center", va="bottom", fontsize=8)
    axes.set_xticks(places, [row.name for row in rows], fontsize=8, rotation=20)
    axes.set(ylabel="% of the boxes (their number above)", ylim=(0, 112))
