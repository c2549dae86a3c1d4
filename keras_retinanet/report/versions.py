"""Which software made the numbers."""

from __future__ import annotations

import platform
from importlib import metadata

from keras_retinanet.version import __version__

PACKAGES = ("keras", "tensorflow", "jax", "torch", "numpy", "hotcoco", "pycocotools")


def describe_versions() -> str:
    """Lists the versions of this package, of what it computes with, and of Python.

    Returns:
        Such as `"keras_retinanet 2.0.0, keras 3.15.1, …, Python 3.12.3, Linux x86_64"`.
    """
    found = [f"keras_retinanet {__version__}"]
    for name in PACKAGES:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return ", ".join([*found, f"Python {platform.python_version()}", f"{platform.system()} {platform.machine()}"])
