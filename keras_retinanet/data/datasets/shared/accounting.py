"""Accounts for the files of a data set: image files that a set does not name are reported."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from keras_retinanet.data.datasets.shared.annotations import Annotations
from keras_retinanet.data.datasets.shared.text_files import is_image

MAX_NAMED = 5
"""Files that a note names."""

_SPARE_FILES = 10_000  # files besides twice the images of a set at which the walk ends: the folder is not only its
_MAX_LISTS = 50  # lists in a folder; where there are more, each belongs to one image
_MAX_LIST_BYTES = 64_000_000
_LISTS = (".json", ".txt", ".csv", ".tsv", ".lst", ".odgt", ".ndjson", ".jsonl", ".manifest")
_OTHER_FILES = (
    *_LISTS, ".xml", ".yaml", ".yml", ".names", ".data", ".pbtxt", ".cache", ".md", ".html", ".log", ".py", ".sh", ".m",
    ".mat", ".pdf", ".doc", ".docx", ".xls", ".xlsx", ".db", ".ini", ".zip", ".gz", ".tar", ".tgz", ".7z", ".rar",
    ".tfrecord", ".record", ".csv~", ".lock", ".license", ".pkl", ".rst", ".toml", ".bib", ".url", ".lnk", ".labels",
)  # fmt: skip
_OUTPUTS = ("snapshots", "detections", "__MACOSX")
"""Folders that are not searched: where runs and detections are kept by default, and what macOS adds to archives."""

_WORD = re.compile(rb"[^\s\"',;:/\\<>\[\]{}()]+")


def account_for_files(annotations: Annotations) -> list[str]:
    """Describe files in the folders of a set's images that are not in the set.

    Args:
        annotations: The set. Image files that another list beside its `sources` names belong to another set.

    Returns:
        One sentence about image files, and one about files that are not images; none if there are none. A folder with
        far more files than the set has images is not searched to its end, and nothing is said about it.
    """
    sources = annotations.sources
    named = {image for image in annotations.images if "#bytes=" not in image}
    folders = {os.path.normpath(folder) for folder in {image.rpartition(os.sep)[0] for image in named}}
    if not folders:
        return []
    try:
        root = os.path.commonpath(folders) if len(folders) > 1 else next(iter(folders))
    except ValueError:  # on different drives, or relative and absolute
        return []
    found = list_files(root, 2 * len(named) + _SPARE_FILES)
    known, inside = named.union(sources), os.path.join(root, "")
    left = [name for name in found or () if inside + name not in known]
    left = _without_other_names(root, left, [*named, *sources]) if left else []
    images_left = [name for name in left if is_image(name) and not annotations.describes_unused_images]
    if images_left:
        elsewhere = _words_of_other_lists(sources)
        images_left = [name for name in images_left if not _stem_and_name(name) & elsewhere]
    others = [name for name in left if not is_image(name) and not name.lower().endswith(_OTHER_FILES)]
    others = [name for name in others if os.path.splitext(name)[1]]
    notes = [_describe(root, "image files that the annotations do not name", images_left)] if images_left else []
    return notes + ([_describe(root, "files that are not read as images", others)] if others else [])


def _without_other_names(root: str, left: Sequence[str], used: Sequence[str]) -> list[str]:
    """Files below `root` that are not in `used` under another path: through a link, or not normalised."""
    real = functools.cache(os.path.realpath)  # of folders, few of which are links

    def key(path: str) -> str:
        folder, name = os.path.split(path)
        return os.path.join(real(folder), name)

    known = {key(path) for path in used}
    return [name for name in left if key(os.path.join(root, name)) not in known]


def list_files(folder: str, limit: int) -> list[str] | None:
    """List the files below a folder, hidden ones left out; links to folders are followed once.

    Args:
        folder: Where to look.
        limit: Largest number of files.

    Returns:
        Sorted paths relative to it; `None` if there are more than `limit`, or it cannot be read.
    """
    found: list[str] = []
    try:
        for name in _walk(folder, "", frozenset()):
            found.append(name)
            if len(found) > limit:
                return None
    except OSError:
        return None
    return sorted(found)


def _walk(folder: str, prefix: str, above: frozenset[str]) -> Iterator[str]:
    real = os.path.realpath(folder)
    if real in above:
        return
    folders = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                folders += [] if entry.name in _OUTPUTS else [entry.name]
            else:
                yield prefix + entry.name
    for name in sorted(folders):
        yield from _walk(os.path.join(folder, name), f"{prefix}{name}/", above | {real})


def _stem_and_name(path: str) -> set[bytes]:
    name = os.path.basename(path)
    return {os.fsencode(name), os.fsencode(os.path.splitext(name)[0])}


def _words_of_other_lists(sources: Sequence[str]) -> set[bytes]:
    """Words of the files of the same kinds beside the sources: other sets, which may name images of these folders."""
    own = {os.path.abspath(source) for source in sources}
    words: set[bytes] = set()
    for folder in {os.path.dirname(source) for source in own if source.lower().endswith(_LISTS)}:
        suffixes = {os.path.splitext(source)[1] for source in own if os.path.dirname(source) == folder}
        try:
            beside = [path for path in Path(folder).iterdir() if path.suffix in suffixes and str(path) not in own]
            if len(beside) > _MAX_LISTS or sum(path.stat().st_size for path in beside) > _MAX_LIST_BYTES:
                continue
            for path in beside:
                words |= set(_WORD.findall(path.read_bytes()))
        except OSError:
            continue
    return words


def _describe(folder: str, what: str, names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return f"{folder} has {len(names)} {what}: {', '.join(names[:MAX_NAMED])}{more}"
