"""Build the documentation site: `python docs/build.py build/site`, with the extra `docs` installed.

The pages are the repository's own Markdown files, plus one reference page per room of the package, made from its
docstrings. A warning, a link that leads nowhere, or a font, style, script or image from another host fails the build.
"""

from __future__ import annotations

import argparse
import html.parser
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote, urldefrag

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "keras_retinanet"
CHAPTERS = {
    "Guide": [
        "tutorial",
        "datasets",
        "doctor",
        "training",
        "scaling",
        "focal_loss",
        "evaluating",
        "detecting",
        "serving",
        "architectures",
        "backbones",
        "migrating",
    ],
    "Development": ["architecture", "extending", "/CONTRIBUTING", "releasing"],
    "Project": ["/CHANGELOG", "/SECURITY"],
}
"""The sidebar: pages of `docs/`, or of the root if they begin with a slash. Sphinx refuses a page that is left out."""
NOT_DOCUMENTED = {"cli"}
"""Rooms without a reference page: commands are documented by `--help`."""


def main(argv: Sequence[str] | None = None) -> int:
    """Builds the site.

    Args:
        argv: Sequence. Words of the command line. Defaults to `sys.argv[1:]`.

    Returns:
        Exit status: 0 if the site is complete, 1 if something is wrong with it.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder of the site; replaced if it exists")
    out = parser.parse_args(argv).out
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "source"
        stage_pages(source)
        shutil.rmtree(out, ignore_errors=True)
        if status := run_sphinx(source, out, Path(scratch) / "doctrees"):
            return status
    faults = sorted({*broken_links(out), *foreign_resources(out)})
    for fault in faults:
        print(fault, file=sys.stderr)
    return int(bool(faults))


def run_sphinx(source: Path, out: Path, doctrees: Path) -> int:
    """Builds HTML from staged pages; warnings are errors.

    Args:
        source: Path. What `stage_pages` wrote.
        out: Path. Folder of the site.
        doctrees: Path. Folder for Sphinx' intermediate files.

    Returns:
        Sphinx' exit status.
    """
    from sphinx.cmd.build import main as build

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

    options = ["--fail-on-warning", "--keep-going", "--quiet", "-b", "html"]
    return int(build([*options, "-c", str(ROOT / "docs"), "-d", str(doctrees), str(source), str(out)]))


def stage_pages(folder: Path) -> None:
    """Copies the pages in the repository's layout, so that their links hold, and adds the reference.

    Args:
        folder: Path. Where to; made.
    """
    shutil.copytree(ROOT / "docs", folder / "docs", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    for page in [*ROOT.glob("*.md"), ROOT / "CITATION.cff", ROOT / "LICENSE"]:
        shutil.copy(page, folder)
    (folder / "README.md").rename(folder / "index.md")
    for page in folder.rglob("*.md"):
        page.write_text(re.sub(r"(\]\([./]*)README\.md", r"\1index.md", page.read_text(encoding="utf-8")))
    rooms = list(reference_pages())
    for room, text in rooms:
        (folder / "docs" / f"{room}.rst").write_text(text, encoding="utf-8")
    chapters = {**CHAPTERS, "Reference": [room for room, _ in rooms]}
    with (folder / "index.md").open("a", encoding="utf-8") as index:
        for title, pages in chapters.items():
            names = [page if page.startswith("/") else f"/docs/{page}" for page in pages]
            index.write("\n".join(["\n```{toctree}", ":hidden:", f":caption: {title}", "", *names, "```\n"]))


def reference_pages() -> Iterator[tuple[str, str]]:
    """The name and the reStructuredText of the page of each room: a package or module directly below ours."""
    top = ROOT / PACKAGE
    yield PACKAGE, _page(PACKAGE, [PACKAGE])
    for path in sorted(top.iterdir()):
        if path.name.startswith("_") or path.stem in NOT_DOCUMENTED or (path.is_file() and path.suffix != ".py"):
            continue
        files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
        if files:
            names = [".".join(file.relative_to(ROOT).with_suffix("").parts) for file in files]
            yield f"{PACKAGE}.{path.stem}", _page(path.stem, [name.removesuffix(".__init__") for name in names])


def _page(title: str, modules: Sequence[str]) -> str:
    lines = [title, "=" * len(title), ""]
    for module in modules:
        if module != modules[0]:
            name = module.removeprefix(f"{PACKAGE}.")
            lines += [name, "-" * len(name), ""]
        lines += [f".. automodule:: {module}", "   :members:", "   :show-inheritance:"]
        # The names of the package's face are indexed where they are defined.
        lines += ["   :no-index:" if module == PACKAGE else "   :ignore-module-all:"]
        lines += [""]
    return "\n".join(lines)


class _Page(html.parser.HTMLParser):
    """What a page links to, what it loads, and which anchors it has."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.anchors.update(filter(None, [values.get("id"), values.get("name")]))
        address = values.get("href") or values.get("src")
        if address:
            (self.links if tag == "a" else self.loaded).append(address)


def _is_foreign(address: str) -> bool:
    return bool(re.match(r"(https?:)?//", address))


def broken_links(site: Path) -> Iterator[str]:
    """Links and files inside of the site that lead nowhere.

    Args:
        site: Path. Folder of the site.

    Yields:
        One line per fault, with the page and the address.
    """
    pages = {path.resolve(): _Page(path) for path in site.rglob("*.html")}
    for path, page in pages.items():
        for address in page.links + page.loaded:
            name, anchor = (unquote(part) for part in urldefrag(address.partition("?")[0]))
            if _is_foreign(address) or re.match(r"[a-z]+:", address):
                continue
            target = (path.parent / name).resolve() if name else path
            target = target / "index.html" if target.is_dir() else target
            is_missing = not target.is_file() or (anchor and target in pages and anchor not in pages[target].anchors)
            if is_missing:
                yield f"{path.relative_to(site.resolve())}: {address} leads nowhere"


def foreign_resources(site: Path) -> Iterator[str]:
    """Fonts, styles, scripts and images that a browser would fetch from another host.

    Args:
        site: Path. Folder of the site.

    Yields:
        One line per fault, with the file and the address.
    """
    for path in sorted(site.rglob("*")):
        addresses: list[str] = []
        if path.suffix == ".html":
            addresses = _Page(path).loaded
        elif path.suffix == ".css":
            text = path.read_text(encoding="utf-8")
            addresses = re.findall(r"(?:url\(|@import)\s*[\"']?([^\"')\s;]+)", text)
        elif path.suffix == ".js":
            addresses = re.findall(r"[\"'`]((?:https?:)?//[^\"'`\s]+\.(?:js|css|wasm|woff2?|json))", path.read_text())
        for address in filter(_is_foreign, addresses):
            yield f"{path.relative_to(site)}: loads {address}"


if __name__ == "__main__":
    sys.exit(main())
