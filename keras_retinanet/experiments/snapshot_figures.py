"""The figures of the paper from a snapshot and a data set."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from keras_retinanet.config import DataConfig
from keras_retinanet.data.open_dataset import has_validation, match_classes, open_dataset
from keras_retinanet.data.pipeline import TrainingBatches
from keras_retinanet.experiments.figures import (
    describe_samples,
    draw_cumulative_losses,
    draw_first_scores,
    draw_loss_curves,
)
from keras_retinanet.experiments.first_scores import PRIORS, first_scores
from keras_retinanet.experiments.loss_samples import sample_losses
from keras_retinanet.inference import load_model
from keras_retinanet.model.retinanet import RetinaNet
from keras_retinanet.schema import Sample
from keras_retinanet.snapshots.run_folder import find_snapshot

FIRST_IMAGES = 4
"""Images whose first scores are drawn."""


def draw_figures(
    snapshot: str | Path, data: DataConfig, out: str | Path, *, limit: int = 200, log: Callable[[str], object] = print
) -> None:
    """Draws `figure1.png`, `figure4.png` and, for a sigmoid head, `first_scores.png`; writes `figures.json`.

    Args:
        snapshot: A snapshot, or the folder of a run.
        data: Data with its classes; validation images where there are any.
        out: Folder of the files.
        limit: Maximum number of images. Defaults to 200.
        log: Receives one line per file. Defaults to `print`.

    Raises:
        ValueError: The snapshot is not one of a network, or the data do not fit it.
    """
    path = find_snapshot(Path(snapshot))
    model = load_model(path)
    if not isinstance(model, RetinaNet):
        raise ValueError(f"{path} holds no network for training; give a last.keras or best.keras of retinanet-train.")
    opened = open_dataset(data, "val" if has_validation(data) else "train")
    samples = match_classes(list(opened)[:limit], opened.class_names, model.class_names)
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    draw_loss_curves(folder / "figure1.png")
    found = sample_losses(model, samples)
    draw_cumulative_losses(found, folder / "figure4.png")
    numbers = {"snapshot": str(path), "images": len(samples), **describe_samples(found)}
    names = ["figure1.png", "figure4.png", "figures.json"]
    if not model.class_head.has_background:
        numbers["first_scores"] = _draw_first_scores(model, samples, folder / "first_scores.png")
        names.insert(2, "first_scores.png")
    (folder / "figures.json").write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")
    for name in names:
        log(f"written   {folder / name}")


def _draw_first_scores(model: RetinaNet, samples: Sequence[Sample], path: Path) -> dict[str, dict[str, float]]:
    """Draws the scores of new class heads, and returns their cross entropy per object."""
    batches = TrainingBatches(
        samples[:FIRST_IMAGES],
        resize=model.resize_config,
        pad_value=model.pad_value,
        batch_size=min(FIRST_IMAGES, len(samples)),
        seed=0,
        augmentations=(),
    )
    images, targets = next(iter(batches.dataset().take(1)))
    found = {name: first_scores(model, images, targets, prior) for name, prior in PRIORS.items()}
    draw_first_scores({name: each.scores for name, each in found.items()}, path)
    return {
        name: {"positives_per_object": each.positive_loss, "negatives_per_object": each.negative_loss}
        for name, each in found.items()
    }
