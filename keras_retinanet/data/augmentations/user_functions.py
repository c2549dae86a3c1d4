"""A user's own augmentation: a Python function, or a pipeline of albumentations, named as `module:function`.

A function takes a sample and a `numpy.random.Generator`, and returns a sample: a dict with `image` `(h, w, 3)` uint8,
`boxes` `(N, 4)`, `labels` `(N,)` and `ignore` `(N,)` bool. It draws random numbers from the generator only; then the
result is a function of seed, epoch and image, as with the augmentations of this package.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
import sys
import threading
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import tensorflow as tf

from keras_retinanet.data.augmentations.placement import GraphSample, shrink_to_fit, with_clipped_boxes
from keras_retinanet.data.errors import GRAPH_MARKS, GRAPH_SEPARATOR, DataError
from keras_retinanet.data.sample_checks import check_samples
from keras_retinanet.schema import Sample, Tensor

UserFunction = Callable[[dict[str, Any], np.random.Generator], Mapping[str, Any]]

_LOCK = threading.Lock()  # a pipeline of albumentations holds its random state


def is_user_function(name: str) -> bool:
    """Whether the name of an augmentation is that of a user's function."""
    return ":" in name


@functools.cache
def load_function(name: str) -> UserFunction:
    """Import a user's augmentation.

    Args:
        name: `module:function`, the module being found from the current folder too, or `file.py:function`.

    Returns:
        The function; a pipeline of albumentations as such a function.

    Raises:
        ValueError: There is no such module or function, or it cannot be called.
    """
    place, _, attribute = name.rpartition(":")
    try:
        found = getattr(_import(place), attribute)
    except (ImportError, OSError, AttributeError) as error:
        raise ValueError(
            f"--augment {name}: {error}. Allowed are MODULE:FUNCTION and FILE.py:FUNCTION, found from {os.getcwd()}."
        ) from error
    if hasattr(found, "transforms") and hasattr(found, "set_random_seed"):
        return from_albumentations(found)
    if not callable(found):
        raise ValueError(f"--augment {name} is a {type(found).__name__}; it must be a function (sample, rng) → sample.")
    function: UserFunction = found
    return function


def _import(place: str) -> Any:
    if not place.endswith(".py"):
        sys.path.insert(0, os.getcwd())
        try:
            return importlib.import_module(place)
        finally:
            sys.path.remove(os.getcwd())
    spec = importlib.util.spec_from_file_location(Path(place).stem, place)
    if spec is None or spec.loader is None:
        raise ImportError(f"{place} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def from_albumentations(pipeline: Any) -> UserFunction:
    """A pipeline of albumentations as a function of a sample.

    Its transforms get boxes in pixels, whatever `bbox_params` it was made with; labels and ignore regions go with their
    boxes.

    Args:
        pipeline: `albumentations.Compose`.

    Returns:
        The function.
    """
    import albumentations

    params = albumentations.BboxParams(format="pascal_voc", label_fields=["rows"])
    with warnings.catch_warnings():  # that no transform moves boxes
        warnings.filterwarnings("ignore", message="Got processor for bboxes")
        compose = albumentations.Compose(list(pipeline.transforms), bbox_params=params, p=pipeline.p)

    def apply(sample: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
        rows = list(range(len(sample["labels"])))
        with _LOCK:
            compose.set_random_seed(int(rng.integers(2**31)))
            out = compose(image=sample["image"], bboxes=sample["boxes"], rows=rows)
        kept = np.asarray(out["rows"], int)
        boxes = np.asarray(out["bboxes"], np.float32).reshape(-1, 4)
        return {
            "image": out["image"], "boxes": boxes, "labels": sample["labels"][kept], "ignore": sample["ignore"][kept],
        }  # fmt: skip

    return apply


def apply_user_function(sample: GraphSample, seed: Tensor, name: str) -> GraphSample:
    """Run a user's function inside a tf.data graph, and check what it returns.

    Args:
        sample: The sample, with `name` (string, the image's path) and `label_count` (int32, labels are below it).
        seed: `(2,)` int64.
        name: From `--augment`.

    Returns:
        The new sample; boxes beyond the image are treated as in `with_clipped_boxes`, and an image larger than
        `target_size` is shrunk.
    """
    call = functools.partial(_call, name)
    inputs = [sample[key] for key in ("image", "boxes", "labels", "ignore", "name", "label_count")]
    dtypes = [sample["image"].dtype, tf.float32, tf.int32, tf.bool]
    image, boxes, labels, ignore = tf.numpy_function(call, [*inputs, seed], dtypes)
    image, boxes = tf.ensure_shape(image, (None, None, 3)), tf.ensure_shape(boxes, (None, 4))
    moved = {**sample, "boxes": boxes, "labels": tf.ensure_shape(labels, (None,))}
    moved["ignore"] = tf.ensure_shape(ignore, (None,))
    return shrink_to_fit(with_clipped_boxes(moved, image, boxes))


def _call(name: str, image: Any, boxes: Any, labels: Any, ignore: Any, path: bytes, count: Any, seed: Any) -> Any:
    place = os.fsdecode(path)
    sample = {"image": np.clip(np.round(image), 0, 255).astype(np.uint8), "boxes": boxes, "labels": labels}
    rng = np.random.default_rng(np.asarray(seed, np.int64).view(np.uint64))
    try:
        out = _checked(load_function(name)({**sample, "ignore": ignore}, rng), place, int(count))
    except DataError as error:
        where = f"{name} on {place}" if error.where == "sample 0" else error.where.replace("sample 0", f"{name} on", 1)
        raise _for_graph(where, error) from error
    except Exception as error:
        found = f"raised {type(error).__name__}: {error}"
        raise _for_graph(f"{name} on {place}", DataError("", found, "a sample", "correct the function")) from error
    return (
        out["image"].astype(image.dtype),
        np.asarray(out["boxes"], np.float32).reshape(-1, 4),
        np.asarray(out["labels"], np.int32),
        np.asarray(out["ignore"], bool),
    )


def _for_graph(where: str, error: DataError) -> ValueError:
    """The error with the marks by which `errors.from_tensorflow` finds it in TensorFlow's text."""
    parts = GRAPH_SEPARATOR.join([where, error.found, error.allowed, error.fix])
    return ValueError(f"{GRAPH_MARKS[0]}{parts}{GRAPH_MARKS[1]}")


def _checked(out: Any, path: str, count: int) -> Mapping[str, Any]:
    """What a function returned, checked as samples of a user's own are."""
    named = {**out, "image": path} if isinstance(out, Mapping) and "image" in out else out
    check_samples([cast(Sample, named)], [str(label) for label in range(count)])
    image = out["image"]
    if not isinstance(image, np.ndarray) or image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        shape = f"is an array of shape {image.shape} and {image.dtype}" if isinstance(image, np.ndarray) else ""
        found = shape or f"is a {type(image).__name__}"
        raise DataError(f"sample 0 ({path!r}), 'image'", found, "(h, w, 3) uint8 RGB", "convert it")
    return out
