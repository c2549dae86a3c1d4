"""Does the memory of a training run stay flat: over 1,000 epochs of a tiny set, and over one epoch of 118,000 images?

    python benchmarks/host_memory.py epochs [--epochs 1000]
    python benchmarks/host_memory.py images [--images 118000]

`retinanet-train` runs in a process of its own, with a network of five convolutions on images of 64 x 64 pixels;
snapshots and curves of every epoch are included. `epochs` trains on four images, evaluates ten times, and shows the
resident memory after every tenth of the epochs; `images` trains one epoch on as many images as COCO has and shows it
after every tenth of the steps. Each is compared with its value after the first tenth, when everything has been traced
and allocated once. Exit status 1 where memory grew by more than a tenth of that.
"""

from __future__ import annotations

import argparse
import json
import os
import runpy
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from evaluation_scale import write_set

from keras_retinanet.demo import scenes

ROOT = Path(__file__).resolve().parents[1]
GROWTH, BATCH = 1.1, 16
FLAGS = [
    "--backbone", "mobilenet_025", "--weights", "none", "--max-level", "5", "--fpn-width", "8", "--head-width", "8",
    "--head-depth", "1", "--anchor-sizes", "16,32,64", "--anchor-strides", "8,16,32", "--image-square",
    "--image-min-side", "64", "--image-max-side", "64", "--augment", "flips", "--recipe", "paper",
    "--learning-rate", "0.001", "--report", "none",
]  # fmt: skip


def resident_mb() -> tuple[float, float]:
    """Resident memory of this process in MB: all of it, and the part that is not mapped from files."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    found = {name: int(value.split()[0]) for name, _, value in (line.partition(":") for line in lines) if "kB" in value}
    return found["VmRSS"] * 1024 / 1e6, found["RssAnon"] * 1024 / 1e6


def watch(every: int, unit: str) -> None:
    """Prints the memory after every so many steps or epochs of this process, as JSON."""
    from keras_retinanet.training.keep_snapshots import KeepSnapshot

    name = "on_train_batch_end" if unit == "step" else "on_epoch_end"
    former, start = getattr(KeepSnapshot, name), time.monotonic()

    def note(keep: Any, number: int, logs: Any = None) -> None:
        former(keep, number, logs)
        if (number + 1) % every == 0:
            total, own = resident_mb()
            line = {"number": number + 1, "seconds": time.monotonic() - start, "total": total, "own": own}
            print("memory", json.dumps(line), flush=True)

    setattr(KeepSnapshot, name, note)


def train(words: list[str]) -> int:
    """`retinanet-train` in this process, watched; the first two words say how often, and of what."""
    from keras_retinanet.backbones import BACKBONES
    from keras_retinanet.cli.train import main as run

    BACKBONES["mobilenet_025"] = runpy.run_path(str(ROOT / "tools/kill_test.py"))["five_convolutions"]
    watch(int(words[0]), words[1])
    return run(words[2:])


def command_of(options: argparse.Namespace, folder: Path) -> list[str]:
    """Writes the images; the words of the training."""
    if options.what == "epochs":
        scenes.write_dataset(folder / "scenes", num_train=4, num_val=2, seed=1)
        data, every = ["coco", str(folder / "scenes")], options.epochs // 10
        rest = ["--batch-size", "2", "--epochs", str(options.epochs), "--evaluate-every", str(every)]
        before = [str(every), "epoch"]
    else:
        write_set(folder, options.images, 80)
        data = ["coco", str(folder / "boxes.json"), "--image-dir", str(folder / "images")]
        rest = ["--batch-size", str(BATCH), "--epochs", "1"]
        before = [str(options.images // BATCH // 10), "step"]
    return [*before, *data, "--snapshot-path", str(folder / "runs"), *FLAGS, *rest]


def main() -> int:
    if sys.argv[1:2] == ["--side"]:
        return train(sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["epochs", "images"])
    parser.add_argument("--epochs", type=int, default=1000)
    parser.add_argument("--images", type=int, default=118_000)
    options = parser.parse_args()
    environment = {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "2", "MPLBACKEND": "Agg"} | os.environ
    found = []
    with tempfile.TemporaryDirectory() as name, open(f"{name}/log", "w", encoding="utf-8") as log:
        command = [sys.executable, __file__, "--side", *command_of(options, Path(name))]
        environment |= {"XDG_CACHE_HOME": f"{name}/cache"}
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=log, text=True) as side:
            for line in side.stdout or ():
                if line.startswith("memory"):
                    found.append(now := json.loads(line.removeprefix("memory")))
                    print(f"{options.what} {now['number']:>6}: {now['seconds']:6.0f} s, {now['total']:6.0f} MB, "
                          f"of which {now['own']:6.0f} MB not mapped from files", flush=True)  # fmt: skip
        if side.returncode:
            print(Path(name, "log").read_text(encoding="utf-8")[-3000:])
            return 1
    growth = max(one["total"] for one in found) / found[0]["total"]
    print(f"most, of what it was after the first tenth: {growth:.3f}")
    return int(growth > GROWTH)


if __name__ == "__main__":
    sys.exit(main())
