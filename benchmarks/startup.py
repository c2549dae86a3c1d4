"""How long does `retinanet-detect` of one image take besides its network, and how much memory? ResNet-50, 80 classes.

    python benchmarks/startup.py [--side 800] [--repeats 3] [--only ONNX OpenVINO] [--peer PYTHON] [--folder DIR]

Each artefact is written, then opened by the command in a process of its own, all in turn. From the start of the process
to its end, less the time of the network itself, measured by asking it a second time. The floor of a SavedModel is
`import tensorflow` and `tf.saved_model.load` alone. Memory is the peak of the process; its peer is the same network in
plain PyTorch with one image, in the Python of `--peer` (default: this one). What is not installed
is named and left out.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from export import ARTEFACTS, canvas, jpeg, write_all

HERE = Path(__file__).resolve().parent
NAMES = {
    "Keras snapshot": "Keras snapshot",
    "SavedModel": "SavedModel, folded",
    "SavedModel, bfloat16": "SavedModel, bfloat16",
    "ONNX": "ONNX Runtime",
    "OpenVINO": "OpenVINO",
    "OpenVINO, bfloat16": "OpenVINO, bfloat16",
    "LiteRT": "LiteRT",
}
"""Name here → name in `export.ARTEFACTS`."""
FLOOR = "import tensorflow, load"


def report(started: float, run: Callable[[], Any]) -> None:
    """Prints what a process took since it was started, and what its network takes once more."""
    import resource

    wall, cpu = time.monotonic() - started, time.process_time()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    times = []
    for _ in range(2):
        before = time.monotonic(), time.process_time()
        run()
        times.append((time.monotonic() - before[0], time.process_time() - before[1]))
    network = min(times)
    frameworks = sorted({"tensorflow", "keras", "torch"} & set(sys.modules))
    facts = {"wall": wall, "cpu": cpu, "peak": peak, "network": network[0], "network_cpu": network[1]}
    print(json.dumps(facts | {"loaded": frameworks}))


def watch_networks(model: str, note: Callable[[Callable[[], Any]], object]) -> None:
    """Calls `note` before each call of the network of a runtime, with a function that repeats it."""
    import keras_retinanet.runtimes.open_model
    from keras_retinanet.runtimes.runtime import Runtime

    if Path(model).suffix not in (".onnx", ".tflite") and not (Path(model) / "model.xml").exists():
        import keras_retinanet.runtimes.keras_file  # noqa: F401

    def remember(runtime: type[Runtime], name: str) -> None:
        answer = getattr(runtime, name)

        def call(self: Any, *arguments: Any) -> Any:
            note(lambda: answer(self, *arguments))
            return answer(self, *arguments)

        setattr(runtime, name, call)

    def watch(of: type[Runtime]) -> None:
        for runtime in of.__subclasses__():
            names = [name for name in ("run_for_detections", "run", "_detect_one") if name in vars(runtime)]
            if names and not getattr(runtime, "__abstractmethods__", None):
                remember(runtime, names[0])
            watch(runtime)

    watch(Runtime)


def detect(started: float, model: str, image: str, out: str) -> None:
    """`retinanet-detect`, as its command calls it."""
    from keras_retinanet.cli.detect import main

    calls: list[Callable[[], Any]] = []
    watch_networks(model, calls.append)
    assert main([model, image, "--out", out, "--score-threshold", "0.05"]) == 0
    report(started, calls[-1])


def load_alone(started: float, model: str) -> None:
    """The floor of a SavedModel."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(max(Path(model).iterdir())))
    report(started, lambda: loaded)


def run_peer(started: float, image: str, dtype: str) -> None:
    """The same network in plain PyTorch, channels last, one image."""
    import numpy as np
    import torch
    from PIL import Image
    from torch_retinanet import TorchRetinaNet, make_anchors
    from torch_retinanet import detect as find

    model = TorchRetinaNet(80).eval().to(memory_format=torch.channels_last)
    pixels = np.asarray(Image.open(image).convert("RGB"), np.float32)
    size = canvas(pixels.shape[:2])
    padded = np.zeros((*size, 3), np.float32)
    padded[: pixels.shape[0], : pixels.shape[1]] = pixels
    images, anchors = torch.from_numpy(padded)[None].permute(0, 3, 1, 2), make_anchors(*size)

    def run() -> None:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16"):
            deltas, logits = model(images)
            find(logits, deltas, anchors, *size)

    run()
    report(started, run)


def ask(python: str, *words: str) -> dict[str, Any] | None:
    """One process; `None` if it fails."""
    call = f"import sys; sys.path.insert(0, {str(HERE)!r}); import startup as s; s.{words[0]}"
    code = f"{call}({time.monotonic()!r}, *sys.argv[1:])"
    ran = subprocess.run([python, "-c", code, *words[1:]], capture_output=True, text=True, check=False, cwd=HERE.parent)
    if ran.returncode:
        print(f"  {words[:2]}: {ran.stderr.strip().splitlines()[-1:]}", flush=True)
        return None
    facts: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return facts


def print_rows(found: dict[str, list[dict[str, Any]]]) -> None:
    print(f"{'':28}{'process s':>10}{'network s':>10}{'besides s':>10}{'CPU besides s':>14}{'peak GiB':>9}  imports")
    for name, rows in found.items():
        if rows:
            wall, network, cpu, own_cpu = (
                statistics.median(row[key] for row in rows) for key in ("wall", "network", "cpu", "network_cpu")
            )
            peak = max(row["peak"] for row in rows)
            print(
                f"{name:28}{wall:10.2f}{network:10.2f}{wall - network:10.2f}{cpu - own_cpu:14.2f}{peak:9.2f}  "
                f"{' '.join(rows[0]['loaded'])}"
            )


def print_ratios(found: dict[str, list[dict[str, Any]]]) -> None:
    def least(name: str, key: str, own: str) -> float:
        return statistics.median(row[key] - row[own] for row in found[name])

    for name in ("SavedModel", "SavedModel, bfloat16"):
        if found.get(name) and found.get(FLOOR):
            wall, cpu = (
                least(name, *key) / least(FLOOR, *key) for key in (("wall", "network"), ("cpu", "network_cpu"))
            )
            print(f"{name}: {wall:.2f} of the wall time and {cpu:.2f} of the CPU time of {FLOOR!r}")
    for name, rows in found.items():
        peer = "PyTorch, bfloat16" if "bfloat16" in name else "PyTorch"
        if rows and found.get(peer) and name in NAMES:
            peaks = [max(row["peak"] for row in found[one]) for one in (name, peer)]
            print(f"{name}: {peaks[0] / peaks[1]:.2f} of the memory of {peer}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=800, help="shorter side in pixels; the longer is 5/3 of it")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=NAMES, default=list(NAMES))
    parser.add_argument("--peer", default=sys.executable, help="a Python with PyTorch")
    parser.add_argument("--folder", type=Path, help="keeps the artefacts; those that are there are not written again")
    options = parser.parse_args()
    size = (options.side, options.side * 5 // 3)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        image = folder / "image.jpg"
        image.write_bytes(jpeg(size))
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        places = {name: folder / ARTEFACTS[NAMES[name]][1] for name in options.only}
        write_all(folder, size, [NAMES[name] for name, place in places.items() if not place.exists()])
        found: dict[str, list[dict[str, Any]]] = {}
        for _ in range(options.repeats):
            jobs = {
                name: (sys.executable, "detect", str(place), str(image), str(folder / "out"))
                for name, place in places.items()
            }
            if "SavedModel" in places:
                jobs[FLOOR] = (sys.executable, "load_alone", str(places["SavedModel"]))
            for dtype in ("float32", "bfloat16"):
                name = "PyTorch" + ", bfloat16" * (dtype == "bfloat16")
                jobs[name] = (options.peer, "run_peer", str(image), dtype)
            for name, job in jobs.items():
                if found.get(name, True) and (facts := ask(*job)) is not None:
                    found.setdefault(name, []).append(facts)
                else:
                    found[name] = []
        print_rows(found)
        print_ratios(found)


if __name__ == "__main__":
    main()
