"""The pictures of a run: values that can be read, labels that do not overlap."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from keras_retinanet.training.pictures import draw_curves, draw_fed, label_metrics, spread

ONE = {"epoch": "8", "loss": "1.25", "val_AP": "0.53", "val_AP50": "0.7", "val_APs": "0.531"}


@pytest.mark.parametrize(
    "rows", [[], [{"epoch": "1", "loss": "1.0"}], [{"epoch": "1", "loss": "1.0", "val_AP": "0.1"}, {"epoch": "2"}]]
)
def test_curves_are_a_picture_whatever_was_measured(rows: list[dict[str, str]], tmp_path: Path) -> None:
    draw_curves(rows, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_one_measurement_shows_its_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures: list[Figure] = []
    save = Figure.savefig

    def keep(figure: Figure, *arguments: object, **options: object) -> None:
        figures.append(figure)
        save(figure, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", keep)
    draw_curves([{"epoch": str(epoch), "loss": str(9 - epoch)} for epoch in range(1, 8)] + [ONE], tmp_path / "c.png")
    losses, metrics = figures[0].axes
    assert [text.get_text() for text in losses.texts] == ["total 1.250"]
    assert [text.get_text() for text in metrics.texts] == ["AP 0.530", "AP50 0.700", "AP small 0.531"]
    assert losses.get_xlim() == metrics.get_xlim()
    boxes = sorted(([text.get_window_extent() for text in metrics.texts]), key=lambda box: box.y0)
    assert all(below.y1 <= above.y0 + 1 for below, above in itertools.pairwise(boxes))
    inside = metrics.get_window_extent()
    assert all(isinstance(text, Text) and inside.x1 >= box.x1 for text, box in zip(metrics.texts, boxes, strict=True))


@pytest.mark.parametrize(
    ("positions", "expected"),
    [
        ([0.1, 0.9], [0.1, 0.9]),
        ([0.9, 0.1], [0.9, 0.1]),
        ([0.5, 0.5], [0.45, 0.55]),
        ([0.52, 0.5, 0.9], [0.56, 0.46, 0.9]),  # centred on 0.51
        (
            [0.5, 0.5, 0.58],
            [0.52 + 0.02 / 3 - 0.1, 0.52 + 0.02 / 3, 0.52 + 0.02 / 3 + 0.1],
        ),
    ],
)
def test_labels_are_moved_apart(positions: list[float], expected: list[float]) -> None:
    assert spread(positions, 0.1) == pytest.approx(expected)


def test_labels_of_metrics() -> None:
    columns = ["epoch", "loss", "val_AP", "val_APs", "val_exact"]
    assert label_metrics(columns) == {"val_AP": "AP", "val_APs": "AP small", "val_exact": "exact"}


def test_values_that_are_not_finite_do_not_break_the_axes(tmp_path: Path) -> None:
    draw_curves([{"epoch": "1", "loss": "nan", "val_AP": str(np.inf)}], tmp_path / "curves.png")
    assert (tmp_path / "curves.png").exists()


def test_what_is_fed_is_drawn_without_padding() -> None:
    """Two batches of two: boxes of the first image, and an ignore region; the third image is not asked for."""
    targets = {
        "boxes": np.array([[[1, 1, 15, 9], [0, 0, 0, 0]], [[2, 2, 8, 8], [0, 0, 0, 0]]], np.float32),
        "labels": np.array([[1, -1], [0, -1]]), "ignore": np.array([[0, 0], [1, 0]]),
        "size": np.array([[20, 30], [10, 12]], np.float32),
    }  # fmt: skip
    images = np.full((2, 32, 32, 3), 300.4, np.float32)
    images[1] = -3
    drawn = draw_fed([(images, targets)] * 2, ("cat", "dog"), 3)
    assert [image.shape for image in drawn] == [(20, 30, 3), (10, 12, 3), (20, 30, 3)]
    assert drawn[0].dtype == np.uint8
    assert (drawn[0][19, 29] == 255).all()
    assert (drawn[0][1, 10] != 255).any()
    assert (drawn[1][9, 11] == 0).all()
    assert len(draw_fed([(images, targets)], ("cat", "dog"), 3)) == 2
