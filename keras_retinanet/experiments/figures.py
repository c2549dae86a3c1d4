"""Figures 1 and 4 of the paper, and the scores with which two initialisations begin."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_retinanet.experiments.loss_samples import LossSamples, cumulative_loss

CURVE_GAMMAS = (0.0, 0.5, 1.0, 2.0, 5.0)
"""Exponents of figure 1."""
SAMPLE_GAMMAS = (0.0, 0.5, 1.0, 2.0)
"""Exponents of figure 4."""


def draw_loss_curves(path: Path) -> None:
    """Draws the focal loss by the probability of the true class, for several γ (figure 1).

    Args:
        path: PNG file.
    """

    def draw(axes: Sequence[Any]) -> None:
        p = np.linspace(1e-3, 1, 400)
        for gamma in CURVE_GAMMAS:
            axes[0].plot(p, (1 - p) ** gamma * -np.log(p), label=f"γ = {gamma:g}")
        axes[0].set(xlabel="probability of the true class", ylabel="loss", ylim=(0, 5), xlim=(0, 1))
        axes[0].legend(frameon=False)

    _save(draw, 1, path)


def draw_cumulative_losses(samples: LossSamples, path: Path) -> None:
    """Draws the cumulative loss over positives and over negatives, for several γ (figure 4).

    Args:
        samples: Signed logits of a model.
        path: PNG file.
    """

    def draw(axes: Sequence[Any]) -> None:
        for ax, (name, signed) in zip(axes, _kinds(samples).items(), strict=True):
            for gamma in SAMPLE_GAMMAS:
                ax.plot(*cumulative_loss(signed, gamma), label=f"γ = {gamma:g}")
            ax.set(xlabel=f"share of the {name}, easiest first", ylabel="share of their loss", xlim=(0, 1), ylim=(0, 1))
            ax.legend(frameon=False)

    _save(draw, 2, path)


def draw_first_scores(scores: Mapping[str, np.ndarray], path: Path) -> None:
    """Draws a histogram of the scores of new class heads.

    Args:
        scores: Name of the initialisation → scores in `0 … 1`.
        path: PNG file.
    """

    def draw(axes: Sequence[Any]) -> None:
        for ax, (name, values) in zip(axes, scores.items(), strict=True):
            ax.hist(values, bins=100, range=(0, 1), log=True)
            ax.set(xlabel="score of a new class head", ylabel="anchors × classes", title=name, xlim=(0, 1))

    _save(draw, len(scores), path)


def describe_samples(samples: LossSamples) -> dict[str, Any]:
    """The numbers of figure 4.

    Args:
        samples: Signed logits of a model.

    Returns:
        Of positives and negatives, their number and, by γ, the share of the loss that the hardest fifth and the
        hardest hundredth have.
    """
    found: dict[str, Any] = {}
    for name, signed in _kinds(samples).items():
        shares = {}
        for gamma in SAMPLE_GAMMAS:
            _, cumulative = cumulative_loss(signed, gamma, points=101)
            shares[f"{gamma:g}"] = {"hardest_20": 1 - cumulative[80], "hardest_1": 1 - cumulative[99]}
        found[name] = {"count": len(signed), "share_of_loss": shares}
    return found


def _kinds(samples: LossSamples) -> dict[str, np.ndarray]:
    return {"positives": samples.positives, "negatives": samples.negatives}


def _save(draw: Callable[[Sequence[Any]], None], columns: int, path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # slow to import, and only needed here
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.8 * columns, 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    draw(list(np.atleast_1d(figure.subplots(1, columns))))
    figure.savefig(path, format="png", dpi=90)
