"""The page: what it may do, that names stay text, and what a person sees and clicks in a browser."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keras_retinanet.report import Subject, write_report
from keras_retinanet.report.page import embed_json, render_page

ASSETS = Path(__file__).resolve().parents[2] / "keras_retinanet" / "report" / "assets"


@pytest.fixture(scope="module")
def file(subject: Subject, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "new" / "report.html"
    write_report(subject, path)
    return path


@pytest.fixture(scope="module")
def text(file: Path) -> str:
    return file.read_text(encoding="utf-8")


def block(text: str, name: str) -> Any:
    found = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    return json.loads(found.group(1))


def test_names_stay_text(text: str, subject: Subject) -> None:
    assert "<img" not in text
    assert "<title>&lt;img src=x onerror=&quot;document.title=1&quot;&gt; on val</title>" in text
    assert text.count("</script>") == text.count("<script") == 3
    assert text.count("<b>") == 0
    assert block(text, "report-data")["classes"]["names"] == list(subject.class_names)


def test_only_the_script_of_the_page_may_run(text: str) -> None:
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    script, style = (
        re.search(r"<script>(.*?)</script>", text, re.DOTALL),
        re.search(r"<style>(.*?)</style>", text, re.S),
    )
    assert policy is not None and script is not None and style is not None  # noqa: PT018
    hashes = [base64.b64encode(hashlib.sha256(part.group(1).encode()).digest()).decode() for part in (script, style)]
    assert policy.group(1) == (
        f"default-src 'none'; script-src 'sha256-{hashes[0]}'; style-src 'sha256-{hashes[1]}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    assert text.index("Content-Security-Policy") < text.index("<style>")


def test_nothing_comes_from_the_network(text: str) -> None:
    outside = text.replace("http://www.w3.org/2000/svg", "")  # a name, never fetched
    assert re.findall(r"(?:https?:)?//[a-z]", re.sub(r"^\s*//.*$", "", outside, flags=re.MULTILINE)) == []
    assert re.findall(r"\b(?:src|href)=\"(?!data:,)", text) == []
    assert re.findall(r"\son\w+=\"", text) == []


@pytest.mark.parametrize("path", sorted(ASSETS.glob("*.js")), ids=lambda path: path.name)
def test_the_script_makes_no_markup_of_data(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert (
        re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|fetch\(", source)
        == []
    )
    assert len(source.splitlines()) <= 300


def test_json_cannot_end_its_element() -> None:
    value = {"a": "</script><!--<script>&", "b": "\ud800\u2028"}
    found = embed_json(value)
    assert not set("<>&") & set(found)
    assert json.loads(found) == {"a": "</script><!--<script>&", "b": "?\u2028"}
    with pytest.raises(ValueError, match="JSON compliant"):
        embed_json([float("nan")])


def test_data_are_no_template() -> None:
    page = render_page({"title": "{{script}}", "about": "{{policy}}"}, ["{{style}}"])
    assert "<title>{{script}}</title>" in page
    assert block(page, "report-data")["about"] == "{{policy}}"
    assert block(page, "report-pictures") == ["{{style}}"]


def test_pictures_are_shared_by_the_galleries(text: str) -> None:
    pictures, galleries = block(text, "report-pictures"), block(text, "report-data")["galleries"]
    assert all(picture.startswith("data:image/webp;base64,") for picture in pictures)
    used = {item["picture"] for gallery in galleries for item in gallery["items"]}
    assert used == set(range(len(pictures)))
    assert len(pictures) < sum(len(gallery["items"]) for gallery in galleries)
    assert len(text) < 250_000


@pytest.fixture
def page(browser: Any, file: Path) -> Iterator[Any]:
    opened = browser.new_page(viewport={"width": 1200, "height": 900})
    opened.set_default_timeout(60_000)
    opened.problems = []
    opened.on("pageerror", lambda error: opened.problems.append(str(error)))
    opened.on("console", lambda line: opened.problems.append(line.text) if line.type == "error" else None)
    opened.on(
        "request",
        lambda request: (
            opened.problems.append(request.url)
            if "report.html" not in request.url and not request.url.startswith("data:")
            else None
        ),
    )
    opened.goto(file.as_uri())
    yield opened
    assert opened.problems == []
    opened.close()


def rows(page: Any) -> list[list[str]]:
    script = "rows => rows.filter((row) => !row.hidden).map((row) => [...row.cells].map((cell) => cell.textContent))"
    found: list[list[str]] = page.eval_on_selector_all("#classes tbody tr", script)
    return found


def counts(page: Any) -> list[str]:
    found: list[str] = page.eval_on_selector_all(
        "#threshold .counts b", "cells => cells.map((cell) => cell.textContent)"
    )
    return found


def test_classes_are_sorted_and_filtered(page: Any, subject: Subject) -> None:
    first, bee, unused = subject.class_names
    assert page.title() == f"{subject.title}"
    assert [row[0] for row in rows(page)] == [bee, first, unused], "the weakest first, those without boxes last"
    assert rows(page)[1] == [first, "1", "7", "1.000", "1.000", "1.000", "1.000", "1.000"]
    assert rows(page)[0] == [bee, "2", "2,000", "0.000", "0.000", "–", "0.000", "0.000"]
    button = page.get_by_role("button", name="training boxes", exact=True)
    button.focus()
    page.keyboard.press("Enter")
    assert [row[2] for row in rows(page)] == ["2,000", "7", "0"]
    assert page.locator("th", has=button).get_attribute("aria-sort") == "descending"
    button.click()
    assert [row[2] for row in rows(page)] == ["0", "7", "2,000"]
    page.fill("#class-filter", "BE")
    assert [row[0] for row in rows(page)] == [bee]


def test_the_slider_moves_all_counts(page: Any) -> None:
    assert page.input_value("#score") == "0.8"
    assert counts(page) == ["1.000", "0.333", "0.500", "1", "0", "2"]
    page.fill("#score", "0.75")
    assert counts(page) == ["0.500", "0.333", "0.400", "1", "1", "2"]
    assert page.input_value("#gallery-score") == page.input_value("#table-score") == "0.75"
    page.locator("#threshold").get_by_label("chosen threshold of each class").check()
    assert counts(page) == ["1.000", "0.333", "0.500", "1", "0", "2"]
    page.fill("#score", "0.75")
    page.select_option("#threshold select", label="bee")
    assert counts(page) == ["0.000", "0.000", "0.000", "0", "1", "2"]
    assert page.locator("#classes tr.chosen th").inner_text() == "bee"
    page.locator("#threshold details").first.locator("summary").click()
    assert page.locator("#threshold details").first.locator("tbody tr").count() == 101


def test_boxes_are_switched_and_filtered(page: Any) -> None:
    page.locator("#pictures").scroll_into_view_if_needed()
    page.get_by_role("tab", name="Random images (2)").click()
    shown = "nodes => nodes.filter((node) => getComputedStyle(node).visibility === 'visible' && node.getClientRects().length).length"  # noqa: E501
    wrong = "#pictures .tiles .of-wrong .box.wrong"
    assert page.locator("#pictures .tile").count() == 2
    assert page.eval_on_selector_all(wrong, shown) == 0, "all wrong detections score 0.8 or less"
    page.fill("#gallery-score", "0.1")
    assert page.eval_on_selector_all(wrong, shown) == 2
    page.get_by_label("wrong detections").uncheck()
    assert page.eval_on_selector_all(wrong, shown) == 0
    assert page.locator("#pictures .tiles .box.missed").count() == 2
    page.locator(".tile").first.click()
    assert page.get_by_role("dialog").is_visible()
    before = page.locator("dialog .where").inner_text()
    page.keyboard.press("ArrowRight")
    assert page.locator("dialog .where").inner_text() != before
    page.keyboard.press("Escape")
    assert not page.get_by_role("dialog").is_visible()


def test_a_phone_needs_no_sideways_scrolling(page: Any) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    assert re.findall(r"\b(?:null|undefined|NaN)\b", page.inner_text("body")) == []
    for part in ("threshold", "errors", "where", "pictures", "training", "about"):
        page.locator(f"#{part}").scroll_into_view_if_needed()
        page.wait_for_timeout(50)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.locator("svg[role=img]:not([aria-label])").count() == 0
    width = page.eval_on_selector("#training svg", "node => node.viewBox.baseVal.width")
    assert width < 360, "plots are drawn for their width, so that text keeps its size"
