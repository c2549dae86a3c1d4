"""A backbone's initial weights: a file, recognised by its content, or the published ImageNet weights."""

from __future__ import annotations

import json
import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, Protocol

import h5py
import keras

from keras_retinanet.backbones.batch_norm import freeze_batch_norm
from keras_retinanet.backbones.torch_weights import is_torch_weights

WeightsKind = Literal["backbone", "snapshot", "torch"]


class PublishedWeights(Protocol):
    """How to load the weights that others published for a backbone."""

    def load_imagenet(self, backbone: keras.Model) -> None:
        """Downloads the ImageNet weights into the backbone."""

    def load_file(self, backbone: keras.Model, path: Path) -> None:
        """Loads a file of the publisher's own format into the backbone."""


class Unpublished:
    """The published weights of a backbone for which there are none."""

    def load_imagenet(self, backbone: keras.Model) -> None:
        """Refuses."""
        raise ValueError(f"There are no ImageNet weights for {backbone.name!r}: use --weights none, or a file.")

    def load_file(self, backbone: keras.Model, path: Path) -> None:
        """Refuses: only files that this package wrote can be read."""
        raise ValueError(f"{str(path)!r} does not hold weights of {backbone.name!r} that this package wrote.")


UNPUBLISHED = Unpublished()
"""For the table `PUBLISHED`, and for `start_from`."""


def weights_kind(path: str | Path) -> WeightsKind:
    """What a weight file holds, by its content; its name does not matter.

    Args:
        path: Path of the file.

    Returns:
        `"snapshot"`: a whole detector saved as `.keras`, for `keras_retinanet.load_model`. `"backbone"`: weights of a
        backbone or of the application that it is built on, in HDF5 (Keras 2 or 3), or a `.keras` of a backbone alone.
        `"torch"`: a PyTorch checkpoint, also as safetensors. The last two are for `load_weights`.

    Raises:
        ValueError: No such file, or one of another kind.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"Weights are 'imagenet', 'none' or a file; there is no file {str(path)!r}.")
    if h5py.is_hdf5(path):
        return "backbone"
    if is_torch_weights(path):
        return "torch"
    model_class = _keras_archive_class(path)
    if model_class is None:
        raise ValueError(
            f"{str(path)!r} is no weight file: expected HDF5 (.weights.h5, .h5), a .keras snapshot, a .pth or a "
            ".safetensors file."
        )
    return "backbone" if model_class in ("Functional", "Model") else "snapshot"


def _keras_archive_class(path: Path) -> str | None:
    if not zipfile.is_zipfile(path):
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            return str(json.loads(archive.read("config.json"))["class_name"])
    except (zipfile.BadZipFile, KeyError, TypeError, ValueError):
        return None


def start_from(backbone: keras.Model, weights: str | Path | None, published: PublishedWeights) -> keras.Model:
    """Sets a backbone's initial weights: random, of ImageNet, or of a file.

    Args:
        backbone: Newly built, random.
        weights: `None`, `"imagenet"` or a path. Pretrained batch normalisation is frozen, random is trained.
        published: The backbone's published weights.

    Returns:
        The same backbone.

    Raises:
        ValueError: The file does not fit; names the file, the backbone and what differs.
        OSError: The ImageNet weights cannot be downloaded; the message says which file to put where.
    """
    if weights == "imagenet":
        published.load_imagenet(backbone)
        freeze_batch_norm(backbone)
    elif weights is not None:
        load_file(backbone, Path(weights), published)
    return backbone


def load_file(backbone: keras.Model, path: Path, published: PublishedWeights) -> None:
    """Loads a file into a backbone and freezes its batch normalisation.

    Args:
        backbone: Changed in place.
        path: See `weights_kind`.
        published: Reads the files that are not the backbone's own.

    Raises:
        ValueError: As `start_from`.
    """
    if weights_kind(path) == "snapshot":
        raise ValueError(
            f"{str(path)!r} is the snapshot of a whole detector, not of the backbone {backbone.name!r}: "
            "open it with `keras_retinanet.load_model`."
        )
    with _own_weights(path) as own:
        if own is None:
            published.load_file(backbone, path)
        else:
            load_keras_weights(backbone, own, shown=path)
    freeze_batch_norm(backbone)


@contextmanager
def _own_weights(path: Path) -> Iterator[Path | None]:
    """HDF5 file with the weights of one of our backbones, `None` if `path` holds something else."""
    if h5py.is_hdf5(path):
        try:
            with h5py.File(path, "r") as file:
                is_own = "layers/normalize" in file
        except OSError as error:
            raise ValueError(f"{str(path)!r} is a damaged HDF5 file: {error}") from error
        yield path if is_own else None
    elif _keras_archive_class(path) is not None:
        with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(path) as archive:
            yield Path(archive.extract("model.weights.h5", folder))
    else:
        yield None


def load_keras_weights(model: keras.Model, path: Path, shown: Path | None = None) -> None:
    """`model.load_weights` for HDF5 files of any name, of Keras 2 or 3, that fit completely.

    Args:
        model: Changed in place.
        path: HDF5 file.
        shown: The file that errors name. Defaults to `path`.

    Raises:
        ValueError: The file lacks weights, or holds more or other ones.
    """
    try:
        with h5py.File(path, "r") as file:
            is_keras_2 = "layer_names" in file.attrs or "model_weights" in file
            count = 0 if is_keras_2 else _count_arrays(file)
        expected = len(model.weights)
        if not is_keras_2 and count != expected:
            raise ValueError(f"the file holds {count} arrays, the model has {expected}")
        with _named(path, ".h5" if is_keras_2 else ".weights.h5") as named, warnings.catch_warnings():
            # Keras warns of each part of a file that does not fit before it raises.
            warnings.filterwarnings("ignore", message="Skipping nested container")
            model.load_weights(str(named))
    except (ValueError, KeyError, OSError) as error:
        reason = " ".join(str(error).split()).partition(" Target variable:")[0]  # which would print its values
        raise ValueError(f"The weights in {str(shown or path)!r} do not fit {model.name!r}: {reason}") from error


def _count_arrays(file: h5py.File) -> int:
    """Arrays of a Keras 3 file; the states of random generators, which some versions of Keras write, are no weights."""
    found: list[str] = []
    file.visititems(lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) else None)
    return sum("seed_generator" not in name for name in found)


@contextmanager
def _named(path: Path, ending: str) -> Iterator[Path]:
    """The file under a name from which Keras concludes its right format."""
    if path.name.endswith(ending) and path.name.endswith(".weights.h5") == (ending == ".weights.h5"):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(shutil.copyfile(path, Path(folder) / f"copy{ending}"))
