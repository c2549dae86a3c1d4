"""How long the loaders of Datumaro and supervision take for the data set that a reader indexes.

    python benchmarks/index_peers.py FORMAT PATH SET [--peers PYTHON …] [--rounds 3]

`FORMAT` is coco (`annotations/instances_<set>.json` and `images/<set>/`, which both peers read), pascal or yolo. Each
side runs in a process of its own, in turns, imports not counted. Datumaro and supervision need other versions of
packages than this project: `--peers` names the Python interpreters of their environments. A peer that none of them has
is named and left out. Both peers check little; the reader also reads the header of each image.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys

OURS = """
from keras_retinanet.data.datasets import DATASETS
def load(): return len(DATASETS[word](path, set_name))
"""
SUPERVISION = """
import supervision as sv
def load():
    if word == "coco":
        file = f"{path}/annotations/instances_{set_name}.json"
        found = sv.DetectionDataset.from_coco(f"{path}/images/{set_name}", file)
    elif word == "pascal":
        found = sv.DetectionDataset.from_pascal_voc(f"{path}/JPEGImages", f"{path}/Annotations")
    else:
        images, labels = (f"{path}/{folder}/{set_name}" for folder in ("images", "labels"))
        found = sv.DetectionDataset.from_yolo(images, labels, f"{path}/data.yaml")
    return len(found)
"""
DATUMARO = """
from datumaro.components.dataset import Dataset
def load():
    return len(Dataset.import_from(path, {"coco": "coco", "pascal": "voc", "yolo": "yolo"}[word]))  # lazy until then
"""
MEASURE = """
import time
wall, cpu = time.perf_counter(), time.process_time()
count = load()
print("RESULT", time.perf_counter() - wall, time.process_time() - cpu, count)
"""
SIDES = {"the reader": OURS, "supervision": SUPERVISION, "Datumaro": DATUMARO}
MODULES = {"supervision": "supervision", "Datumaro": "datumaro"}


def find_python(side: str, interpreters: list[str]) -> str | None:
    """The first interpreter that has the packages of a side."""
    if side not in MODULES:
        return sys.executable
    for python in interpreters:
        if subprocess.run([python, "-c", f"import {MODULES[side]}"], capture_output=True, check=False).returncode == 0:
            return python
    return None


def measure(python: str, side: str, words: list[str]) -> tuple[float, float, int]:
    """Wall and CPU seconds, and the number of images."""
    names = "".join(
        f"{name} = {json.dumps(value)}\n" for name, value in zip(("word", "path", "set_name"), words, strict=True)
    )
    done = subprocess.run([python, "-c", names + SIDES[side] + MEASURE], capture_output=True, text=True, check=False)
    line = next((line for line in done.stdout.splitlines() if line.startswith("RESULT")), None)
    if line is None:
        raise SystemExit(f"{side} failed: {done.stderr[-2000:]}")
    wall, cpu, count = line.split()[1:]
    return float(wall), float(cpu), int(count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs=3, metavar=("FORMAT", "PATH", "SET"))
    parser.add_argument("--peers", nargs="*", default=[sys.executable])
    parser.add_argument("--rounds", type=int, default=3)
    flags = parser.parse_args()
    pythons = {side: find_python(side, flags.peers) for side in SIDES}
    results: dict[str, list[tuple[float, float, int]]] = {side: [] for side, python in pythons.items() if python}
    for _ in range(flags.rounds):
        for side in results:
            results[side].append(measure(str(pythons[side]), side, flags.words))
    least = min(cpu for _, cpu, _ in results["the reader"])
    for side in SIDES:
        if side not in results:
            print(f"{side:12} not installed")
            continue
        wall, cpu, count = (min(values) for values in zip(*results[side], strict=True))
        print(f"{side:12} {wall:7.2f} s wall {cpu:7.2f} s CPU  {cpu / least:5.1f} times the CPU  {count} images")


if __name__ == "__main__":
    main()
