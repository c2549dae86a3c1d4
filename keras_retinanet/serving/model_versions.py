"""Where a served model comes from: a file, or the highest version in a folder."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path

from keras_retinanet.runtimes import SUFFIXES, Runtime
from keras_retinanet.runtimes.open_model import open_model
from keras_retinanet.runtimes.openvino_folder import MODEL
from keras_retinanet.runtimes.saved_model import GRAPH
from keras_retinanet.runtimes.stricter_runtime import with_threshold_file
from keras_retinanet.snapshots.run_folder import SNAPSHOTS

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""Names that are valid in a URL."""


@dataclass(frozen=True)
class Version:
    """One version of a model.

    Attributes:
        number: Its number.
        open: Opens it, which takes seconds.
        stamp: Changes with the files.
    """

    number: int
    open: Callable[[], Runtime]
    stamp: Hashable = None


@dataclass(frozen=True)
class ModelSource:
    """A model to serve.

    Attributes:
        name: Name in URLs.
        newest: Looks for the version to serve; raises an `OSError` or a `ValueError` if there is none.
    """

    name: str
    newest: Callable[[], Version]


def model_source(words: str, name: str | None = None, thresholds: str | None = None) -> ModelSource:
    """The model that a command line names.

    Args:
        words: A path, or `NAME=PATH`.
        name: Name in URLs. Defaults to the one in `words`, otherwise to that of the file or folder.
        thresholds: File of score thresholds. Defaults to the model's own.

    Returns:
        The source; its path need not exist yet.

    Raises:
        ValueError: The name is not valid in a URL.
    """
    path = path_of(words)
    if name is None and str(path) != words:
        name = words.partition("=")[0]
    name = name_and_version(path)[0] if name is None else name
    if not NAME.fullmatch(name):
        raise ValueError(f"The name {name!r} is not valid in a URL; give --name of letters, digits, '.', '_' and '-'.")
    return ModelSource(name, functools.partial(_newest, path, thresholds))


def path_of(words: str) -> Path:
    """The path in `NAME=PATH` or in a path alone.

    Args:
        words: As given on the command line.

    Returns:
        The path.
    """
    name, sign, path = words.partition("=")
    is_named = bool(sign and path and NAME.fullmatch(name)) and not Path(words).exists()
    return Path(path if is_named else words)


def artefact_of(path: Path) -> Path:
    """The file or folder that is opened: the highest version if there are versions.

    Args:
        path: As given.

    Returns:
        The path itself, or the artefact of the highest version in it.
    """
    own = _artefact_in(path) if path.name.isdecimal() else None
    return max(_versions(path).items(), default=(0, own or path))[1]


def name_and_version(path: Path) -> tuple[str, int]:
    """The default name and version of a model.

    Args:
        path: The path as given.

    Returns:
        Name of the file, of the run, or of the folder with the versions; and the version, 1 if there is none.
    """
    path = path.resolve()
    if path.name in SNAPSHOTS:
        return path.parent.name, 1
    if path.name.isdecimal() and _artefact_in(path):
        return path.parent.name, int(path.name)
    return path.stem if path.is_file() else path.name, max(_versions(path), default=1)


def _newest(path: Path, thresholds: str | None) -> Version:
    found, number = artefact_of(path), name_and_version(path)[1]
    stamp = _stamp(found) if number in _versions(path) else None
    return Version(number, lambda: with_threshold_file(open_model(found), thresholds), stamp)


def _versions(path: Path) -> dict[int, Path]:
    """Version → artefact: a SavedModel, an OpenVINO folder, or the only model file in a folder called by a number."""
    if not path.is_dir():
        return {}
    inside = (folder for folder in path.iterdir() if folder.name.isdecimal() and folder.is_dir())
    return {int(folder.name): artefact for folder in inside if (artefact := _artefact_in(folder))}


def _artefact_in(folder: Path) -> Path | None:
    """The folder itself if it is an artefact, or the only model file in it."""
    if (folder / MODEL).is_file() or (folder / GRAPH).is_file():
        return folder
    files = [file for suffix in SUFFIXES for file in folder.glob(f"*{suffix}")]
    return files[0] if len(files) == 1 else None


def _stamp(path: Path) -> Hashable:
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    stats = ((file, file.stat()) for file in files if file.is_file())
    return tuple((str(file), stat.st_size, stat.st_mtime_ns) for file, stat in stats)
