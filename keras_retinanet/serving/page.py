"""The page to try a model: one file, no network resources, allowed to run its own script and nothing else."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from pathlib import Path

_FILE = Path(__file__).with_name("page.html")
_HTML = _FILE.read_text(encoding="utf-8")


def _hash(tag: str) -> str:
    """The permission for the page's own `<script>` or `<style>`, by its content."""
    found = re.search(rf"<{tag}>(.*?)</{tag}>", _HTML, re.DOTALL)
    content = found.group(1) if found else ""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


PAGE_HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; script-src {_hash('script')}; style-src {_hash('style')}; "
    "connect-src 'self'; img-src 'self' blob: data:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
"""Sent with the page: what it may do."""


def render_page(model: str) -> str:
    """The page of a model.

    Args:
        model: Its name in URLs.

    Returns:
        HTML.
    """
    return _HTML.replace("{{model}}", html.escape(model, quote=True))
