"""What `retinanet-train` prints at its end: snapshots, their metrics, and what to do next."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from keras_retinanet.cli.dataset_arguments import dataset_words
from keras_retinanet.cli.startup import command_line
from keras_retinanet.config import TrainConfig

if TYPE_CHECKING:
    from keras_retinanet.training.run_result import RunResult

PROGRAM = "retinanet-train"


def print_summary(result: RunResult, config: TrainConfig) -> None:
    """Prints the paths and metrics of the snapshots, and the next commands.

    Args:
        result: What the run has come to.
        config: Its settings.
    """
    print()
    folder = str(result.folder)
    if result.stopped_by is not None:
        if result.epochs < config.epochs:
            print(f"Stopped in epoch {result.epochs + 1} of {config.epochs}. Continue with:")
        else:
            print(f"All {config.epochs} epochs are trained; stopped before the last was measured. Measure it with:")
        print(f"  {command_line(PROGRAM, '--resume', folder)}")
        return
    print(f"Done: {result.epochs} epochs, loss {result.figures.get('loss', math.nan):.4g}.")
    print(f"  last  {result.folder / 'last.keras'}{_format_metrics(result.figures)}")
    if result.best:
        print(f"  best  {result.folder / 'best.keras'}{_format_metrics(result.best)}")
    else:
        print("  best  none, since no validation images were measured")
    pictures = [name for name in ("curves.png", "detections.jpg") if (result.folder / name).exists()]
    print(f"  pictures: {', '.join(str(result.folder / name) for name in pictures)}")
    if result.report is not None:
        print(f"  report    {result.report}")
    snapshot = result.folder / ("best.keras" if result.best else "last.keras")
    print("Next:")
    print(f"  {command_line('retinanet-evaluate', *dataset_words(config.data), str(snapshot))}")
    print(f"  {command_line(PROGRAM, '--resume', folder, '--epochs', str(2 * config.epochs))}")
    if config.data.dataset == "demo":
        print(f"  {command_line(PROGRAM, 'coco', 'PATH')}     # your own data; also yolo PATH and others, see --help")


def _format_metrics(row: Mapping[str, float]) -> str:
    """Formats the epoch and its metrics as a separate line."""
    from keras_retinanet.training.pictures import label_metrics

    found = [f"{label} {row[name]:.3f}" for name, label in label_metrics(row).items()]
    return f"\n        epoch {row['epoch']:.0f}: {', '.join(found)}" if found else ""
