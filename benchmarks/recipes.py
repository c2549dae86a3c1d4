"""Screens the ingredients of the recipe `modern`: each added to the candidate and taken out of it, in equal CPU time.

Every run is a process of its own and appends one JSON line to `OUT/results.jsonl`; runs that are there are not
repeated, so that the script may be stopped and started at any time. Variants within one AP of the candidate get a
second seed.

    python benchmarks/recipes.py OUT --data pascal:DATA --weights mobilenet.weights.h5 --backbone mobilenet --minutes 6
    python benchmarks/recipes.py OUT --table
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

EVALUATION = 25.0
"""CPU seconds set aside for the end of the process: the last snapshot and the evaluation."""

STEPS = 13
"""Steps of an "epoch": short ones, so that all variants come close to the same time."""

Changes = Mapping[str, Any]

ATSS: Changes = {"assigner.assigner": "atss"}
ONE_ANCHOR: Changes = {
    **ATSS, "anchors.ratios": (1.0,), "anchors.scales": (1.0,), "anchors.sizes": (40.0, 80.0, 160.0, 320.0, 640.0),
}  # fmt: skip
PAPER_ANCHORS: Changes = {"anchors.sizes": (32.0, 64.0, 128.0, 256.0, 512.0)}

VARIANTS: Mapping[str, Changes] = {
    "candidate": {},
    "rate 1e-3": {"optimizer.learning_rate": 1e-3},
    "rate 4e-3": {"optimizer.learning_rate": 4e-3},
    "adamw 1e-3": {"optimizer.optimizer": "adamw", "optimizer.learning_rate": 1e-3},
    "muon in the backbone": {"optimizer.use_muon_in_backbone": True},
    "float32": {"mixed_precision": "none"},
    "256 x 320": {"resize.min_side": 256, "resize.max_side": 320},
    "320 x 416": {"resize.min_side": 320, "resize.max_side": 416},
    "no ema": {"optimizer.ema_decay": 0.0},
    "flips only": {"data.augment": "flips"},
    "no mosaic": {"data.augment": "strong"},
    "backbone rate 1": {"optimizer.backbone_rate": 1.0},
    "atss, one anchor": ONE_ANCHOR,
    "width 64": {"model.fpn_width": 64, "model.head_width": 64},
    "384 x 512": {"resize.min_side": 384, "resize.max_side": 512},
    "frozen stages 2": {"freeze_stages": 2},
    "batch 2": {"batch_size": 2},
    "atss": ATSS,
    "no group norm": {"model.head_norm": "none"},
    "no giou": {"loss.box": "smooth_l1"},
    "paper's anchors": PAPER_ANCHORS,
    "depth 1": {"model.head_depth": 1},
    "paper, 320 x 416": {"recipe": "paper", "resize.min_side": 320, "resize.max_side": 416},
    "quality focal": {"loss.classification": "quality_focal"},
    "varifocal, atss": {**ATSS, "loss.classification": "varifocal"},
    "repeat 0.9": {"data.repeat_threshold": 0.9},
    "rate 8e-3": {"optimizer.learning_rate": 8e-3},
    "adamw 5e-4": {"optimizer.optimizer": "adamw", "optimizer.learning_rate": 5e-4},
    "sgd 0.01": {"optimizer.optimizer": "sgd", "optimizer.learning_rate": 0.01},
    "backbone rate 0.1": {"optimizer.backbone_rate": 0.1},
    "layer decay 0.7": {"optimizer.layer_decay": 0.7},
    "mosaic to the end": {"data.close_mosaic": 0},
    "flat cosine": {"optimizer.schedule": "flat_cosine"},
    "swa 4": {"optimizer.ema_decay": 0.0, "optimizer.swa_epochs": 4, "optimizer.schedule": "flat_cosine"},
    "unfreeze at 2": {"unfreeze_at": 2},
    "force match": {"assigner.use_force_match": True},
    "vertical flips too": {"data.augment": "mosaic,flips"},
    "copy-paste": {"data.augment": "copy_paste"},
    "large jitter": {"data.augment": "large_jitter"},
    "heavy": {"data.augment": "heavy"},
    "batch 8": {"batch_size": 8},
    "width 160": {"model.fpn_width": 160, "model.head_width": 160},
    "depth 4": {"model.head_depth": 4},
    "levels 3 to 6": {
        "model.max_level": 6,
        "anchors.sizes": (32.0, 64.0, 128.0, 256.0),
        "anchors.strides": (8, 16, 32, 64),
    },
    "levels 2 to 6": {"model.min_level": 2, "model.max_level": 6, "anchors.strides": (4, 8, 16, 32, 64)},
    "paper": {"recipe": "paper"},
    "paper, tuned": {
        "recipe": "paper",
        "optimizer.optimizer": "adamw",
        "optimizer.learning_rate": 1e-3,
        "optimizer.schedule": "cosine",
        "optimizer.backbone_rate": 0.1,
        "data.augment": "strong",
        "model.fpn_width": 96,
        "model.head_width": 96,
        "model.head_depth": 2,
    },
}
"""Name → changes of the candidate, which is the recipe `modern`."""


def settings_of(flags: argparse.Namespace, name: str, seed: int) -> dict[str, Any]:
    """The settings of a run; a recipe leaves them as they are."""
    dataset, _, path = flags.data.partition(":")
    return {
        "recipe": "modern", "data.dataset": dataset, "data.path": path, "model.backbone": flags.backbone,
        "model.weights": flags.weights, "data.use_cache": True, "snapshot_path": str(Path(flags.out) / "runs"),
        "use_evaluation": False, "seed": seed, "data.workers": 1, "steps": STEPS,
        "time": f"{flags.minutes * 60 - EVALUATION:g}s",
        **VARIANTS[name],
    }  # fmt: skip


def run_one(flags: argparse.Namespace, name: str, seed: int) -> dict[str, Any]:
    """Trains and measures one variant in this process."""
    from keras_retinanet.config import DataConfig, TrainConfig
    from keras_retinanet.config.tree import changed
    from keras_retinanet.data.open_dataset import match_classes, open_dataset
    from keras_retinanet.data.pipeline import InferenceBatches
    from keras_retinanet.evaluation import METRICS, detect_dataset
    from keras_retinanet.model.detection_model import DetectionModel
    from keras_retinanet.optimizers.averaging import averaged
    from keras_retinanet.training.fit import metric_settings
    from keras_retinanet.training.prepare import prepare

    values = settings_of(flags, name, seed)
    config = changed(TrainConfig(), values)
    training = prepare(config, chosen=frozenset(values), clock=time.process_time)
    started = time.process_time()
    training.fit()
    trained = time.process_time()
    model, data = training.model, DataConfig(values["data.dataset"], values["data.path"])
    opened = open_dataset(data, "val")
    samples = match_classes(list(opened), opened.class_names, model.class_names)
    batches = InferenceBatches(samples, resize=model.resize_config, pad_value=model.pad_value, batch_size=4)
    with averaged(model):
        found = detect_dataset(DetectionModel(model), batches, samples)
    result = METRICS["coco"](samples, found, model.class_names, metric_settings(model))
    by_class = dict(zip(result.class_names, map(float, result.per_class["AP50"]), strict=True))
    return {
        "name": name, "seed": seed, "changes": VARIANTS[name], "minutes": flags.minutes,
        "epochs": training.config.epochs, "steps": training.schedule.total_steps,
        "cpu_training": round(trained - started, 1), "cpu_all": round(time.process_time(), 1),
        **{number: round(float(value), 4) for number, value in result.stats.items()},
        "AP50_by_class": {each: round(value, 4) for each, value in by_class.items()},
        "run": training.run.folder.name,
    }  # fmt: skip


def results(out: Path) -> list[dict[str, Any]]:
    """The results so far."""
    path = out / "results.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def planned(flags: argparse.Namespace) -> tuple[str, int] | None:
    """The next run; `None` if all are done."""
    done = {(row["name"], row["seed"]): row.get("AP") for row in results(Path(flags.out))}
    names = flags.only or list(VARIANTS)
    for name in names:
        if (name, 0) not in done:
            return name, 0
    base = done.get(("candidate", 0))
    for name in ("candidate", *names):
        score = done.get((name, 0))
        if (name, 1) not in done and base is not None and score is not None and abs(score - base) < 0.01:
            return name, 1
    return None


def print_table(out: Path) -> None:
    """Prints the results, best first."""
    rows = results(out)
    for name in sorted({row["name"] for row in rows}, key=lambda name: -mean_ap(rows, name)):
        own = [row for row in rows if row["name"] == name]
        scores = " ".join(f"{row.get('AP', float('nan')):.3f}" for row in own)
        fifty = sum(row.get("AP50", 0.0) for row in own) / len(own)
        print(f"{mean_ap(rows, name):.3f}  {fifty:.3f}  {name:24s} seeds {scores}  {own[0].get('AP50_by_class', '')}")


def mean_ap(rows: list[dict[str, Any]], name: str) -> float:
    """Mean AP of a variant's seeds; 0 where it failed."""
    own = [row.get("AP", 0.0) for row in rows if row["name"] == name]
    return sum(own) / len(own)


def main() -> int:
    """Runs what is left, one process after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", help="folder of the results")
    parser.add_argument("--data", default="pascal:../shared/data/bccd", metavar="FORMAT:PATH")
    parser.add_argument("--weights", default="../shared/weights/mobilenet_1_0_imagenet_notop.weights.h5")
    parser.add_argument("--backbone", default="mobilenet")
    parser.add_argument("--minutes", type=float, default=6.0, help="CPU minutes of a run, start-up included")
    parser.add_argument("--only", action="append", choices=VARIANTS, help="only this variant; repeatable")
    parser.add_argument("--run", nargs=2, metavar=("NAME", "SEED"), help="one run in this process")
    parser.add_argument("--table", action="store_true", help="print the results so far, and stop")
    flags = parser.parse_args()
    out = Path(flags.out)
    out.mkdir(parents=True, exist_ok=True)
    if flags.table:
        print_table(out)
        return 0
    if flags.run:
        row = run_one(flags, flags.run[0], int(flags.run[1]))
        with (out / "results.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")
        return 0
    while (run := planned(flags)) is not None:
        name, seed = run
        with (out / "log.txt").open("a") as log:
            words = [sys.executable, __file__, *sys.argv[1:], "--run", name, str(seed)]
            status = subprocess.run(words, stdout=log, stderr=subprocess.STDOUT, check=False).returncode
        if status:
            with (out / "results.jsonl").open("a") as file:
                file.write(json.dumps({"name": name, "seed": seed, "failed": status}) + "\n")
        print(json.dumps(results(out)[-1]), flush=True)
    print_table(out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
