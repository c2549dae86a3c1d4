"""Make `docs/tutorial.ipynb` from `docs/tutorial.md`: `python docs/notebook.py`.

Text becomes Markdown cells, `py` blocks become code cells, and each line of an `sh` block becomes a command after `!`.
No output is stored.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().with_name("tutorial.md")
BLOCK = re.compile(r"^```(py|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r" ?\(\[more\]\(\w+\.md\)\)|\[([^\]]+)\]\([\w.#-]+\)")  # pages beside the notebook may be absent


def main() -> None:
    """Writes the notebook beside the page."""
    PAGE.with_suffix(".ipynb").write_text(notebook(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


def notebook(page: str) -> str:
    """The notebook of a page.

    Args:
        page: str. Markdown with `py` and `sh` blocks.

    Returns:
        JSON of nbformat 4.5, without outputs.
    """
    cells = [(kind, source.strip()) for kind, source in _cells(page) if source.strip()]
    content = {
        "cells": [_cell(f"cell-{place}", kind, source) for place, (kind, source) in enumerate(cells)],
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _cells(page: str) -> Iterator[tuple[str, str]]:
    end = 0
    for block in BLOCK.finditer(page):
        yield "markdown", _LINK.sub(r"\1", page[end : block.start()])
        language, source = block.groups()
        yield "code", re.sub(r"^(?=.)", "!", source, flags=re.MULTILINE) if language == "sh" else source
        end = block.end()
    yield "markdown", _LINK.sub(r"\1", page[end:])


def _cell(identifier: str, kind: str, source: str) -> dict[str, Any]:
    cell = {"cell_type": kind, "id": identifier, "metadata": {}, "source": source.splitlines(keepends=True)}
    return cell | ({"execution_count": None, "outputs": []} if kind == "code" else {})


if __name__ == "__main__":
    main()
