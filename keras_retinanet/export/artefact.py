"""What the formats share: an artefact is written and checked under a temporary name, then moved into place."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from keras_retinanet.config import ExportConfig, ExportFormat
from keras_retinanet.export.tolerances import TOLERANCES
from keras_retinanet.runtimes import SUFFIXES
from keras_retinanet.snapshots.atomic_files import write_whole

Check = Callable[[Path], object]
"""Gets the path of a finished artefact before it is moved into place; raises `ValueError` where it is wrong."""
LEAST_SIDE = 32
"""Pixels of the smallest input that a network can halve five times."""


def write_file(
    name: ExportFormat, out: Path, settings: ExportConfig, write: Callable[[Path], object], check: Check | None
) -> Path:
    """Writes an artefact that is one file.

    Args:
        name: Its format.
        out: Its path.
        settings: How it is written.
        write: Gets a path of the same suffix and writes the file there.
        check: See `Check`.

    Returns:
        `out`.

    Raises:
        ValueError: The ending or the settings are not those of the format, or the check failed.
    """
    suffix = next(suffix for suffix, known in SUFFIXES.items() if known == name)
    if out.suffix != suffix:
        raise ValueError(f"The {name} format is a file that ends in {suffix}; got {str(out)!r}.")
    check_settings(name, settings)
    out.parent.mkdir(parents=True, exist_ok=True)

    def write_and_check(path: Path) -> None:
        write(path)
        if check is not None:
            check(path)

    write_whole(out, write_and_check)
    return out


def write_folder(out: Path, write: Callable[[Path], object], check: Check | None) -> Path:
    """Writes an artefact that is a folder.

    Args:
        out: Its path; an existing folder is replaced.
        write: Gets a new, empty folder and fills it.
        check: See `Check`.

    Returns:
        `out`.

    Raises:
        ValueError: The check failed.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=".writing-", dir=out.parent))
    try:
        whole = aside / "new"
        whole.mkdir()
        write(whole)
        if check is not None:
            check(whole)
        if out.exists():
            out.rename(aside / "old")
        whole.rename(out)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return out


def check_settings(name: ExportFormat, settings: ExportConfig) -> None:
    """Refuses settings that a format cannot have.

    Args:
        name: The format.
        settings: What is wanted.

    Raises:
        ValueError: Names what is allowed.
    """
    allowed = [dtype for known, dtype in TOLERANCES if known == name]
    if settings.dtype not in allowed:
        others = ", ".join(other for other, dtype in TOLERANCES if dtype == settings.dtype)
        raise ValueError(
            f"The {name} format is written in {', '.join(allowed)}; got {settings.dtype!r}. "
            f"In {settings.dtype} can be written {others}."
        )
    if settings.image_size is not None:
        if name in ("keras", "saved_model"):
            raise ValueError(f"The {name} format takes images of any size; omit --image-size.")
        if min(settings.image_size) < LEAST_SIDE:
            raise ValueError(f"--image-size needs sides of at least {LEAST_SIDE} pixels; got {settings.image_size}.")
    if (settings.dtype == "int8") != (settings.representative is not None):
        raise ValueError(
            "int8 needs --representative FOLDER, images from which ranges are learnt; no other dtype does."
        )
