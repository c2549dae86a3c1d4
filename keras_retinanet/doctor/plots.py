"""Plots of a data set as PNG: classes, sizes, shapes and places of the boxes, and coverage."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from keras_retinanet.doctor.anchor_fit import NetworkBoxes
from keras_retinanet.doctor.coverage import AnchorCoverage, Row

MOST_CLASSES = 40
"""Classes drawn, the most frequent ones."""

GRID = 32
"""Cells of the heat map along each side."""

INK, SOFT = "#2f6f9f", "#9cc3dd"


def draw_plots(
    boxes: Mapping[str, NetworkBoxes], class_names: Mapping[str, Sequence[str]], coverage: Mapping[str, AnchorCoverage]
) -> Iterator[tuple[str, bytes]]:
    """All plots.

    Args:
        boxes: The boxes of each split, as the network gets them.
        class_names: Names of the labels of each split.
        coverage: Coverage of each split.

    Yields:
        Title and PNG of each.
    """
    counts = {split: _by_name(found.labels, class_names[split]) for split, found in boxes.items()}
    images = {split: _images_by_name(found, class_names[split]) for split, found in boxes.items()}
    yield "Boxes of each class", _picture(lambda axes: _bars(axes, counts, "boxes"), _bar_height(counts))
    yield "Images that show each class", _picture(lambda axes: _bars(axes, images, "images"), _bar_height(images))
    yield "Sizes of the boxes", _picture(lambda axes: _sizes(axes, boxes))
    yield "Aspect ratios of the boxes", _picture(lambda axes: _ratios(axes, boxes))
    yield "Where the boxes lie in their images", _picture(lambda axes: _places(axes, boxes))
    for split, found in coverage.items():
        if found.all.boxes:
            title = f"Boxes that train an anchor, by size ({split})"
            yield title, _picture(lambda axes, rows=found.by_size: _coverage(axes, rows))  # type: ignore[misc]


def _picture(draw: Callable[[Any], None], height: float = 3.4) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # slow to import, and only needed here
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    draw(axes)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=100)
    return stream.getvalue()


def _by_name(labels: Any, names: Sequence[str]) -> dict[str, int]:
    return dict(zip(names, np.bincount(labels, minlength=len(names)).tolist(), strict=True))


def _images_by_name(found: NetworkBoxes, names: Sequence[str]) -> dict[str, int]:
    pairs = np.unique(np.stack([found.image, found.labels], axis=1), axis=0)
    return _by_name(pairs[:, 1], names)


def _shown(counts: dict[str, dict[str, int]]) -> list[str]:
    """Names of the classes that are drawn."""
    first = next(iter(counts.values()))
    return sorted(first, key=lambda name: -first[name])[:MOST_CLASSES]


def _bar_height(counts: dict[str, dict[str, int]]) -> float:
    return 1.2 + 0.22 * max(len(_shown(counts)), 4)


def _bars(axes: Any, counts: dict[str, dict[str, int]], what: str) -> None:
    names = _shown(counts)
    places, width = np.arange(len(names)), 0.8 / len(counts)
    for k, (split, found) in enumerate(counts.items()):
        values = [found.get(name, 0) for name in names]
        axes.barh(places + k * width, values, width, label=split, color=(INK, SOFT)[k % 2])
    axes.set_yticks(places + 0.4 - width / 2, names, fontsize=8, parse_math=False)
    axes.invert_yaxis()
    axes.set_xlabel(what if len(names) < MOST_CLASSES else f"{what} (the {MOST_CLASSES} most frequent classes)")
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, fontsize=8, frameon=False)  # clear of the bars


def _sides(found: NetworkBoxes) -> Any:
    return np.maximum(found.boxes[:, 2:] - found.boxes[:, :2], 0.1)


def _histograms(axes: Any, values: dict[str, Any], bins: Any) -> None:
    for k, (split, numbers) in enumerate(values.items()):
        weights = np.full(len(numbers), 1 / max(len(numbers), 1))
        axes.hist(
            numbers, bins, weights=weights, label=split, histtype="stepfilled", alpha=0.6, color=(INK, SOFT)[k % 2]
        )
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_ylabel("share of the boxes")
    axes.legend(loc="upper right")


def _sizes(axes: Any, boxes: Mapping[str, NetworkBoxes]) -> None:
    values = {split: np.sqrt(np.prod(_sides(found), axis=1)) for split, found in boxes.items()}
    _histograms(axes, values, 2.0 ** np.arange(1, 11.01, 0.25))
    axes.set_xlabel("side (root of the area) in pixels after resizing")


def _ratios(axes: Any, boxes: Mapping[str, NetworkBoxes]) -> None:
    values = {split: _sides(found)[:, 1] / _sides(found)[:, 0] for split, found in boxes.items()}
    _histograms(axes, values, 2.0 ** np.arange(-4, 4.01, 0.2))
    axes.set_xlabel("height over width")


def heat(boxes: Mapping[str, NetworkBoxes]) -> Any:
    """How many boxes cover each cell of a grid over their images, `(GRID, GRID)`."""
    cells = np.zeros((GRID + 1, GRID + 1))
    for found in boxes.values():
        limits = found.sizes[found.image][:, [1, 0, 1, 0]]
        shares = np.clip(found.boxes / np.maximum(limits, 1), 0, 1)
        low = np.minimum(np.floor(shares[:, :2] * GRID).astype(int), GRID - 1)
        high = np.maximum(np.ceil(shares[:, 2:] * GRID).astype(int), low + 1)
        # Corners of a summed-area table: adding it up fills all boxes at once.
        for sign, x, y in (
            (1, low[:, 0], low[:, 1]),
            (-1, high[:, 0], low[:, 1]),
            (-1, low[:, 0], high[:, 1]),
            (1, high[:, 0], high[:, 1]),
        ):
            np.add.at(cells, (y, x), sign)
    return cells.cumsum(axis=0).cumsum(axis=1)[:GRID, :GRID]


def _places(axes: Any, boxes: Mapping[str, NetworkBoxes]) -> None:
    shown = axes.imshow(heat(boxes), extent=(0, 1, 1, 0), cmap="viridis", aspect=0.75)
    axes.figure.colorbar(shown, ax=axes, label="boxes")
    axes.set(xlabel="share of the width", ylabel="share of the height")


def _coverage(axes: Any, rows: Sequence[Row]) -> None:
    places = np.arange(len(rows))
    axes.bar(places, [100 * row.share for row in rows], color=INK)
    for place, row in zip(places, rows, strict=True):
        axes.text(place, 100 * row.share, f"{row.boxes:,}", ha="center", va="bottom", fontsize=8)
    axes.set_xticks(places, [row.name for row in rows], fontsize=8, rotation=20)
    axes.set(ylabel="% of the boxes (their number above)", ylim=(0, 112))
