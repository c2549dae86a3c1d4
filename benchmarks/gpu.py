"""How fast on a GPU? Inference and training step of ResNet-50 at 800 x 1344, on whichever Keras backend there is.

    KERAS_BACKEND=jax python benchmarks/gpu.py [--backend NAME] [--dtypes float32 float16 bfloat16] [--batch 8]

Beside ours, where PyTorch is installed: a RetinaNet of the same layers in plain PyTorch (channels last, autocast,
`--compile` for `torch.compile`). Prints images a second, peak memory, and which share of the card's matrix peak the
network's convolutions reach; a training step counts as three forward passes. Each case has a process of its own.
Without a GPU the same runs at 256 x 320, one image at a time, which says that it works and nothing more.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
import time
from typing import Any

import numpy as np
from device import choose_backend, matrix_peak, network_flops, peak_memory, put
from inference import make_images
from models import make_ours, set_precision, spread_logits
from timing import Run
from training_step import make_targets

K = 80


def infer_ours(backend: str, dtype: str, images: np.ndarray) -> Run:
    """From images to detections, compiled in the backend's own way."""
    set_precision(dtype)
    from keras import ops

    from keras_retinanet.model.detection_model import DetectionModel

    model = make_ours(K)
    final = model.class_head.predictors[0]
    logits = model.predict_on_batch(images[:1])["logits"]
    final.set_weights(spread_logits(*final.get_weights(), np.asarray(logits)))
    detector = DetectionModel(model)
    detector.build(images.shape)
    detect, images = _compiled(detector, backend), put(images, backend)
    return lambda: int(ops.convert_to_numpy(detect(images)["num_detections"]).sum())


def _compiled(model: Any, backend: str) -> Any:
    if backend == "tensorflow":
        import tensorflow as tf

        return tf.function(model)
    if backend == "jax":
        import jax

        state = [[v.value for v in model.trainable_variables], [v.value for v in model.non_trainable_variables]]
        call = jax.jit(lambda trained, other, x: model.stateless_call(trained, other, x)[0])
        return lambda x: call(*state, x)
    import torch

    return torch.inference_mode()(model)


def train_ours(backend: str, dtype: str, images: np.ndarray) -> Run:
    """One step of `fit`."""
    set_precision(dtype)
    import keras

    model = make_ours(K)
    model.compile(keras.optimizers.SGD(1e-4, momentum=0.9))
    targets = {name: put(value, backend) for name, value in make_targets(len(images), images.shape[1:3]).items()}
    images = put(images, backend)
    return lambda: float(model.train_on_batch(images, targets, return_dict=True)["loss"])


def infer_torch(dtype: str, images: np.ndarray, compiles: bool) -> Run:
    """The peer, from images to detections."""
    import torch
    from torch_retinanet import TorchRetinaNet, detect, make_anchors

    device, size = ("cuda" if torch.cuda.is_available() else "cpu"), images.shape[1:3]
    model: Any = TorchRetinaNet(K).eval().to(device, memory_format=torch.channels_last)
    batch = torch.from_numpy(images).to(device).permute(0, 3, 1, 2)
    anchors, final = make_anchors(*size, device=device), model.class_head[-1]
    with torch.inference_mode():
        final.weight, final.bias = map(torch.nn.Parameter, spread_logits(final.weight, final.bias, model(batch[:1])[1]))
    network = torch.compile(model) if compiles else model

    def run() -> int:
        with torch.inference_mode(), torch.autocast(device, getattr(torch, dtype), enabled=dtype != "float32"):
            deltas, logits = network(batch)
            return sum(len(boxes) for boxes, _, _ in detect(logits, deltas, anchors, *size))

    return run


def train_torch(dtype: str, images: np.ndarray, compiles: bool) -> Run:
    """One step of the peer; float16 with loss scaling."""
    import torch
    from torch_retinanet import TorchRetinaNet, compute_loss, make_anchors

    device, size = ("cuda" if torch.cuda.is_available() else "cpu"), images.shape[1:3]
    model: Any = TorchRetinaNet(K).train().to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9)
    scaler = torch.amp.GradScaler(device, enabled=dtype == "float16")
    targets = make_targets(len(images), size)
    boxes, labels = (list(torch.from_numpy(targets[name]).to(device)) for name in ("boxes", "labels"))
    labels, anchors = [label.long() for label in labels], torch.cat(make_anchors(*size, device=device))
    batch = torch.from_numpy(images).to(device).permute(0, 3, 1, 2)
    network = torch.compile(model) if compiles else model

    def run() -> float:
        optimizer.zero_grad()
        with torch.autocast(device, getattr(torch, dtype), enabled=dtype != "float32"):
            deltas, logits = network(batch)
        loss = compute_loss(logits, deltas, anchors, boxes, labels)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        return loss.item()

    return run


def run_case(options: argparse.Namespace) -> dict[str, Any]:
    """Times one case in this process."""
    side, work, dtype = options.case
    backend = "torch" if side == "PyTorch" else choose_backend(options.backend)
    images = np.repeat(make_images(options.size), options.batch, axis=0)
    if side == "PyTorch":
        run = {"inference": infer_torch, "training": train_torch}[work](dtype, images, options.compile)
    else:
        run = {"inference": infer_ours, "training": train_ours}[work](backend, dtype, images)
    for _ in range(3 if options.is_gpu else 1):
        run()
    times = []
    for _ in range(options.repeats):
        began = time.perf_counter()
        answer = run()
        times.append(time.perf_counter() - began)
    memory = peak_memory(backend, options.is_gpu)
    return {"least": min(times), "median": statistics.median(times), "memory": memory, "answer": answer}


def start_case(case: tuple[str, str, str], options: argparse.Namespace) -> dict[str, Any] | str:
    """Runs one case in a fresh process: its result, or why there is none."""
    command = [
        sys.executable,
        __file__,
        "--case",
        *case,
        "--batch",
        str(options.batch),
        "--repeats",
        str(options.repeats),
    ]
    command += ["--size", *map(str, options.size), "--backend", options.backend]
    command += ["--compile"] * options.compile + ["--is-gpu"] * options.is_gpu
    outcome = subprocess.run(command, capture_output=True, text=True)
    lines = outcome.stdout.strip().splitlines()
    if outcome.returncode or not lines:
        return (outcome.stderr.strip().splitlines() or [f"exit {outcome.returncode}"])[-1][:200]
    return dict(json.loads(lines[-1]))


def print_case(case: tuple[str, str, str], result: dict[str, Any] | str, options: argparse.Namespace) -> float | None:
    """One line of the table; the least time."""
    side, work, dtype = case
    label = f"{work:9}  {dtype:8}  {side:24}"
    if isinstance(result, str):
        print(f"{label}  not measured: {result}", flush=True)
        return None
    peak = matrix_peak(options.device, dtype) if options.device else None
    flops = network_flops(*options.size, K) * options.batch * (3 if work == "training" else 1)
    share = f"{flops / result['least'] / peak / 1e12:6.1%}" if peak else "     –"
    speeds = f"{options.batch / result['least']:8.2f}  {options.batch / result['median']:8.2f}"
    print(f"{label}  {speeds}  {result['memory']:7.1f}  {share}  {result['answer']:.6g}", flush=True)
    return float(result["least"])


def describe(options: argparse.Namespace) -> None:
    """What runs where, and what cannot be reported."""
    where = options.device or "no GPU: small and slow, to see that it runs"
    print(f"Keras on {options.backend}, {where}")
    gigaflops = network_flops(*options.size, K) / 1e9
    print(f"{options.batch} x {options.size[0]} x {options.size[1]}, {gigaflops:.0f} GFLOP an image")
    if options.device and matrix_peak(options.device, "float32") is None:
        print(f"The matrix peak of {options.device!r} is not in the table of device.py: no share is given.")
    print(f"{'work':9}  {'dtype':8}  {'':24}  images/s  (median)  mem GiB   peak  detections | loss")


def find_device(backend: str) -> str | None:
    """The GPU's name, asked in another process so that this one holds none of its memory."""
    code = f"from device import device_name; print(device_name({backend!r}) or '')"
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {sys.path[0]!r}); {code}"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return (lines[-1] or None) if lines else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", choices=["tensorflow", "jax", "torch"])
    parser.add_argument("--dtypes", nargs="+", default=["float32", "float16", "bfloat16"])
    parser.add_argument("--work", nargs="+", default=["inference", "training"])
    parser.add_argument("--size", nargs=2, type=int, metavar=("H", "W"))
    parser.add_argument("--batch", type=int)
    parser.add_argument("--repeats", type=int)
    parser.add_argument("--compile", action="store_true", help="torch.compile the peer")
    parser.add_argument("--case", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--is-gpu", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(run_case(options)))
        return
    options.backend = choose_backend(options.backend)
    options.device = find_device(options.backend)
    options.is_gpu = options.device is not None
    options.size = options.size or ((800, 1344) if options.is_gpu else (256, 320))
    options.batch = options.batch or (8 if options.is_gpu else 1)
    options.repeats = options.repeats or (20 if options.is_gpu else 1)
    describe(options)
    sides = [f"ours on {options.backend}"] + ["PyTorch"] * (importlib.util.find_spec("torch") is not None)
    for work in options.work:
        for dtype in options.dtypes:
            cases = [(side, work, dtype) for side in sides]
            times = [print_case(case, start_case(case, options), options) for case in cases]
            if len(times) == 2 and None not in times:
                print(f"{'':21}  PyTorch takes {times[1] / times[0]:.2f} times as long")


if __name__ == "__main__":
    main()
