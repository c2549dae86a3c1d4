"""Writes and checks an artefact of any format under a temporary name, then moves it into place."""

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
"""Called with the path of a finished artefact before it is moved into place; raises `ValueError` to reject it."""
LEAST_SIDE = 32
"""Side of the smallest input in pixels, which the network halves five times."""


def write_file(
    name: ExportFormat, out: Path, settings: ExportConfig, write: Callable[[Path], object], check: Check | None
) -> Path:
    """Writes an artefact that is one file.

    Args:
        name: Name of the format.
        out: Path of the artefact.
        settings: Dtype, input size and folding.
        write: Writes the file to a path of the same suffix.
        check: See `Check`.

    Returns:
        `out`.

    Raises:
        ValueError: The format has another suffix or does not support the settings, or the check failed.
    """
    suffix = next(suffix for suffix, known in SUFFIXES.items() if known == name)
    if out.suffix != suffix:
        other = SUFFIXES.get(out.suffix)
        fix = f" For {out.suffix}, choose the {other} format." if other else ""
        raise ValueError(f"The {name} format is a file that ends in {suffix}; got {str(out)!r}.{fix}")
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
        out: Path of the artefact; an existing folder is replaced.
        write: Writes the files to a new, empty folder.
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
    """Refuses settings that a format does not support.

    Args:
        name: Name of the format.
        settings: The settings.

    Raises:
        ValueError: The message names what is allowed.
    """
    allowed = [dtype for known, dtype in TOLERANCES if known == name]
    if settings.dtype not in allowed:
        others = ", ".join(other for other, dtype in TOLERANCES if dtype == settings.dtype)
        raise ValueError(
            f"The {name} format is written in {', '.join(allowed)}; got {settings.dtype!r}. "
            f"In {settings.dtype} can be written {others}."
        )
    if settings.has_resize and name in ("keras", "saved_model"):
        already = "resizes already" if name == "saved_model" else "is opened by this package, which resizes"
        raise ValueError(f"The {name} format {already}; omit --with-resize.")
    if settings.winograd != "off" and (name, settings.dtype) != ("saved_model", "float32"):
        raise ValueError(
            f"Winograd's algorithm is for a saved_model in float32; got {name} in {settings.dtype}. Omit --winograd."
        )
    if settings.image_size is not None:
        if name in ("keras", "saved_model"):
            raise ValueError(f"The {name} format takes images of any size; omit --image-size.")
        if min(settings.image_size) < LEAST_SIDE:
            raise ValueError(f"--image-size needs sides of at least {LEAST_SIDE} pixels; got {settings.image_size}.")
    if (settings.dtype == "int8") != (settings.representative is not None):
        raise ValueError(
            "int8 needs --representative FOLDER, images from which ranges are learnt, or a snapshot in the folder of "
            "its run, whose training images are used; no other dtype does."
        )
