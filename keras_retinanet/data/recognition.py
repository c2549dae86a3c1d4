"""Recognises the format of a data set by its files, and says what to do if that fails."""

from __future__ import annotations

import collections
import dataclasses
import difflib
import os
import re
import shlex
from pathlib import Path

from keras_retinanet.data.datasets import DATASETS, Layout, find_layouts
from keras_retinanet.data.datasets.shared.text_files import is_image
from keras_retinanet.data.datasets.unsupported import find_unsupported
from keras_retinanet.data.errors import DataError
from keras_retinanet.data.image_files import near_name_hint

ARCHIVES = {
    ".zip": "unzip -q {file} -d {folder}",
    ".tar": "mkdir -p {folder} && tar -xf {file} -C {folder}",
    ".tar.gz": "mkdir -p {folder} && tar -xf {file} -C {folder}",
    ".tgz": "mkdir -p {folder} && tar -xf {file} -C {folder}",
    ".tar.bz2": "mkdir -p {folder} && tar -xf {file} -C {folder}",
    ".tar.xz": "mkdir -p {folder} && tar -xf {file} -C {folder}",
    ".7z": "7z x {file} -o{folder}",
    ".rar": "unrar x {file} {folder}/",
}
"""Commands that unpack an archive into a folder, by the ending of its name."""

_OPENVINO = ("model.xml", "model.bin")
_OWN_SAVED_MODEL = "assets.extra/keras_retinanet.json"
_EXPORTED = (".onnx", ".tflite")
MODEL_SUFFIXES = (".keras", *_EXPORTED, ".h5", ".hdf5", ".pth", ".pt", ".safetensors")
"""Endings of snapshots, exported models and checkpoints; without `.pkl`, which may also be annotations."""

_NEAREST = {
    ".json": "coco", ".xml": "pascal", ".csv": "csv", ".txt": "yolo", ".yaml": "yolo", ".yml": "yolo",
    ".tfrecord": "tfrecord", ".record": "tfrecord",
}  # fmt: skip
_SYNONYMS = {
    "voc": "pascal", "pascalvoc": "pascal", "openimages": "oid", "yolov5": "yolo", "yolov8": "yolo", "darknet": "yolo",
    "ultralytics": "yolo", "tfrecords": "tfrecord", "widerface": "wider", "bdd": "bdd100k", "groundtruth": "sagemaker",
    "ls": "labelstudio", "vgg": "via", "bboxcsv": "csv", "retinanet": "csv",
}  # fmt: skip
"""Usual names of formats, and their words."""

_IGNORED = {"__MACOSX", "README.md", "README.txt", "LICENSE", "LICENSE.txt"}
_MAX_ENTRIES = 20_000  # of the folder and its sub-folders, counted for a message
_MAX_SHOWN = 6
_MAX_PROBED = 20  # folders that are looked into for the nearest match


def recognise(path: str | os.PathLike[str], command: str) -> Layout:
    """Recognise the format of a data set.

    A folder whose only entry is a folder, as archives are often unpacked, stands for that folder.

    Args:
        path: A folder or file.
        command: The command line up to the format, such as `"retinanet-train"`, for messages.

    Returns:
        The layout.

    Raises:
        DataError: The path does not exist, is an archive, or shows no format or several. The message names the next
            command.
    """
    place = Path(path)
    if not _exists(place):
        allowed = f"a path, or the word of a format (`{command.split()[0]} --help` lists them)"
        raise DataError(
            str(path), "is not there", allowed, _near_word_hint(str(path)) + near_name_hint(place) + "check it"
        )
    refuse_archive(place)
    layouts = find_layouts(place) or _find_in_only_folder(place)
    best = [layout for layout in layouts if layout.certainty == layouts[0].certainty]
    if len(best) == 1:
        others = tuple(layout for layout in layouts[1:] if layout.evidence != best[0].evidence)
        return dataclasses.replace(best[0], others=others)
    if best:
        readings = "; ".join(f"{layout.format}: {layout.evidence}" for layout in best)
        choices = " or ".join(f"`{command} {layout.format} {shlex.quote(str(layout.path))}`" for layout in best)
        raise DataError(str(path), f"has {len(best)} readings ({readings})", "one", f"choose with {choices}")
    if (unsupported := find_unsupported(place)) is not None:
        known, file = unsupported
        shown = file.name if file == place else file.relative_to(place).as_posix()
        raise DataError(str(path), f"is {known.name} ({shown}), which is not read", "another format", known.way_round)
    raise DataError(str(path), *_describe_unknown(place, command))


def describe_others(layout: Layout) -> list[str]:
    """Sentences about files of other formats at the path of a layout that `recognise` returned: they are not used."""
    return [
        f"{layout.path} has files of another format, too, which are not used ({other.evidence}): "
        f"`{other.format} {shlex.quote(str(other.path))}` in place of the path reads them"
        for other in layout.others
    ]


def refuse_archive(path: Path) -> None:
    """Raise `DataError` with the command that unpacks it if a path is an archive."""
    ending = next((ending for ending in ARCHIVES if path.name.lower().endswith(ending)), None)
    if ending is None or not path.is_file():
        return
    folder = path.with_name(path.name[: -len(ending)])
    unpack = ARCHIVES[ending].format(file=shlex.quote(str(path)), folder=shlex.quote(str(folder)))
    fix = f"unpack it with `{unpack}` and give {shlex.quote(str(folder))}"
    raise DataError(str(path), f"is a {ending} archive", "a folder or an annotation file", fix)


def _near_word_hint(word: str) -> str:
    """Advice for a word that is almost that of a format, or its usual name."""
    folded = re.sub(r"[^a-z0-9]", "", word.lower())
    near = _SYNONYMS.get(folded) or next(iter(difflib.get_close_matches(folded, DATASETS, 1, 0.75)), None)
    return f"did you mean the format {near}? otherwise " if near else ""


def _exists(place: Path) -> bool:
    try:
        return place.exists()
    except (OSError, ValueError):  # a name that is too long, a zero byte
        return False


def _entries(folder: Path) -> list[Path]:
    try:
        found = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    except (OSError, ValueError):
        return []
    return sorted(entry for entry in found if entry.name not in _IGNORED)


def _find_in_only_folder(place: Path) -> list[Layout]:
    entries = _entries(place) if place.is_dir() else []
    if len(entries) != 1 or not entries[0].is_dir():
        return []
    return find_layouts(entries[0]) or _find_in_only_folder(entries[0])


def _describe_unknown(place: Path, command: str) -> tuple[str, str, str]:
    """What was found, what was looked for, and the next command."""
    program = command.split()[0]
    looked_for = f"files of one of the formats that `{program} --help` lists"
    if (kind := _kind_of_model(place)) is not None:
        return f"is {kind}, not a data set", looked_for, _way_to_name_a_model(program, place)
    if place.is_file():
        if (home := _home_of(place)) is not None:
            fix = f"give the folder that it belongs to: `{command} {shlex.quote(str(home))}`"
            return "is not a data set of its own", looked_for, fix
        word = _NEAREST.get(place.suffix.lower())
        fix = f"to see what is missing: `{command} {word} {shlex.quote(str(place))}`" if word else "give its folder"
        return "is a file that no format recognises", looked_for, fix
    counts, folders = _count_endings(place)
    most = [f"{number:,} {ending}" for ending, number in counts.most_common(_MAX_SHOWN)]
    found = f"has files of no known layout: {', '.join(most) or 'no files'}"
    if folders:
        more = ", …" if len(folders) > _MAX_SHOWN else ""
        found += f" in the folders {', '.join(folders[:_MAX_SHOWN])}{more}"
    return found, looked_for, _suggest(place, counts, command)


def _kind_of_model(place: Path) -> str | None:
    """What a path is that holds a model, such as "a model file"; `None` for others."""
    if place.is_file():
        return "a model file" if place.suffix.lower() in MODEL_SUFFIXES else None
    entries = _entries(place)
    names = {entry.name for entry in entries}
    if "saved_model.pb" in names:
        return "a SavedModel"
    if any(entry.name.isdigit() and (entry / "saved_model.pb").is_file() for entry in entries):
        return "a folder of versions of a SavedModel"
    if set(_OPENVINO) <= names:
        return "an OpenVINO model"
    return "the folder of a run" if {"config.yaml", "last.keras"} <= names else None


def _way_to_name_a_model(program: str, place: Path) -> str:
    quoted = shlex.quote(str(place))
    if program == "retinanet-evaluate":
        return f"name the data set first: `{program} DATA {quoted}`"
    if program != "retinanet-train":
        return f"name the data set: `{program} DATA`"
    if place.suffix.lower() in _EXPORTED or _is_exported_folder(place):
        return f"an exported model cannot be trained; start from its snapshot with `{program} DATA --weights SNAPSHOT`"
    start = f"start from a model with `{program} DATA --weights {quoted}`"
    is_of_a_run = ((place if place.is_dir() else place.parent) / "config.yaml").is_file()
    return f"{start}, continue a run with `{program} --resume {quoted}`" if is_of_a_run else start


def _is_exported_folder(place: Path) -> bool:
    """Whether a folder is what `retinanet-convert-model` writes; other SavedModels may be importable."""
    versions = [entry for entry in _entries(place) if entry.name.isdigit()]
    is_saved_model = any((folder / _OWN_SAVED_MODEL).is_file() for folder in (place, *versions))
    return is_saved_model or all((place / name).is_file() for name in _OPENVINO)


def _has_class_folders(place: Path) -> bool:
    """Whether all images are in at least two sub-folders."""
    entries = _entries(place)
    folders = [entry for entry in entries if entry.is_dir()]
    holds = [any(is_image(file.name) for file in _entries(folder)) for folder in folders]
    return sum(holds) > 1 and not any(is_image(entry.name) for entry in entries)


def _home_of(file: Path) -> Path | None:
    """The folder of the data set that a file belongs to: its own, or the one above of which that is a part."""
    above = find_layouts(file.parent.parent)
    if above and Path(above[0].evidence).parts[:1] == (file.parent.name,):
        return file.parent.parent
    return file.parent if find_layouts(file.parent) else None


def _concerns(layout: Layout, place: Path) -> bool:
    """Whether the layout of the folder above a place includes the place, and is not that of a folder next to it."""
    first, *rest = Path(layout.evidence).parts or (".",)
    return not rest or first == place.name or first.lower() in ("annotations", "labels", "imagesets")


def _count_endings(place: Path) -> tuple[collections.Counter[str], list[str]]:
    counts: collections.Counter[str] = collections.Counter()
    folders: list[str] = []
    for home, names, files in os.walk(place):
        names[:] = sorted(name for name in names if not name.startswith("."))
        folders += [os.path.relpath(os.path.join(home, name), place) for name in names]
        shown = [name for name in files if not name.startswith(".")]
        counts.update(Path(name).suffix.lower() or "without ending" for name in shown)
        if counts.total() > _MAX_ENTRIES:
            break
    return counts, sorted(folders)


def _suggest(place: Path, counts: collections.Counter[str], command: str) -> str:
    """The nearest match: a folder above or below that is recognised, or the format of most annotation files."""
    near = [entry for entry in _entries(place) if entry.is_dir()]
    below = [inner for entry in near for inner in _entries(entry) if inner.is_dir()]
    for level in (near, below):
        several = [shlex.quote(str(folder)) for folder in level[:_MAX_PROBED] if find_layouts(folder)]
        if len(several) > 1:
            return f"{len(several)} data sets are below it; to join them: `{command} {' '.join(several)}`"
    for folder in [*near, *below, place.parent]:
        layouts = find_layouts(folder)
        if layouts and (folder != place.parent or _concerns(layouts[0], place)):
            layout, quoted = layouts[0], shlex.quote(str(folder))
            return f"{quoted} looks like {layout.format} ({layout.evidence}): `{command} {layout.format} {quoted}`"
    archives = [entry for entry in _entries(place) if entry.name.lower().endswith(tuple(ARCHIVES))]
    if archives:
        return f"unpack {shlex.quote(str(archives[0]))} first"
    if (place / "synsets.txt").exists() or (not set(counts) & set(_NEAREST) and _has_class_folders(place)):
        return (
            "these images are sorted into folders by class, as for image classification (ImageNet); a detector needs "
            "boxes: export the task in a format of detection, such as COCO or Pascal VOC"
        )
    annotations = {ending: number for ending, number in counts.items() if ending in _NEAREST}
    if annotations:
        word = _NEAREST[max(annotations, key=lambda ending: annotations[ending])]
        return f"to see what is missing: `{command} {word} {shlex.quote(str(place))}`"
    if any(is_image("a" + ending) for ending in counts):
        return "these are images without annotations; give the folder that has both, or label them first"
    return "give the folder that has the annotations"
