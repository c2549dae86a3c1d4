"""Loss and AP of a run over its epochs, as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from keras_retinanet.snapshots.atomic_files import write_whole
from keras_retinanet.snapshots.run_folder import column

LOSSES = {"loss": "total", "classification_loss": "classification", "box_loss": "box"}
PRECISIONS = {"val_AP": "AP", "val_AP50": "AP50", "val_APs": "AP small", "val_APm": "AP medium", "val_APl": "AP large"}


def draw_curves(rows: Sequence[Mapping[str, str]], path: Path) -> None:
    """Draws the losses on the left and the AP on the right.

    Args:
        rows: Sequence. Rows of `metrics.csv`; columns that are missing are not drawn.
        path: Path. The PNG file.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # slow to import, and only needed here
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, title, columns in zip(
        figure.subplots(1, 2), ("training loss", "AP on the validation images"), (LOSSES, PRECISIONS), strict=True
    ):
        for name, label in columns.items():
            epochs, values = column(rows, name)
            if epochs:
                axes.plot(epochs, values, marker=".", label=label)
        axes.set(title=title, xlabel="epoch")
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend()
        axes.xaxis.get_major_locator().set_params(integer=True)
    write_whole(path, lambda temporary: figure.savefig(temporary, dpi=100))
