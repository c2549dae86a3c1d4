"""Which software made the numbers."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from contextlib import suppress
from importlib import metadata

from keras_retinanet.version import __version__

PACKAGES = ("keras", "tensorflow", "jax", "torch", "numpy", "hotcoco", "pycocotools")


def describe_versions() -> str:
    """Lists the versions of this package, of what it computes with, and of Python.

    Returns:
        Such as `"keras_retinanet 2.0.0, keras 3.15.1, …, Python 3.12.3, Linux x86_64"`.
    """
    python = f"Python {platform.python_version()}", f"{platform.system()} {platform.machine()}"
    return ", ".join([f"keras_retinanet {__version__}", *installed_versions(PACKAGES), *python])


def installed_versions(names: Iterable[str]) -> list[str]:
    """Finds the versions of packages.

    Args:
        names: Names of distributions.

    Returns:
        Name and version of each one that is installed.
    """
    found = []
    for name in names:
        with suppress(metadata.PackageNotFoundError):
            found.append(f"{name} {metadata.version(name)}")
    return found
