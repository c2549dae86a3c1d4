"""How long do SSD300's training step and inference take, beside torchvision's `ssd300_vgg16`? Two images, 21 classes.

    python benchmarks/ssd.py [--dtypes float32 bfloat16] [--steps 3] [--rounds 2] [--threads N] [--out FILE] [--compile]

Each library runs in a process of its own, in turns, all weights trained, with the same eight boxes per image; inference
is a batch of one with its filter. With `--out` each process adds a line to a file, and the same command continues where
it was stopped. `--compile` adds torchvision with its networks compiled by `torch.compile`, which takes minutes. Needs
torchvision, whose `nms` is replaced where its compiled operators do not load; the random weights leave few boxes above
a score of 0.2, so that suppression does not count.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

CLASSES, SIDE, BATCH = 21, 300, 2
WARM_UP = 2


def make_boxes() -> tuple[np.ndarray, np.ndarray]:
    """Boxes `(B, 8, 4)` in pixels and labels `(B, 8)` from 0."""
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 180, (BATCH, 8, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(20, 115, (BATCH, 8, 2))], axis=-1)
    return boxes.astype(np.float32), rng.integers(0, CLASSES - 1, (BATCH, 8)).astype(np.int32)


def make_images() -> np.ndarray:
    """`(B, 300, 300, 3)` of noise, 0–255."""
    return np.random.default_rng(1).uniform(0, 255, (BATCH, SIDE, SIDE, 3)).astype(np.float32)


def run_ours(dtype: str) -> dict[str, Callable[[], Any]]:
    """Step and inference of SSD300 with its own loss."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras
    import tensorflow as tf

    from keras_retinanet.config import LossConfig, ModelConfig
    from keras_retinanet.model.build import build
    from keras_retinanet.model.detection_model import DetectionModel

    keras.config.set_dtype_policy("float32" if dtype == "float32" else f"mixed_{dtype}")
    names = [f"class {k}" for k in range(CLASSES - 1)]
    model = build(ModelConfig(weights="none", architecture="ssd300_vgg16"), class_names=names,
                  loss=LossConfig("multibox", beta=1.0))  # fmt: skip
    model.compile(keras.optimizers.SGD(1e-5, momentum=0.9))
    images, (boxes, labels) = tf.constant(make_images()), make_boxes()
    targets = {
        "boxes": boxes, "labels": labels, "ignore": np.zeros(labels.shape, np.int32),
        "size": np.full((BATCH, 2), SIDE, np.float32), "image_index": np.arange(BATCH, dtype=np.int32),
    }  # fmt: skip
    targets = {name: tf.constant(value) for name, value in targets.items()}
    detect = tf.function(DetectionModel(model), autograph=False)
    return {
        "step": lambda: float(model.train_on_batch(images, targets, return_dict=True)["loss"]),
        "inference": lambda: detect(images[:1])["scores"].numpy(),
    }


def run_torchvision(dtype: str, compiles: bool = False) -> dict[str, Callable[[], Any]]:
    """The same of torchvision, channels last."""
    import torch

    _replace_operators(torch)
    from torchvision.models import detection

    model = detection.ssd300_vgg16(weights=None, weights_backbone=None, num_classes=CLASSES)
    model = model.to(memory_format=torch.channels_last)
    if compiles:
        model.backbone, model.head = torch.compile(model.backbone), torch.compile(model.head)
    optimizer = torch.optim.SGD(model.parameters(), 1e-5, momentum=0.9)
    images, (boxes, labels) = torch.from_numpy(make_images() / 255).permute(0, 3, 1, 2), make_boxes()
    targets = [
        {"boxes": torch.from_numpy(own), "labels": torch.from_numpy(which).long() + 1}
        for own, which in zip(boxes, labels, strict=True)
    ]
    half = torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16")

    def step() -> float:
        model.train()
        with half:
            loss = sum(model(list(images), targets).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    def infer() -> Any:
        model.eval()
        with torch.inference_mode(), half:
            return model(list(images[:1]))

    return {"step": step, "inference": infer}


def _replace_operators(torch: Any) -> None:
    """Greedy suppression in place of the operator, where it does not load."""
    try:
        import torchvision.ops
    except RuntimeError:
        sys.modules.pop("torchvision", None)
        library = torch.library.Library("torchvision", "DEF")
        _replace_operators.library = library  # it ends with its object
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            library.impl(name, lambda *given: given[1].argsort(descending=True)[:200], "CPU")
        for name in [name for name in sys.modules if name.startswith("torchvision")]:
            del sys.modules[name]
        import torchvision.extension
        import torchvision.ops.boxes

        torchvision.extension._assert_has_ops = torchvision.ops.boxes._assert_has_ops = lambda: None


def run_compiled(dtype: str) -> dict[str, Callable[[], Any]]:
    """The same with backbone and heads compiled."""
    return run_torchvision(dtype, compiles=True)


LIBRARIES = {"ours": run_ours, "torchvision": run_torchvision, "compiled": run_compiled}


def measure(library: str, dtype: str, steps: int) -> dict[str, float]:
    """Least seconds of each part in this process: wall time, and CPU time of all threads."""
    found = {}
    for name, run in LIBRARIES[library](dtype).items():
        for _ in range(WARM_UP):
            run()
        times = []
        for _ in range(steps):
            start = time.perf_counter(), time.process_time()
            run()
            times.append((time.perf_counter() - start[0], time.process_time() - start[1]))
        found[name], found[f"{name}, CPU time"] = (min(kind) for kind in zip(*times, strict=True))
    return found


def measure_apart(library: str, dtype: str, flags: argparse.Namespace) -> dict[str, float]:
    """`measure` in a process of its own."""
    python = flags.pythons[0 if library == "ours" else 1]
    words = [python, __file__, "--library", library, "--dtypes", dtype, "--steps", str(flags.steps)]
    quiet = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}  # waiting threads would spin, and count
    if flags.threads:
        names = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
        quiet |= dict.fromkeys(names, str(flags.threads))
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE, env=quiet)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def read_rows(path: Path | None) -> list[dict[str, Any]]:
    """The processes that are done, one per line of the file."""
    lines = path.read_text(encoding="utf-8").splitlines() if path and path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def print_best(rows: list[dict[str, Any]], dtype: str) -> None:
    """The best times of each library, and ratios to ours."""
    parts = ("step", "step, CPU time", "inference", "inference, CPU time")
    own = [row for row in rows if row["dtype"] == dtype]
    best = {
        library: {part: min(row[part] for row in own if row["library"] == library) for part in parts}
        for library in dict.fromkeys(row["library"] for row in own)
    }
    for part in parts:
        ours = best["ours"][part]
        for library, theirs in best.items():
            if library != "ours":
                times = f"ours {ours:.3f} s, {library} {theirs[part]:.3f} s"
                print(f"{dtype} {part}: {times}, ratio {ours / theirs[part]:.2f}", flush=True)


def main() -> None:
    """Runs the libraries in turns and prints the best times and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"], choices=("float32", "bfloat16"))
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, help="of each process (default: one per core)")
    parser.add_argument("--compile", action="store_true", help="also with torch.compile")
    parser.add_argument("--out", type=Path, metavar="FILE", help="add each result to this file, and continue from it")
    parser.add_argument("--pythons", nargs=2, default=[sys.executable] * 2, help="interpreters of the two libraries")
    parser.add_argument("--library", choices=tuple(LIBRARIES), help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.library:
        print(json.dumps(measure(flags.library, flags.dtypes[0], flags.steps)))
        return
    libraries = [library for library in LIBRARIES if flags.compile or library != "compiled"]
    rows = read_rows(flags.out)
    for dtype in flags.dtypes:
        for number in range(flags.rounds):
            for library in libraries:
                place = {"library": library, "dtype": dtype, "round": number, "threads": flags.threads}
                if any(place.items() <= row.items() for row in rows):
                    continue
                rows.append(place | measure_apart(library, dtype, flags))
                if flags.out:
                    with flags.out.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(rows[-1]) + "\n")
        print_best(rows, dtype)


if __name__ == "__main__":
    main()
