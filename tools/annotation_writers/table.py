"""The table of docs/datasets.md: what real annotation packages write, and how it opens here.

Each package runs in an environment of its own and writes one small data set in each of its layouts. The folder is then
opened as a user would, by its path alone, and compared with the truth. Outside CI: it installs several gigabytes.

    python tools/annotation_writers/table.py                    # prints the table
    python tools/annotation_writers/table.py --write            # and replaces it in docs/datasets.md
    python tools/annotation_writers/table.py --environments DIR # keeps the environments for the next time
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from common import BOXES, SIZES
from PIL import Image

from keras_retinanet.config import DataConfig
from keras_retinanet.data.datasets import DATASETS
from keras_retinanet.data.open_dataset import has_validation, open_dataset
from keras_retinanet.data.recognition import recognise

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "datasets.md"
START, END = "<!-- writers: start -->\n", "<!-- writers: end -->\n"
ENVIRONMENTS = {
    "small": [
        "supervision==0.31.2", "labelformat==0.1.17", "label-studio-sdk==2.1.2", "globox==2.9.0", "pylabel==0.1.55",
        "sahi==0.12.8",
    ],
    "datumaro": ["datumaro==1.13.12"],
    "labelme": ["labelme==6.3.1"],
}  # fmt: skip
EXACT = 1e-3  # pixels


def write_source(folder: Path) -> Path:
    """Writes the images; random pixels, so that none is like another."""
    for number, (name, (width, height)) in enumerate(SIZES.items()):
        pixels = np.random.default_rng(number).integers(0, 256, (height, width, 3), np.uint8)
        folder.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(folder / name)
    return folder


def make_environment(folder: Path, packages: list[str]) -> Path:
    """Creates an environment with some packages, unless it is there.

    Returns:
        Its Python.
    """
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *packages], check=True)
        (folder / "ready").touch()
    return python


def run_writers(python: Path, script: str, source: Path, out: Path) -> list[dict[str, Any]]:
    """Runs the writers of one environment; each printed a row about itself."""
    command = [str(python), str(HERE / script), str(source), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    rows = [json.loads(line.removeprefix("ROW ")) for line in done.stdout.splitlines() if line.startswith("ROW ")]
    if done.returncode:
        print(done.stderr, file=sys.stderr)
    return rows


def compare(folder: str) -> str:
    """Opens a data set by its path alone and compares it with the truth.

    Returns:
        The format, and the largest difference or what is missing.
    """
    layout = recognise(folder, "retinanet-train")
    fields = dict(layout.settings) or {DATASETS[layout.format].arguments[0]: str(layout.path)}
    data = DataConfig(dataset=layout.format, use_index_cache=False, **fields)  # type: ignore[arg-type]
    splits = [open_dataset(data, "train"), *([open_dataset(data, "val")] if has_validation(data) else [])]
    found = {}
    for dataset in splits:
        for sample in dataset:
            name = next((name for name in SIZES if _is_name(name, sample)), None)
            if name is None:
                return f"`{layout.format}`: unknown image {sample['image']}"
            names = [dataset.class_names[label] for label in sample["labels"]]
            found[name] = sorted(zip(sample["boxes"].tolist(), names, strict=True))
    differences, problems = [0.0], []
    is_numbered = all(label.isdigit() for dataset in splits for label in dataset.class_names)
    for name, boxes in BOXES.items():
        truth = sorted((list(corners), label) for label, *corners in boxes)
        own = found.get(name)
        if own is None or len(own) != len(truth):
            problems.append(f"{name} is missing" if own is None else f"{name} has {len(own)} boxes")
            continue
        if not is_numbered and [label for _, label in own] != [label for _, label in truth]:
            problems.append(f"{name}: {[label for _, label in own]}")
        differences += [float(np.abs(np.subtract(a, b)).max()) for (a, _), (b, _) in zip(own, truth, strict=True)]
    problems += ["no class names: their numbers"] if is_numbered else []
    worst = max(differences)
    result = "exact" if worst < EXACT else f"within {worst:.2g} px"
    return f"`{layout.format}`: " + "; ".join([result, *problems])


def _is_name(name: str, sample: Any) -> bool:
    stem, wanted = Path(str(sample["image_id"])).stem, Path(name).stem
    file = Path(sample["image"].partition("#")[0]).stem
    return wanted in (stem, file) or file.startswith(f"{wanted}_")  # SAHI appends the corners of the slice


def table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Lines of the Markdown table."""
    yield "| written by | layout | opened by its path alone as |"
    yield "|---|---|---|"
    for row in rows:
        result = f"the writer fails: {row['error']}"[:160] if row["error"] else ""
        try:
            result = result or compare(row["folder"])
        except ValueError as error:
            result = f"refused: {error}".replace(row["folder"], "PATH").replace("|", "/")[:200]
        yield f"| {row['package']} {row['version']} | {row['layout']} | {result} |"


def main() -> int:
    """Runs everything; exit status 1 if a package could not be run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--environments", type=Path)
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        home = flags.environments or Path(temporary) / "environments"
        source, rows = write_source(Path(temporary) / "images"), []
        for name, packages in ENVIRONMENTS.items():
            python = make_environment(home / name, packages)
            own = run_writers(python, f"write_{name}.py", source, Path(temporary) / "out")
            if not own:
                print(f"{name}: wrote nothing", file=sys.stderr)
                return 1
            rows += own
        text = "\n".join(table(rows)) + "\n"
    print(text)
    if flags.write:
        page = PAGE.read_text("utf-8")
        before, _, rest = page.partition(START)
        PAGE.write_text(before + START + text + END + rest.partition(END)[2], "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
