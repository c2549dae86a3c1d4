"""How many planted label errors are among the first entries of the list? Ours against hotcoco's and against chance.

    python benchmarks/label_errors.py OUT FORMAT PATH [--sets train,val] [--folds 2] [--tta 1,1.5,2] [training flags]
    python benchmarks/label_errors.py OUT FORMAT PATH --detections OUT/fold1.json --seeds 6

Changes 5 % of the boxes by seed: a third each gets another class, moves (IoU 0.3 to 0.6), or is removed. Trains one
detector per fold on the planted labels, without the fold, and detects in the fold; detections that OUT has are not
computed again. With `--seeds N`, further errors are planted in the images that are searched, and shares are means.
An error counts as found if an entry points at its box, or suggests a box at its true place (IoU 0.5).
"""

from __future__ import annotations

import argparse
import collections
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from keras_retinanet.analysis.label_errors import find_label_errors
from keras_retinanet.analysis.matches import match
from keras_retinanet.box_overlap import iou
from keras_retinanet.config import DataConfig
from keras_retinanet.data.open_dataset import open_dataset
from keras_retinanet.evaluation.report import coco_results
from keras_retinanet.evaluation.result_file import read_result_files

KINDS = ("renamed", "moved", "removed")
BIN = Path(__file__).resolve().parents[1] / "bin"


class Fault(NamedTuple):
    """A planted error: the box as it is annotated (nothing for a removed one), and where it should be."""

    kind: str
    image_id: int
    box: Any
    true_box: Any


class Entry(NamedTuple):
    """An entry of a list: the annotated box it doubts, if any, and the box it suggests."""

    image_id: int
    box: Any
    suggested_box: Any


def read_samples(dataset: str, path: str, sets: Sequence[str]) -> tuple[list[Any], tuple[str, ...]]:
    """All images of the sets, with ids from 1."""
    samples, names = [], ()
    for name in sets:
        data = open_dataset(DataConfig(dataset, path, train_set=name or None), "train")
        samples += [dict(sample) for sample in data]
        names = tuple(data.class_names)
    for image_id, sample in enumerate(samples, 1):
        sample["image_id"] = image_id
        sample.pop("areas", None)
    return samples, names


def plant(samples: Sequence[Any], num_classes: int, share: float, seed: int) -> tuple[list[Any], list[Fault]]:
    """Changes a share of the boxes, a third of them in each way."""
    rng = np.random.default_rng(seed)
    flags = [np.asarray(sample["ignore"], bool) for sample in samples]
    places = [(k, row) for k, ignore in enumerate(flags) for row in np.flatnonzero(~ignore)]
    count = round(share * len(places) / 3)
    chosen = [places[k] for k in rng.permutation(len(places))[: 3 * count]]
    planted = [
        {**sample, "boxes": np.array(sample["boxes"], np.float64), "labels": np.array(sample["labels"])}
        for sample in samples
    ]
    faults, gone = [], collections.defaultdict(list)
    for k, (image, row) in enumerate(chosen):
        sample, kind = planted[image], KINDS[k // count]
        true_box = sample["boxes"][row].copy()
        if kind == "renamed":
            sample["labels"][row] = (sample["labels"][row] + 1 + rng.integers(num_classes - 1)) % num_classes
        if kind == "moved":
            sample["boxes"][row] = move(true_box, sample["size"], rng)
        if kind == "removed":
            gone[image].append(row)
        box = None if kind == "removed" else sample["boxes"][row].copy()
        faults.append(Fault(kind, sample["image_id"], box, true_box))
    for image, rows in gone.items():
        for name in ("boxes", "labels", "ignore"):
            planted[image][name] = np.delete(planted[image][name], rows, axis=0)
    return planted, faults


def move(box: Any, size: tuple[int, int], rng: np.random.Generator) -> Any:
    """A box inside the image whose IoU with a box is 0.3 to 0.6."""
    side = box[2:] - box[:2]
    while True:
        shift, scale = rng.uniform(-0.6, 0.6, 2) * side, np.exp(rng.uniform(-0.5, 0.5, 2))
        center = (box[:2] + box[2:]) / 2 + shift
        new = np.concatenate([center - side * scale / 2, center + side * scale / 2])
        if new[:2].min() >= 0 and new[2] <= size[1] and new[3] <= size[0] and 0.3 <= iou(new, box) <= 0.6:
            return new


def to_coco(samples: Sequence[Any], class_names: Sequence[str]) -> dict[str, Any]:
    """The content of an annotation file."""
    images = [
        {"id": sample["image_id"], "file_name": str(Path(sample["image"]).resolve()),
         "height": int(sample["size"][0]), "width": int(sample["size"][1])} for sample in samples
    ]  # fmt: skip
    boxes = [
        {"image_id": sample["image_id"], "category_id": int(label) + 1, "iscrowd": int(ignore),
         "bbox": [*box[:2].tolist(), *(box[2:] - box[:2]).tolist()], "area": float((box[2:] - box[:2]).prod())}
        for sample in samples
        for box, label, ignore in zip(sample["boxes"], sample["labels"], sample["ignore"], strict=True)
    ]  # fmt: skip
    annotations = [{"id": k, **box} for k, box in enumerate(boxes, 1)]
    categories = [{"id": k, "name": name} for k, name in enumerate(class_names, 1)]
    return {"images": images, "annotations": annotations, "categories": categories}


def detect_in_folds(out: Path, num_folds: int, views: Sequence[str], flags: Sequence[str]) -> list[Path]:
    """Trains on all folds but one and detects in this one, for each that has no detections yet."""
    files = [out / f"fold{number}.json" for number in range(1, num_folds + 1)]
    for number, file in enumerate(files, 1):
        if file.exists():
            continue
        data = ["coco", str(out / "planted"), "--image-dir", "/", "--val-fold", f"{number}/{num_folds}"]
        runs = out / f"run{number}"
        train = [*data, "--no-evaluation", "--snapshot-path", str(runs), *flags]
        subprocess.run([sys.executable, BIN / "retinanet-train", *train], check=True)
        evaluate = [*data, str(max(runs.iterdir())), "--score-threshold", "0.02", *views]
        command = [sys.executable, BIN / "retinanet-evaluate", *evaluate, "--save-detections", str(file)]
        subprocess.run(command, check=True)
    return files


def list_of_hotcoco(samples: Sequence[Any], detections: Sequence[Any], class_names: Sequence[str]) -> list[Entry]:
    """Hotcoco's list, as it orders it."""
    import hotcoco

    ids = range(1, len(class_names) + 1)
    truth = hotcoco.COCO(to_coco(samples, class_names))
    found = truth.load_res(list(coco_results(detections, list(ids))))
    evaluator = hotcoco.COCOeval(truth, found, "bbox")
    evaluator.evaluate()
    evaluator.accumulate()
    boxes, suggested, entries = truth.anns, found.anns, []  # each access builds them
    for error in evaluator.image_diagnostics(0.5, 0.0)["label_errors"]:
        box = corners(boxes[error["gt_id"]]["bbox"]) if error.get("gt_id") is not None else None
        entries.append(Entry(error["image_id"], box, corners(suggested[error["dt_id"]]["bbox"])))
    return entries


def corners(box: Sequence[float]) -> Any:
    """`x, y, width, height` as corners."""
    return np.array([box[0], box[1], box[0] + box[2], box[1] + box[3]])


def is_hit(entry: Entry, fault: Fault) -> bool:
    """Whether an entry leads to a planted error."""
    if entry.box is not None and fault.box is not None and np.allclose(entry.box, fault.box, atol=1e-2):
        return True
    return fault.kind != "renamed" and bool(iou(np.asarray(entry.suggested_box), fault.true_box) >= 0.5)


def recall(entries: Sequence[Entry], faults: Sequence[Fault]) -> dict[str, float]:
    """Share of the planted errors that the first entries, twice as many, lead to."""
    listed = collections.defaultdict(list)
    for entry in entries[: 2 * len(faults)]:
        listed[entry.image_id].append(entry)
    is_found = np.array([any(is_hit(entry, fault) for entry in listed[fault.image_id]) for fault in faults])
    kinds = np.array([fault.kind for fault in faults])
    return {"all": is_found.mean()} | {kind: is_found[kinds == kind].mean() for kind in KINDS}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("dataset")
    parser.add_argument("path")
    parser.add_argument("--sets", default="", help="names of the sets, joined")
    parser.add_argument("--folds", type=int, default=2)
    parser.add_argument("--share", type=float, default=0.05)
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="plant with the seeds 0 … N-1")
    parser.add_argument("--tta", nargs="?", const="", help="detect in several views, as retinanet-evaluate --tta")
    parser.add_argument("--detections", type=Path, nargs="+", help="only the images of these result files; no training")
    flags, training = parser.parse_known_args()
    samples, class_names = read_samples(flags.dataset, flags.path, flags.sets.split(","))
    file = flags.out / "planted" / "annotations" / "instances_train.json"
    if not file.exists():
        planted, _ = plant(samples, len(class_names), flags.share, seed=0)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(to_coco(planted, class_names)))
    views = [] if flags.tta is None else ["--tta", *filter(None, [flags.tta])]
    files = flags.detections or detect_in_folds(flags.out, flags.folds, views, training)
    labels = {k + 1: k for k in range(len(class_names))}
    detections: list[Any] = read_result_files(files, [sample["image_id"] for sample in samples], labels)
    searched = {entry["image_id"] for entry in detections if len(entry["scores"])}
    samples = [sample for sample in samples if sample["image_id"] in searched]
    detections = [entry for entry in detections if entry["image_id"] in searched]
    rows = [measure(samples, detections, class_names, flags.share, seed) for seed in range(flags.seeds)]
    count = len(plant(samples, len(class_names), flags.share, seed=0)[1])
    print(f"{len(samples)} images, {count} errors planted; found by the first {2 * count} entries:")
    for name in ("ours", "hotcoco", "our entries shuffled"):
        shares = {kind: float(np.mean([row[name][kind] for row in rows])) for kind in ("all", *KINDS)}
        print(f"{name:22}" + "".join(f"{kind:>9} {share:.2f}" for kind, share in shares.items()))


def measure(
    samples: Sequence[Any], detections: Sequence[Any], class_names: Sequence[str], share: float, seed: int
) -> dict[str, dict[str, float]]:
    """Plants errors in the images that are searched, and counts what each list finds of them."""
    planted, faults = plant(samples, len(class_names), share, seed)
    errors = find_label_errors(match(planted, detections, class_names), most=10**6)
    ours = [Entry(int(error.image_id), error.box, error.suggested_box) for error in errors]
    rng = np.random.default_rng(0)
    shuffled = [recall([ours[k] for k in rng.permutation(len(ours))], faults) for _ in range(5)]
    return {
        "ours": recall(ours, faults),
        "hotcoco": recall(list_of_hotcoco(planted, detections, class_names), faults),
        "our entries shuffled": {name: float(np.mean([part[name] for part in shuffled])) for name in shuffled[0]},
    }


if __name__ == "__main__":
    main()
