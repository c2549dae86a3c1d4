"""CPU seconds and peak memory of importing a checkpoint, beyond a process that built the same network.

    taskset -c 1 python benchmarks/importing.py CHECKPOINT [CHECKPOINT …]

Each checkpoint is opened in two processes: one imports it, the other builds the network of its blueprint with random
weights. The differences are the cost of reading and copying; memory is also given as a multiple of the file's size.
"""

from __future__ import annotations

import argparse
import json
import pickle
import resource
import subprocess
import sys
import time
from pathlib import Path


def measure(path: Path, kind: str) -> tuple[float, float]:
    """CPU seconds after the imports, and peak memory in MB, of this process, for `import` or `build`."""
    from keras_retinanet import importers
    from keras_retinanet.geometry.box_coder import BoxCoder
    from keras_retinanet.model.build import build

    settings_file = path.with_name(f".{path.name}.settings.pickle")
    if kind == "import":
        start = time.process_time()
        _, _, blueprint = importers.import_checkpoint(path)
        used = time.process_time() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        names = ("model", "class_names", "anchors", "resize", "filter", "backbone_options", "box_coder")
        settings_file.write_bytes(pickle.dumps({name: getattr(blueprint, name) for name in names}))
        return used, peak
    values = pickle.loads(settings_file.read_bytes())
    coder = BoxCoder(values["model"].box_coder, **values.pop("box_coder"), name="box_coder")
    start = time.process_time()
    build(values.pop("model"), **values, box_coder=coder)
    return time.process_time() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run(path: Path, kind: str) -> tuple[float, float]:
    """The same in a fresh process."""
    done = subprocess.run([sys.executable, __file__, kind, str(path)], capture_output=True, text=True, check=True)
    seconds, megabytes = json.loads(done.stdout.splitlines()[-1])
    return seconds, megabytes


def size_of(path: Path) -> float:
    """MB of a file, or of the files of a prefix or folder."""
    files = [path] if path.is_file() else [*path.parent.glob(f"{path.name}.*"), *path.rglob("*")]
    return sum(file.stat().st_size for file in files if file.is_file()) / 2**20


def main() -> None:
    """Prints one row per checkpoint."""
    if len(sys.argv) == 3 and sys.argv[1] in ("import", "build"):
        print(json.dumps(measure(Path(sys.argv[2]), sys.argv[1])))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoints", nargs="+", type=Path)
    print("| checkpoint | MB | import, CPU s | build, CPU s | difference | peak difference, MB | times the size |")
    print("|---|---|---|---|---|---|---|")
    for path in parser.parse_args().checkpoints:
        imported, built = run(path, "import"), run(path, "build")
        seconds, memory, size = imported[0] - built[0], imported[1] - built[1], size_of(path)
        print(
            f"| {path.name} | {size:.0f} | {imported[0]:.2f} | {built[0]:.2f} | {seconds:.2f} | {memory:.0f} | "
            f"{memory / size:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
