"""Settings of the documentation site; `docs/build.py` builds it."""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # document this checkout, not an installed copy

from keras_retinanet import __version__

project = "keras_retinanet"
release = version = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "index"
html_theme = "furo"
html_title = f"keras_retinanet {release}"
html_copy_source = False
html_use_index = False  # the search finds names; an index of three thousand of them is a twelfth of the site
html_domain_indices = False
html_show_sphinx = False

myst_heading_anchors = 4  # links such as training.md#random-changes-to-the-images
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
napoleon_use_ivar = True  # attributes of a dataclass are listed once, in its docstring
toc_object_entries = False  # two thirds of the time of a build, for a sidebar of two thousand names
python_use_unqualified_type_names = True


def markdown_to_rst(lines: list[str]) -> list[str]:
    """Turns what Markdown docstrings hold into reStructuredText: code spans, and tables as they are typed.

    Args:
        lines: list of str. The docstring.

    Returns:
        The lines for Sphinx.
    """
    text = re.sub(r"(?<!`)(\w?)`([^`]+)`(?!`)(\w?)", _literal, "\n".join(lines))
    text = re.sub(
        r"(?:^\|.*\|(?:\n|\Z))+", lambda table: "::\n\n" + textwrap.indent(table[0], "    ") + "\n", text, flags=re.M
    )
    return text.split("\n")


def _literal(span: re.Match[str]) -> str:
    """A code span; letters that touch it are set apart by the backslash and space that reStructuredText asks for."""
    before, code, after = span[1], " ".join(span[2].split()), span[3]
    return (before and before + "\\ ") + f"``{code}``" + (after and "\\ " + after)


def setup(app: Any) -> None:
    """Registers the conversion of docstrings.

    Args:
        app: sphinx.application.Sphinx. The builder.
    """
    app.connect("autodoc-process-docstring", _convert_docstring, priority=100)  # before napoleon reads the sections
    app.connect("autodoc-process-signature", _show_constructor)


def _convert_docstring(*event: Any) -> None:
    lines = event[-1]
    lines[:] = markdown_to_rst(lines)


def _show_constructor(_: Any, kind: str, name: str, value: Any, *rest: Any) -> tuple[str, str] | None:
    """Keras hides the arguments of its classes behind a `__new__(cls, *args, **kwargs)`: show those of `__init__`."""
    from sphinx.util.inspect import stringify_signature  # the tests read this file where Sphinx is not installed

    del name
    signature = rest[1]
    if kind != "class" or signature != "(*args, **kwargs)":
        return None
    arguments = list(inspect.signature(value.__init__).parameters.values())[1:]
    return stringify_signature(inspect.Signature(arguments), unqualified_typehints=True), ""
