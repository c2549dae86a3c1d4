"""Which words of a command line are models: snapshots, exported models, and files of detections."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from keras_retinanet.snapshots.run_folder import SNAPSHOTS, find_snapshot

# All of `data.recognition.MODEL_SUFFIXES`, which would import every reader, and `.pkl`.
_SUFFIXES = (".keras", ".onnx", ".tflite", ".h5", ".hdf5", ".pth", ".pt", ".pkl", ".safetensors")
_OPENVINO, _SAVED_MODEL = "model.xml", "saved_model.pb"  # as in `runtimes`, which imports frameworks
_HEAD = 4096


def is_model(word: str) -> bool:
    """Whether a word is a model or a file of detections, by its name and its first bytes.

    Args:
        word: A word of a command line.

    Returns:
        True for anything that `retinanet-evaluate` can measure, as far as that is seen without opening it.
    """
    path = Path(word)
    if path.is_file():
        return path.suffix.lower() in _SUFFIXES or path.name == _OPENVINO or _has_detections(path)
    return path.is_dir() and (
        is_exported(path) or is_results(path) or any((path / name).is_file() for name in SNAPSHOTS)
    )


def is_results(path: Path) -> bool:
    """Whether a path has detections: a JSON file, or the folder of a `retinanet-detect --runner`.

    Args:
        path: File or folder.

    Returns:
        False for models.
    """
    from keras_retinanet.shards.job_folder import is_job_folder

    return (path.suffix.lower() == ".json" and path.is_file()) or is_job_folder(path)


def is_exported(path: Path) -> bool:
    """Whether a path is a model in one of the formats of `retinanet-convert-model`, snapshots excepted.

    Args:
        path: File or folder.

    Returns:
        True for an ONNX or LiteRT file, and for the folders of an OpenVINO model, a SavedModel and its versions.
    """
    if path.is_file():
        return path.suffix.lower() in (".onnx", ".tflite") or path.name == _OPENVINO
    marks = (_OPENVINO, _SAVED_MODEL, f"*/{_SAVED_MODEL}")
    return path.is_dir() and any(next(path.glob(mark), None) is not None for mark in marks)


def find_model(path: Path) -> Path:
    """The file or folder to open.

    Args:
        path: A snapshot, the folder of a run, a checkpoint of another library, or an exported model.

    Returns:
        Of a run, its best or last snapshot; of an OpenVINO model, the folder; else the same.

    Raises:
        ValueError: A folder has no snapshot.
    """
    if is_exported(path):
        return path.parent if path.name == _OPENVINO else path
    return find_snapshot(path)


def _has_detections(path: Path) -> bool:
    """Whether a file has detections as `--save-detections` writes them; annotations have no scores."""
    if path.suffix.lower() != ".json" or not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(_HEAD).removeprefix(b"\xef\xbb\xbf").lstrip()
    return head.startswith(b"[") and (b'"score"' in head or head[1:].strip() == b"]")


def short_names(paths: Sequence[Path]) -> list[str]:
    """Names that tell models apart.

    Args:
        paths: The models.

    Returns:
        The last part of each path, `best.keras` and `last.keras` after the name of their run; as many parts more as are
        needed, and a number where a model is given twice.
    """
    names = [_last_parts(path, 1 + (path.name in SNAPSHOTS)) for path in paths]
    for count in range(2, 6):
        names = [_last_parts(path, count) if names.count(name) > 1 else name
                 for path, name in zip(paths, names, strict=True)]  # fmt: skip
    return [f"{name} ({names[:k].count(name) + 1})" if names.count(name) > 1 else name for k, name in enumerate(names)]


def _last_parts(path: Path, count: int) -> str:
    return str(Path(*path.parts[-count:]))
