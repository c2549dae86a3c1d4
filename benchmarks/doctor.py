"""How long does the doctor take for 1,000 images, and how much of that is decoding them with Pillow?

    python benchmarks/doctor.py FORMAT PATH

The peer is Pillow itself: open and decode every file in the same threads, nothing else.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from PIL import Image

from keras_retinanet.config import DataConfig, TrainConfig
from keras_retinanet.data.open_dataset import open_dataset
from keras_retinanet.doctor import Diagnosis, diagnose
from keras_retinanet.doctor.image_scan import scan_images


def timed(action: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    action()
    return time.perf_counter() - wall, time.process_time() - cpu


def decode(image: str) -> None:
    with Image.open(image) as opened:
        opened.load()


def main() -> None:
    data = DataConfig(sys.argv[1], sys.argv[2])  # type: ignore[arg-type]
    if data.dataset == "csv":
        data = DataConfig("csv", annotations=sys.argv[2])
    images = [sample["image"] for sample in open_dataset(data, "train")]
    with ThreadPoolExecutor((os.cpu_count() or 1) + 4) as threads:
        rows = {
            "Pillow decodes every pixel": timed(lambda: list(threads.map(decode, images))),
            "image scan": timed(lambda: scan_images(images)),
        }
    counts = dict.fromkeys(rows, len(images))
    found: list[Diagnosis] = []
    rows[whole := "all of the doctor"] = timed(lambda: found.append(diagnose(TrainConfig(data=data))))
    counts[whole] = sum(split.images for split in found[0].splits)
    print(f"{len(images)} training images, {counts[whole]} with those for validation; seconds for 1,000 images")
    for name, (wall, cpu) in rows.items():
        print(f"{name:34} wall {1000 * wall / counts[name]:7.2f}   CPU {1000 * cpu / counts[name]:7.2f}")


if __name__ == "__main__":
    main()
