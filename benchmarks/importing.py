"""CPU seconds and peak memory of importing a checkpoint, beyond a process that built the same network.

    taskset -c 1 python benchmarks/importing.py CHECKPOINT [CHECKPOINT …]
    taskset -c 1 python benchmarks/importing.py --reference FOLDER     # writes a detector on a ResNet-50 of each source

Each checkpoint is opened in two processes: one imports it, the other builds the network of its blueprint with random
weights. The differences are the cost of reading and copying; memory is also given as a multiple of the file's size.
"""

from __future__ import annotations

import argparse
import json
import pickle
import runpy
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
from timing import peak_memory

TESTS = Path(__file__).parents[1] / "tests" / "importers" / "conftest.py"


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
        peak = peak_memory()
        names = ("model", "class_names", "anchors", "resize", "filter", "backbone_options", "box_coder")
        settings_file.write_bytes(pickle.dumps({name: getattr(blueprint, name) for name in names}))
        return used, peak
    values = pickle.loads(settings_file.read_bytes())
    coder = BoxCoder(values["model"].box_coder, **values.pop("box_coder"), name="box_coder")
    start = time.process_time()
    build(values.pop("model"), **values, box_coder=coder)
    return time.process_time() - start, peak_memory()


def run(path: Path, kind: str) -> tuple[float, float]:
    """The same in a fresh process."""
    done = subprocess.run([sys.executable, __file__, kind, str(path)], capture_output=True, text=True, check=True)
    seconds, megabytes = json.loads(done.stdout.splitlines()[-1])
    return seconds, megabytes


def size_of(path: Path) -> float:
    """MB of a file, or of the files of a prefix or folder."""
    files = [path] if path.is_file() else [*path.parent.glob(f"{path.name}.*"), *path.rglob("*")]
    return sum(file.stat().st_size for file in files if file.is_file()) / 2**20


def write_sources(folder: Path, reference: Path) -> Iterator[Path]:
    """A detector of each source, from the names and shapes of the reference data; each is written when asked for."""
    files = SimpleNamespace(**runpy.run_path(str(TESTS)))
    arrays = files.reference_arrays(reference / "torchvision_v1")
    yield files.write_torch(folder / "torchvision.pth", arrays, {"epoch": 3})
    yield files.write_safetensors(folder / "torchvision.safetensors", arrays)
    yield files.write_pickle(folder / "detectron2.pkl", files.reference_arrays(reference / "detectron2_r50"))
    layers = json.loads((reference / "fizyr_resnet50" / "h5_layout.json").read_text())["weights_only"]["layers"]
    arrays = files.reference_arrays(reference / "fizyr_resnet50")
    yield files.write_h5(folder / "fizyr.h5", layers, arrays)
    del arrays
    yield write_keras_cv(folder / "keras_cv.weights.h5")
    for name, layout in (("tfod_ssd_resnet50_fpn", "checkpoint"), ("tfod_ssd_resnet50_fpn", "saved_model"),
                         ("tfmodels_retinanet_r50", "checkpoint")):  # fmt: skip
        place = folder / f"{name}_{layout}"
        files.write_tf_checkpoint(place, reference / name, layout)
        yield place
    yield shard(folder / "tfmodels_retinanet_r50_checkpoint", folder / "tfmodels_retinanet_r50_2_shards")


def write_keras_cv(path: Path) -> Path:
    """KerasCV's RetinaNet on a ResNet-50, 20 classes."""
    from keras_retinanet.importers.keras_hub import number_name, order_convolutions

    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:

        def add(name: str, *shape: int, has_bias: bool = True) -> None:
            file[f"{name}/vars/0"] = 0.01 * rng.standard_normal(shape, np.float32)
            if has_bias:
                file[f"{name}/vars/1"] = np.zeros(shape[-1:], np.float32)

        for index, (stage, block, number) in enumerate(order_convolutions("resnet50")):
            width = 64 if stage == 0 else 32 * 2 ** (stage - 1)
            before = 64 if (stage, block) == (2, 1) else (2 if block == 1 else 4) * width
            inputs = {0: 3 if stage == 0 else before, 1: before}.get(number, width)
            outputs = width if number in (1, 2) or stage == 0 else 4 * width
            size = 7 if stage == 0 else 3 if number == 2 else 1
            encoder = "layers/functional/layers/"
            add(f"{encoder}{number_name('conv2d', index)}", size, size, inputs, outputs, has_bias=False)
            for part in range(4):
                file[f"{encoder}{number_name('batch_normalization', index)}/vars/{part}"] = np.ones(outputs, np.float32)
        for level in (3, 4, 5):
            add(f"layers/feature_pyramid/conv_c{level}_1x1", 1, 1, 64 * 2**level, 256)
        for level in range(3, 8):
            add(f"layers/feature_pyramid/conv_c{level}_3x3", 3, 3, 2048 if level == 6 else 256, 256)
        for head, outputs in (("prediction_head", 36), ("prediction_head_1", 180)):
            for index in range(3):
                add(f"layers/{head}/conv_layers/{number_name('conv2d', index)}", 3, 3, 256, 256)
            add(f"layers/{head}/prediction_layer", 3, 3, 256, outputs)
    return path


def shard(source: Path, folder: Path) -> Path:
    """The same checkpoint of TensorFlow in two data files."""
    import tensorflow as tf

    from keras_retinanet.weight_files.tf_checkpoint import find_tf_checkpoint

    prefix = find_tf_checkpoint(source)
    reader: Any = tf.train.load_checkpoint(str(prefix))
    names = sorted(reader.get_variable_to_shape_map())
    folder.mkdir()
    parts = [str(folder / f"part{index}") for index in range(2)]
    for index, part in enumerate(parts):
        own = names[index::2]
        tensors = [tf.constant(reader.get_tensor(name)) for name in own]
        tf.raw_ops.SaveV2(prefix=part, tensor_names=own, shape_and_slices=[""] * len(own), tensors=tensors)
    tf.raw_ops.MergeV2Checkpoints(checkpoint_prefixes=parts, destination_prefix=str(folder / "ckpt-1"))
    (folder / "params.yaml").write_bytes((source / "params.yaml").read_bytes())
    return folder


def main() -> None:
    """Prints one row per checkpoint."""
    if len(sys.argv) == 3 and sys.argv[1] in ("import", "build"):
        print(json.dumps(measure(Path(sys.argv[2]), sys.argv[1])))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoints", nargs="*", type=Path)
    parser.add_argument("--reference", type=Path, help="folder of the reference data")
    options = parser.parse_args()
    print("| checkpoint | MB | import, CPU s | build, CPU s | difference | peak difference, MB | times the size |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        written = () if options.reference is None else write_sources(Path(folder), options.reference)
        for path in chain(options.checkpoints, written):
            print_row(path)


def print_row(path: Path) -> None:
    """Measures a checkpoint and prints its row."""
    imported, built = run(path, "import"), run(path, "build")
    seconds, memory, size = imported[0] - built[0], imported[1] - built[1], size_of(path)
    print(
        f"| {path.name} | {size:.0f} | {imported[0]:.2f} | {built[0]:.2f} | {seconds:.2f} | {memory:.0f} | "
        f"{memory / size:.2f} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
