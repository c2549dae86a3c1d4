"""Puts the page together: one HTML file without resources from the network, allowed to run only its own script."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_ASSETS = Path(__file__).with_name("assets")
_SCRIPTS = ("dom.js", "plots.js", "tables.js", "galleries.js", "page.js")


def render_page(content: Mapping[str, Any], pictures: Sequence[str]) -> str:
    """Renders a report.

    Data are embedded as JSON, which the script puts on the page as text, never as markup; the content security
    policy allows the script and the style of this page by their hashes, pictures inside the page, and nothing else.

    Args:
        content: The sections of the report as plain values without nan; see `report.content`.
        pictures: The pictures of the galleries as `data:` URLs.

    Returns:
        HTML.
    """
    script, style = "".join(_read_asset(name) for name in _SCRIPTS), _read_asset("page.css")
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    parts = {
        "policy": policy,
        "title": html.escape(content["title"]),
        "style": style,
        "data": embed_json(content),
        "pictures": embed_json(list(pictures)),
        "script": script,
    }
    page = _read_asset("page.html")
    pieces = page.split("{{")  # not by replace(): data may hold the name of another part
    return pieces[0] + "".join(parts[name] + rest for name, _, rest in (piece.partition("}}") for piece in pieces[1:]))


def embed_json(value: Any) -> str:
    """Formats a value as JSON that can stand inside a `<script>` element.

    Args:
        value: Plain values.

    Returns:
        JSON in which no tag and no comment can begin or end.

    Raises:
        ValueError: The value has nan or infinity.
    """
    text = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    text = text.encode("utf-8", "replace").decode("utf-8")  # a lone surrogate of a file name is "?"
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _read_asset(name: str) -> str:
    return (_ASSETS / name).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    """The content security policy's name of an inline script or style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"
