"""The installation command is written once, and the distribution's name once."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, get_args

import pytest

from keras_retinanet.extras import Extra, install_hint

ROOT = Path(__file__).resolve().parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/*.md")])


def package_name(requirement: str) -> str:
    return re.split(r"[\[<>=!~; ]", requirement)[0]


def test_the_hint_names_the_checkout() -> None:
    assert install_hint("onnx") == "pip install '.[onnx]' in the checkout of keras_retinanet"


def test_every_extra_of_a_hint_exists() -> None:
    assert set(get_args(Extra)) <= set(EXTRAS)


def test_no_other_module_holds_an_installation_command_of_this_package() -> None:
    command = re.compile(rf"pip install[^\n]*(\.\[|{PROJECT['name']})|{PROJECT['name']}\[")
    holders = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "keras_retinanet").rglob("*.py")
        if command.search(path.read_text(encoding="utf-8"))
    }
    assert holders == {"keras_retinanet/extras.py"}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_no_page_installs_the_package_of_that_name_on_pypi(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert re.findall(rf"pip install[^`\n]*(?<!/){PROJECT['name']}", text) == []
    for extra in re.findall(r"pip install (?:-e )?'\.\[([\w,]+)\]'", text):
        assert set(extra.split(",")) <= set(EXTRAS)


def test_the_name_of_the_distribution_is_written_once() -> None:
    """Not in extras that refer to each other: whoever renames the distribution changes one line."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert text.count(PROJECT["name"]) == 1


@pytest.mark.parametrize("extra", ["onnx", "openvino", "litert", "serve", "grpc", "heif", "video"])
def test_the_tests_install_every_package_that_they_run(extra: str) -> None:
    """`test` repeats these requirements, for it cannot name them without the distribution's name."""
    assert {line for line in EXTRAS[extra] if package_name(line) != "tensorflow"} <= set(EXTRAS["test"])
