"""How long from a JPEG file to its boxes, artefact by artefact? ResNet-50, 80 classes, 800 x 1333 pixels, two cores.

    python benchmarks/export.py [--side 256] [--repeats 3] [--cores 2] [--only onnx openvino]

Each is written, then opened and timed in a process of its own, all in turn: the snapshot in Keras, SavedModels (plain,
folded, bfloat16), ONNX Runtime (float32, int8), OpenVINO (float32, bfloat16, int8), LiteRT (float32, int8), and two
peers that are no artefacts: keras-hub's RetinaNet and one in plain PyTorch, in both precisions; `--compile` adds the
peers under XLA and `torch.compile`, which take minutes to get ready. Decoding and padding are part of every time. Then
post-processing alone: 25,353 anchors of 80 classes, two million scores, to 300 boxes. What is not installed is named
and left out.
"""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from inference import K, make_images, run_keras_hub, run_torch
from models import make_ours, spread_logits
from PIL import Image
from timing import Run, Timing, interleave_processes, print_table

ARTEFACTS = {
    "Keras snapshot": ("keras", "snapshot.keras", {}),
    "SavedModel": ("saved_model", "plain", {"fold_batch_norm": False}),
    "SavedModel, folded": ("saved_model", "folded", {}),
    "SavedModel, Winograd": ("saved_model", "winograd", {"winograd": "auto"}),
    "SavedModel, bfloat16": ("saved_model", "small", {"dtype": "bfloat16"}),
    "ONNX Runtime": ("onnx", "model.onnx", {}),
    "ONNX Runtime, int8": ("onnx", "small.onnx", {"dtype": "int8"}),
    "OpenVINO": ("openvino", "openvino", {}),
    "OpenVINO, bfloat16": ("openvino", "openvino_small", {"dtype": "bfloat16"}),
    "OpenVINO, int8": ("openvino", "openvino_int8", {"dtype": "int8"}),
    "LiteRT": ("litert", "model.tflite", {}),
    "LiteRT, int8": ("litert", "small.tflite", {"dtype": "int8"}),
}
"""Name → format, place, settings."""
PEERS = {
    "keras-hub": (run_keras_hub, "float32", {}),
    "keras-hub, bfloat16": (run_keras_hub, "bfloat16", {}),
    "PyTorch": (run_torch, "float32", {}),
    "PyTorch, bfloat16": (run_torch, "bfloat16", {}),
}
COMPILED_PEERS = {
    "keras-hub, XLA": (run_keras_hub, "float32", {"jit": True}),
    "keras-hub, XLA, bfloat16": (run_keras_hub, "bfloat16", {"jit": True}),
    "PyTorch, compiled": (run_torch, "float32", {"compiles": True}),
    "PyTorch, compiled, bfloat16": (run_torch, "bfloat16", {"compiles": True}),
}
"""Name → maker, dtype, settings."""
POST_SIZE = (384, 352)
"""Pixels of the image that has two million scores."""


def jpeg(size: tuple[int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(make_images(size)[0].astype("uint8")).save(buffer, "jpeg", quality=90)
    return buffer.getvalue()


def canvas(size: tuple[int, int]) -> tuple[int, int]:
    """Padded to multiples of 32."""
    return -(-size[0] // 32) * 32, -(-size[1] // 32) * 32


def write_all(folder: Path, size: tuple[int, int], wanted: list[str]) -> None:
    """The snapshot and what is made of it; each size is printed."""
    import tensorflow as tf

    from keras_retinanet.config import ExportConfig, ResizeConfig
    from keras_retinanet.export import FORMATS
    from keras_retinanet.model.detection_model import DetectionModel

    model, images = make_ours(K), tf.constant(make_images(size))
    model.resize_config = ResizeConfig(min(size), max(size))
    final = model.class_head.predictors[0]
    final.set_weights(spread_logits(*final.get_weights(), tf.function(model)(images)["logits"].numpy()))
    for name in wanted:
        kind, place, options = ARTEFACTS[name]
        if "int8" in name:  # ranges of this very image: what counts is the time
            (folder / "photos").mkdir(exist_ok=True)
            (folder / "photos" / "a.jpg").write_bytes(jpeg(size))
            options = {**options, "representative": str(folder / "photos")}
        settings = ExportConfig(**options, **({"image_size": canvas(size)} if kind == "litert" else {}))
        try:
            written = FORMATS[kind](DetectionModel(model), folder / place, settings)
        except ImportError as error:
            print(f"  {name}: not written: {error}", flush=True)
            continue
        files = [written] if written.is_file() else [path for path in written.rglob("*") if path.is_file()]
        print(f"  {name}: {sum(path.stat().st_size for path in files) / 1e6:.1f} MB", flush=True)


def run_artefact(name: str, folder: str, size: tuple[int, int], cores: int) -> Run:
    limit(cores)
    import tensorflow as tf

    from keras_retinanet.data.image import decode
    from keras_retinanet.runtimes import open_runtime

    kind, place, _ = ARTEFACTS[name]
    contents = jpeg(size)
    if kind == "saved_model":  # decodes by itself
        loaded = tf.saved_model.load(str(max((Path(folder) / place).iterdir())))
        detect = loaded.signatures["serving_default"]
        return lambda: f"{int(detect(image_bytes=tf.constant([contents]))['num_detections'][0])} detections"
    runtime = open_runtime(Path(folder) / place)
    return lambda: f"{len(runtime.detect([decode(tf.constant(contents)).numpy()])[0]['scores'])} detections"


def run_peer(maker: Callable[..., Run], dtype: str, options: dict[str, Any], size: tuple[int, int], cores: int) -> Run:
    """Decoding is added to the peers of `inference.py`, which take a fixed image of the same size."""
    limit(cores)
    contents, detect = jpeg(size), maker(dtype, canvas(size), network_only=False, **options)

    def run() -> Any:
        np.asarray(Image.open(io.BytesIO(contents)).convert("RGB"), np.float32)
        return detect()

    return run


def print_best(timings: dict[str, Timing]) -> None:
    """In each precision: the quickest artefact as a share of the quickest peer."""
    for dtype in ("float32", "bfloat16"):
        floats = {name: timing for name, timing in timings.items() if "int8" not in name}
        times = {name: timing for name, timing in floats.items() if ("bfloat16" in name) == (dtype == "bfloat16")}
        sides = [[name for name in times if (name in ARTEFACTS) is ours] for ours in (True, False)]
        if all(sides):
            ours, peer = (min(side, key=lambda name: times[name].wall) for side in sides)
            wall, cpu = times[ours].wall / times[peer].wall, times[ours].cpu / times[peer].cpu
            print(f"{dtype}: {ours} takes {wall:.2f} of the wall time and {cpu:.2f} of the CPU time of {peer}")


def limit(cores: int) -> None:
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])


# Post-processing alone


def post_graph(kernel: str, *, is_fixed: bool = False) -> Any:
    """From deltas and logits to boxes, and an example of both."""
    import tensorflow as tf

    from keras_retinanet.geometry.box_coder import BoxCoder
    from keras_retinanet.geometry.filter_detections import FilterDetections

    random = np.random.default_rng(0)
    shapes = [tuple(-(-side // stride) for side in POST_SIZE) for stride in (8, 16, 32, 64, 128)]
    lengths = [9 * height * width for height, width in shapes]
    corners = random.uniform(0, np.array(POST_SIZE[::-1]) - 48, (sum(lengths), 2))
    anchors = np.concatenate([corners, corners + random.uniform(16, 48, corners.shape)], axis=1).astype("float32")
    starts = np.cumsum([0, *lengths])
    regress, filters = BoxCoder(), FilterDetections(from_logits=True, kernel=kernel)

    def post(deltas: Any, logits: Any) -> Any:
        levels = {f"P{3 + i}": deltas[:, starts[i] : starts[i + 1]] for i in range(5)}
        return filters(regress(deltas, anchors[None]), logits, levels=levels)

    shape = (1, sum(lengths))
    known = shape if is_fixed else (None, None)
    signature = [tf.TensorSpec((*known, 4), name="deltas"), tf.TensorSpec((*known, K), name="logits")]
    example = {"deltas": random.normal(0, 0.1, (*shape, 4)), "logits": random.normal(-5, 1, (*shape, K))}
    inputs = {name: value.astype("float32") for name, value in example.items()}
    return tf.function(post, input_signature=signature, autograph=False), inputs


def count(answer: Any) -> str:
    return f"{int(np.asarray(answer['num_detections'])[0])} detections"


def post_tensorflow(cores: int) -> Run:
    limit(cores)
    import tensorflow as tf

    post, inputs = post_graph("tensorflow")
    tensors = {name: tf.constant(value) for name, value in inputs.items()}
    return lambda: count(post(**tensors))


def post_onnx(cores: int) -> Run:
    limit(cores)
    import onnxruntime
    import tf2onnx

    post, inputs = post_graph("tensorflow")
    model, _ = tf2onnx.convert.from_function(post, input_signature=post.input_signature, opset=18)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda: count(dict(zip(names, session.run(names, inputs), strict=True)))


def post_openvino(cores: int) -> Run:
    limit(cores)
    import tensorflow as tf

    from keras_retinanet.export.openvino_rules import convert
    from keras_retinanet.runtimes.openvino_folder import shared_core

    post, inputs = post_graph("tensorflow")
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(tf.Module(), folder, signatures={"serving_default": post})
        converted = convert(folder)
        model = shared_core().compile_model(converted, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        return lambda: count({"num_detections": model(inputs)["num_detections"]})


def post_litert(cores: int) -> Run:
    limit(cores)
    import tensorflow as tf
    from ai_edge_litert.interpreter import Interpreter

    post, inputs = post_graph("ops", is_fixed=True)
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(tf.Module(), folder, signatures={"serving_default": post})
        contents = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=["serving_default"]).convert()
    interpreter = Interpreter(model_content=contents, num_threads=cores)
    runner = interpreter.get_signature_runner("serving_default")
    return lambda: count(runner(**inputs))


POST = {
    "TensorFlow": post_tensorflow,
    "ONNX Runtime": post_onnx,
    "OpenVINO": post_openvino,
    "LiteRT": post_litert,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, help="a square image of this side in place of 800 x 1333, to try it out")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--compile", action="store_true", help="peers compiled, too")
    parser.add_argument("--only", nargs="+", default=[], metavar="WORD", help="only those whose names contain one")
    parser.add_argument("--post-only", action="store_true", help="post-processing alone")
    parser.add_argument("--write", metavar="FOLDER", help=argparse.SUPPRESS)
    options = parser.parse_args()
    size = (options.side, options.side) if options.side else (800, 1333)
    words = [word.lower() for word in options.only]

    def is_wanted(name: str) -> bool:
        return not words or any(word in name.lower() for word in words)

    wanted = [name for name in ARTEFACTS if is_wanted(name)]
    if options.write:
        write_all(Path(options.write), size, wanted)
        return
    if not options.post_only:
        print(f"from a JPEG file of {size[0]} x {size[1]} to boxes, {options.cores} cores")
        with tempfile.TemporaryDirectory() as folder:
            # in a process of its own: this one shall load no framework before it starts the others
            subprocess.run([sys.executable, __file__, *sys.argv[1:], "--write", folder], check=True)
            makers = {name: partial(run_artefact, name, folder, size, options.cores) for name in wanted}
            for name, peer in (PEERS | (COMPILED_PEERS if options.compile else {})).items():
                if is_wanted(name):
                    makers[name] = partial(run_peer, *peer, size, options.cores)
            timings = interleave_processes(makers, options.repeats)
            print_table(timings, ours="Keras snapshot")
            print_best(timings)
    print("\npost-processing alone, two million scores")
    post = {name: partial(maker, options.cores) for name, maker in POST.items()}
    print_table(interleave_processes(post, options.repeats), ours="TensorFlow")


if __name__ == "__main__":
    main()
