"""Finds the images and videos that `retinanet-detect` is given, and names their results."""

from __future__ import annotations

import collections
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from keras_retinanet.detection.result_files import number_of


@dataclass(frozen=True)
class Source:
    """An image or video.

    Attributes:
        path: Path of the file.
        name: Relative name of its results, unique even without the suffix.
    """

    path: Path
    name: str


def find_sources(words: Sequence[str], is_recursive: bool) -> tuple[list[Source], list[Source]]:
    """Expands the arguments of the command line to files.

    Args:
        words: Files, folders and patterns.
        is_recursive: Whether to search subfolders.

    Returns:
        Images and videos, in the order given.

    Raises:
        ValueError: A file does not exist, or a folder or pattern has no images.
    """
    from keras_retinanet.data.image_archives import is_archive
    from keras_retinanet.data.image_files import find_images
    from keras_retinanet.data.image_names import own_name
    from keras_retinanet.detection.video import VIDEO_SUFFIXES

    taken: collections.Counter[str] = collections.Counter()
    images: list[Source] = []
    videos: list[Source] = []
    for word in words:
        is_folder = Path(word).is_dir()
        for path in find_images(word, is_recursive=is_recursive):
            if not is_folder and not path.exists():
                raise ValueError(f"No such image, video or folder: {word!r}.")
            if is_archive(path):
                raise ValueError(f"{path} is an archive of images: add --runner local (or another runner, see --help).")
            name = own_name(path.relative_to(word) if is_folder else Path(path.name), taken)
            (videos if path.suffix.lower() in VIDEO_SUFFIXES else images).append(Source(path, name))
    return images, videos


def find_inputs(words: Sequence[str], is_recursive: bool) -> tuple[list[Source], list[Source]]:
    """Expands the arguments of a command line with `--runner` to files.

    Args:
        words: Files, folders and patterns.
        is_recursive: Whether to search subfolders.

    Returns:
        Images, and archives of images (tar, TFRecord), each in the order given. The name of an archive has no suffix.

    Raises:
        ValueError: A file does not exist, a folder or pattern has neither, or a file is a video.
    """
    from keras_retinanet.data.image_archives import find_archives

    taken: collections.Counter[str] = collections.Counter()
    archives, others = [], []
    for word in words:
        paths = find_archives(word, is_recursive=is_recursive)
        for path in paths:
            own = path.relative_to(word).as_posix() if Path(word).is_dir() else path.name
            archives.append(Source(path, _own_archive_name(re.sub(r"\.(tar|tar\.gz|tgz)$", "", own), taken)))
        if not paths or (paths != [Path(word)] and _has_images(word, is_recursive)):
            others.append(word)
    images, videos = find_sources(others, is_recursive)
    if videos:
        raise ValueError(f"{videos[0].path} is a video, which --runner does not take: detect in it without --runner.")
    return images, archives


def _own_archive_name(name: str, taken: collections.Counter[str]) -> str:
    taken[name] += 1
    return name if taken[name] == 1 else _own_archive_name(f"{name}-{taken[name]}", taken)


def _has_images(word: str, is_recursive: bool) -> bool:
    from keras_retinanet.data.image_files import find_images

    try:
        return bool(find_images(word, is_recursive=is_recursive))
    except ValueError:
        return False


def refuse_overwriting(images: Sequence[Source], videos: Sequence[Source], out: Path) -> None:
    """Checks that no output picture would overwrite a source.

    Args:
        images: The images.
        videos: The videos.
        out: Folder of the pictures.

    Raises:
        ValueError: An output would overwrite a source.
    """
    given = {os.path.realpath(source.path) for source in (*images, *videos)}
    for sources, suffix in ((images, ".jpg"), (videos, ".mp4")):
        for source in sources:
            place = (out / source.name).with_suffix(suffix)
            if os.path.realpath(place) in given:
                raise ValueError(f"The picture with boxes would replace {str(place)!r}; name another folder in --out.")


def numbered(names: Sequence[str]) -> dict[str, int]:
    """Derives image ids from file names, as in COCO (`000000000139.jpg` is 139).

    Args:
        names: File names.

    Returns:
        File name → id; empty if a name is not a number, or two are equal.
    """
    ids = {name: number for name in names if (number := number_of(name)) is not None}
    return ids if len(set(ids.values())) == len(names) else {}
