"""Fixtures of the whole suite: where reference data may stand, a detector of painted rectangles, and a fixed seed."""

from __future__ import annotations

import gc
import json
import os
import runpy
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keras_retinanet.config.presets import has_avx2_only

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")  # figures of the tests are those of the CPU
os.environ.setdefault("MPLBACKEND", "Agg")
if has_avx2_only():  # TensorFlow's default: `retinanet-train` in a test would change it for programs started later
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
# Code for a few pixels is compiled more often than run: what XLA computes is tested, not how fast.
FAST_COMPILATION = (
    "--xla_backend_optimization_level=0",
    "--xla_llvm_disable_expensive_passes=true",
    "--xla_cpu_use_fusion_emitters=false",  # those that lower through MLIR take a third longer
)
os.environ.setdefault("XLA_FLAGS", " ".join(FAST_COMPILATION))
# Every worker and every command that is started would compile the package again: it is compiled once, and kept.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

SHARED = Path(__file__).resolve().parents[2] / "shared"
SLOW_LIMIT = 1800
"""Seconds that a slow test may take; the limit of the others is `timeout` in pyproject.toml."""
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Gives slow tests their own time limit."""
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.timeout(SLOW_LIMIT))


@pytest.hookimpl(optionalhook=True)
def pytest_handlecrashitem(crashitem: str, sched: Any) -> None:
    """Counts a test that ended its process as done: xdist would run it again with the rest of its file."""
    for unit in getattr(sched, "workqueue", {}).values():
        if crashitem in unit:
            unit[crashitem] = True


@pytest.fixture(scope="session", autouse=True)
def _few_collections() -> None:
    """The frameworks' million objects stay: searching them for garbage again and again took a fifth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@pytest.fixture(scope="session")
def shared() -> Callable[[str], Path]:
    """Path of reference data beside the checkout; skips the test where they are absent."""

    def find(name: str) -> Path:
        path = SHARED / name
        if not path.exists():
            pytest.skip(f"reference data {name!r} are not beside this checkout")
        return path

    return find


@pytest.fixture(scope="session")
def mmdetection() -> dict[str, Any]:
    """Answers of MMDetection's code by name, and the functions that make its inputs; `write.py` wrote them."""
    folder = Path(__file__).parent / "fixtures" / "mmdetection"
    golden = json.loads((folder / "golden.json").read_text(encoding="utf-8"))
    return runpy.run_path(str(folder / "inputs.py")) | golden


@pytest.fixture(scope="module")
def ray_ends() -> Iterator[None]:
    """Ends the Ray that tests of a module have started, whose processes would outlive them."""
    yield
    if "ray" in sys.modules:
        sys.modules["ray"].shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A Chromium without a window, driven by playwright; skips the test where either is missing."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip("there is no Chromium on this machine")
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=arguments)
        yield running
        running.close()


def _paint(
    height: int, width: int, boxes: Sequence[Sequence[int]], labels: Sequence[int], scores: Sequence[int]
) -> Any:
    """Rectangles on black: red tells the label, green the percent of the score, blue which rectangle it is."""
    image = np.zeros((height, width, 3), np.uint8)
    for k, ((x1, y1, x2, y2), label, score) in enumerate(zip(boxes, labels, scores, strict=True)):
        image[y1:y2, x1:x2] = (label + 1, score, k + 1)
    return image


def _find_painted(image: Any, score_threshold: float) -> Any:
    """The extent of every colour, best first."""
    colours = np.unique(image.reshape(-1, 3), axis=0)
    colours = colours[colours[:, 0] > 0]
    colours = colours[np.argsort(-colours[:, 1].astype(int), kind="stable")]
    boxes = []
    for colour in colours:
        rows, columns = np.nonzero((image == colour).all(axis=2))
        boxes.append([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
    kept = colours[:, 1] / 100 > score_threshold
    return {
        "boxes": np.array(boxes, np.float32).reshape(-1, 4)[kept],
        "scores": (colours[:, 1] / 100).astype(np.float32)[kept],
        "labels": colours[:, 0].astype(np.int32)[kept] - 1,
    }


@pytest.fixture(scope="session")
def paint() -> Callable[..., Any]:
    """Paints what `painted_runtime` finds: `(height, width, boxes, labels, scores in percent) -> image`."""
    return _paint


@pytest.fixture(scope="session")
def painted_runtime() -> type[Any]:
    """A `Runtime` whose detections are known to the pixel, and which remembers the sizes of each batch."""
    from keras_retinanet.config import FilterConfig, ResizeConfig
    from keras_retinanet.runtimes import Description, Runtime

    class PaintedRuntime(Runtime):
        """Finds the extent of every colour."""

        def __init__(self, filter: Any = None, resize: Any = None) -> None:
            rule = resize or ResizeConfig()
            super().__init__(Description(("ant", "bee", "wasp"), rule, (0.0, 0.0, 0.0), filter or FilterConfig()))
            self.batches: list[list[tuple[int, int]]] = []

        def detect(self, images: Sequence[Any], fits: Any = None, *, batch_size: Any = None) -> list[Any]:
            del fits, batch_size
            self.batches.append([image.shape[:2] for image in images])
            return [_find_painted(image, self.filter.score_threshold) for image in images]

        def raw_outputs(self, images: Any) -> Any:
            raise NotImplementedError

    return PaintedRuntime


@pytest.fixture(scope="session")
def small_network() -> Callable[..., Any]:
    """Builds a network of classes ant and bee: `(spread=0.0, smallest=16.0, **settings) -> RetinaNet`.

    Its logits have no bias, and deviate the more, the larger `spread`, unless that is 0: then they are as at the start.
    """

    def make(spread: float = 0.0, smallest: float = 16.0, **settings: Any) -> Any:
        import keras

        from keras_retinanet import build
        from keras_retinanet.config import AnchorConfig, ModelConfig, ResizeConfig

        keras.utils.set_random_seed(2)
        model = build(
            ModelConfig("resnet10_050", "none", 3, 5, fpn_width=32, head_width=32, head_depth=1),
            class_names=["ant", "bee"],
            anchors=AnchorConfig((smallest, 2 * smallest, 4 * smallest), (8, 16, 32)),
            **{"resize": ResizeConfig(64, 96), **settings},
        )
        if spread:
            final = model.class_head.predictors[0]
            kernel, bias = final.get_weights()
            final.set_weights([np.random.default_rng(5).normal(0, spread, kernel.shape), 0 * bias])
        return model

    return make


def _five_convolutions(weights: str | None = None) -> Any:
    import keras

    from keras_retinanet.backbones import Normalize

    del weights
    images = keras.Input((None, None, 3))
    features = Normalize((120.0, 110.0, 100.0), (60.0, 60.0, 60.0), name="normalize")(images)
    maps = {}
    for level in range(1, 6):
        features = keras.layers.Conv2D(8, 3, 2, "same", activation="relu")(features)
        maps[f"C{level}"] = features = keras.layers.BatchNormalization()(features)
    return keras.Model(images, {name: maps[name] for name in ("C3", "C4", "C5")}, name="mobilenet_025")


@pytest.fixture(scope="module")
def small_backbone() -> Iterator[None]:
    """`mobilenet_025` has five convolutions, which are traced in a moment, until the module ends."""
    from keras_retinanet.backbones import BACKBONES

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(BACKBONES, "mobilenet_025", _five_convolutions)
        yield


@pytest.fixture(scope="module")
def direct_gradients() -> Iterator[None]:
    """Training differentiates by TensorFlow's own kernels on every processor, which are traced in less time."""
    from keras_retinanet.conv_gradients import products

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(products, "product_dtypes", frozenset)
        yield


@pytest.fixture(scope="session")
def spread_model(small_network: Callable[..., Any]) -> Any:
    """A small network that finds boxes in noise, scores from one half to nearly one."""
    from keras_retinanet.config import FilterConfig

    return small_network(0.02, filter=FilterConfig(score_threshold=0.6, max_detections=8))


@pytest.fixture(scope="session")
def network_input() -> Callable[..., Any]:
    """`network_input(image, resize, pad_value)`: one image resized and padded to its smallest shape.

    Returns `(H, W, 3)` float32, `(2,)` float32 height and width before padding, and `(2,)` float32 scale y, x.
    """
    import tensorflow as tf

    from keras_retinanet.data.image import pad, resize_by_rule
    from keras_retinanet.data.resized_sizes import padded_size
    from keras_retinanet.data.resized_sizes_graph import network_scale_tensor, resized_size_tensor

    def prepare(image: Any, resize: Any, pad_value: Sequence[float]) -> tuple[Any, Any, Any]:
        given = tf.shape(image)[:2]
        size = resized_size_tensor(given, resize)
        shape = tf.stack(padded_size(size[0], size[1], resize))
        padded = pad(resize_by_rule(image, size, resize), shape, pad_value)
        scale = network_scale_tensor(size, given, resize)
        return padded, tf.cast(size, tf.float32), tf.cast(scale, tf.float32)

    return prepare


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """The same random numbers in every test, whatever ran before it."""
    import keras

    keras.utils.set_random_seed(0)
