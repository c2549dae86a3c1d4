"""How to install what an optional feature needs: the only place that names the installation command."""

from __future__ import annotations

from typing import Literal

Extra = Literal[
    "beam",
    "fiftyone",
    "grpc",
    "heif",
    "litert",
    "nncf",
    "onnx",
    "openvino",
    "parquet",
    "ray",
    "serve",
    "supervision",
    "tfds",
    "video",
]
"""Extras of pyproject.toml that a feature asks for by name when their packages are missing."""


def install_hint(extra: Extra) -> str:
    """What to type to install an extra.

    It names the checkout, not a package on PyPI: `keras-retinanet` there is fizyr's last release (1.0.0, 2020).

    Args:
        extra: Name of the extra.

    Returns:
        The command and where to run it, to be put into an error message.
    """
    return f"pip install '.[{extra}]' in the checkout of keras_retinanet"
