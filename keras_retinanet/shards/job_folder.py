"""The folder of a job: its settings, and one file per shard that is done."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_retinanet.shards.image_shards import LIST_NAME, Shard
from keras_retinanet.snapshots.atomic_files import remove_parts, write_whole

JOB_NAME = "job.json"
"""File of a job's folder with its settings and the names of its shards' files."""


def prepare_folder(folder: Path, settings: Mapping[str, Any], shards: Sequence[Shard]) -> list[Shard]:
    """Writes the settings of a job, and removes what does not belong to it: half-written files, shards of other images.

    Args:
        folder: The folder, new or that of an earlier run of the same job.
        settings: What the results depend on, as JSON takes it.
        shards: All shards.

    Returns:
        The shards that are not done yet.
    """
    names = [shard.file_name for shard in shards]
    remove_parts(folder)
    for path in set(folder.glob("[0-9]*-*.npz")) - {folder / name for name in names}:
        path.unlink()
    content = json.dumps({"settings": settings, "shards": names}, indent=1)
    write_whole(folder / JOB_NAME, lambda path: path.write_text(content, encoding="utf-8"))
    done = {path.name for path in folder.glob("*.npz")}
    return [shard for shard in shards if shard.file_name not in done]


def check_same_job(folder: Path, settings: Mapping[str, Any]) -> None:
    """Refuses a folder with the shards of another job.

    Args:
        folder: A folder, which need not exist.
        settings: As for `prepare_folder`.

    Raises:
        ValueError: A setting differs, or the folder holds other things.
    """
    if not (folder / JOB_NAME).exists():
        own = (".", LIST_NAME)  # written before the settings, by a run that was killed in between
        if folder.is_dir() and any(not path.name.startswith(own) for path in folder.iterdir()):
            raise ValueError(f"{folder} is not empty and has no shards of an earlier run; name a new folder in --out.")
        return
    before = read_job(folder)["settings"]
    now = json.loads(json.dumps(settings))
    for name in sorted({*before, *now}):
        if before.get(name) != now.get(name):
            raise ValueError(
                f"{folder} holds shards of another run: {name} was {_show(before.get(name))}, now it is "
                f"{_show(now.get(name))}. Give the same, or another folder in --out."
            )


def read_job(folder: Path) -> dict[str, Any]:
    """Reads the settings of a job and the names of its shards' files.

    Args:
        folder: The folder.

    Returns:
        `{"settings": {…}, "shards": [name, …]}`.

    Raises:
        ValueError: The file is damaged.
    """
    path = folder / JOB_NAME
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return {"settings": dict(content["settings"]), "shards": list(content["shards"])}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged ({error}); remove {folder} and run again.") from None


def is_job_folder(path: Path) -> bool:
    """Whether a path is the folder of a job."""
    return (path / JOB_NAME).is_file()


def digest_of_file(path: Path) -> str:
    """32 hexadecimal digits of a file's content, or of all files of a folder.

    Args:
        path: A file or folder.

    Returns:
        The digits; equal for equal contents under any path.
    """
    digest = hashlib.blake2b(digest_size=16)
    for file in [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file()):
        if path.is_dir():
            digest.update(file.relative_to(path).as_posix().encode())
        with file.open("rb") as content:
            while block := content.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _show(value: Any) -> str:
    return "not given" if value is None else json.dumps(value)
