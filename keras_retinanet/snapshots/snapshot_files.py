"""The snapshots of a run on disk: written aside, verified, renamed, and the newest of them kept."""

from __future__ import annotations

import dataclasses
import json
import os
import zipfile
from pathlib import Path
from typing import Any

from keras_retinanet.snapshots.atomic_files import copy_whole, naming, write_durably
from keras_retinanet.snapshots.run_folder import STATE_MEMBER, Progress, Run, read_progress

EARLIER = "epoch*-step*.keras"
"""Names of the snapshots that `--keep` leaves beside `last.keras`."""


def save_snapshot(model: Any, path: Path, progress: Progress) -> None:
    """Saves model, optimizer and progress as one `.keras` file, whole or not at all.

    Every byte is read again and compared with its checksum before the file gets its name.

    Args:
        model: keras.Model. Compiled, so that the optimizer is saved too.
        path: Where to; an older file there is replaced at the very end.
        progress: Stored inside the archive.

    Raises:
        WriteError: The file cannot be written, or its content differs from what was written.
    """

    def write(temporary: Path) -> None:
        model.save(temporary)
        with zipfile.ZipFile(temporary, "a") as archive:
            archive.writestr(STATE_MEMBER, json.dumps(dataclasses.asdict(progress)))

    write_durably(path, write, check=_verify)


def save_last(model: Any, run: Run, progress: Progress, keep: int = 1) -> None:
    """Writes `last.keras`, and keeps the ones before it under the names of their steps.

    Args:
        model: keras.Model. Compiled.
        run: The folder.
        progress: Stored inside the archive.
        keep: Snapshots to keep, `last.keras` included. Defaults to 1.

    Raises:
        WriteError: A file cannot be written.
    """
    if keep > 1 and run.last.exists():
        _keep_earlier(run)
    save_snapshot(model, run.last, progress)
    for path in earlier_snapshots(run)[max(keep - 1, 0) :] if keep > 1 else ():
        with naming(path):
            path.unlink(missing_ok=True)


def earlier_snapshots(run: Run) -> list[Path]:
    """The snapshots before `last.keras`.

    Args:
        run: The folder.

    Returns:
        Their paths, the newest first.
    """
    return sorted(run.folder.glob(EARLIER), key=lambda path: (path.stat().st_mtime_ns, path.name), reverse=True)


def _keep_earlier(run: Run) -> None:
    """Gives `last.keras` a second name, under which it stays when the next one takes its place."""
    progress = read_progress(run.last)
    path = run.folder / f"epoch{progress.epoch:04d}-step{progress.step:06d}.keras"
    if path.exists() and path.samefile(run.last):
        return
    with naming(path):
        path.unlink(missing_ok=True)  # of a part of the run that was repeated
    try:
        os.link(run.last, path)
    except OSError:  # a disk without links
        copy_whole(run.last, path)


def _verify(path: Path) -> None:
    """Reads all of a snapshot, and compares it with its checksums."""
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
    except zipfile.BadZipFile as error:
        broken = str(error)
    if broken is not None:
        raise OSError(0, f"what was read again differs from what was written ({broken}): the disk is failing")
