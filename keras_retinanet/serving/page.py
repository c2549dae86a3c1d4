"""The page to try a model: one file without resources from the network, allowed to run only its own script."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from pathlib import Path

_FILE = Path(__file__).with_name("page.html")
_HTML = _FILE.read_text(encoding="utf-8")


def _hash(tag: str) -> str:
    """The content security policy's hash of the page's own `<script>` or `<style>`."""
    found = re.search(rf"<{tag}>(.*?)</{tag}>", _HTML, re.DOTALL)
    content = found.group(1) if found else ""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


PAGE_HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; script-src {_hash('script')}; style-src {_hash('style')}; "
    "connect-src 'self'; img-src 'self' blob: data:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
"""Headers of the page, which restrict what it may do."""


def render_page(model: str) -> str:
    """Renders the page of a model.

    Args:
        model: Name of the model in URLs.

    Returns:
        HTML.
    """
    return _HTML.replace("{{model}}", html.escape(model, quote=True))
