"""Pictures of a comparison: who comes first, what is drawn, and what the top of the page says."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from keras_retinanet.analysis.comparison import compare
from keras_retinanet.report import Subject, write_report
from keras_retinanet.report.changed_images import draw_changes
from keras_retinanet.report.content import describe_subject
from keras_retinanet.report.pictures import Pictures

NEW = "<b>new"


@pytest.fixture(scope="module")
def compared(subject: Subject) -> Subject:
    """The new model finds the bee of the second image, too; counted from its score of 0.7 on, it has one more error."""
    first, second = subject.detections
    found = [subject.detections, [first, {**second, "labels": second["labels"] + 1}]]
    comparison = compare(subject.samples, found, ["old", NEW], subject.class_names, replicates=50)
    empty = {"analysis": None, "thresholds": None, "detections": ()}
    return dataclasses.replace(subject, comparison=comparison, compared=found, **empty)


def test_each_image_by_both_models(compared: Subject) -> None:
    assert compared.comparison is not None
    pictures = Pictures()
    better, worse = draw_changes(compared.comparison, compared.samples, compared.compared, pictures)
    assert (better["title"], worse["title"]) == (f"Better by {NEW}", f"Worse by {NEW}")
    captions = [(item["name"], item["caption"]) for item in better["items"]]
    assert captions == [("b.png", "old: 1 missed, 0 wrong"), ("b.png", f"{NEW}: 0 missed, 0 wrong")]
    assert [item["caption"] for item in worse["items"]] == ["old: 1 missed, 0 wrong", f"{NEW}: 1 missed, 1 wrong"]
    # The old model is counted from 0.9 on: neither 0.8 of the first image nor 0.7 of the second is drawn.
    assert [[each["score"] for each in item["found"]] for item in better["items"]] == [[], [0.7]]
    assert [[each["score"] for each in item["found"]] for item in worse["items"]] == [[0.9], [0.9, 0.8]]
    assert len(pictures.urls) == 2, "both models share a picture"


def test_the_top_compares(compared: Subject) -> None:
    content: dict[str, Any] = describe_subject(compared)
    old, new = content["headline"]
    assert (old["name"], new["name"]) == ("AP, old", f"AP, {NEW}")
    gain = 0.5 * 51 / 101 * 0.5
    assert [old["value"], new["value"]] == pytest.approx([0.5, 0.5 + gain], abs=1e-3)
    assert new["meaning"].startswith(f"+{100 * gain:.1f} ± ")
    assert " percentage points against old; better in " in new["meaning"]
    assert [entry["name"] for entry in content["numbers"][::12]] == ["AP, old", f"AP, {NEW}"]
    assert [column["title"] for column in content["classes"]["columns"][-2:]] == ["AP, old", f"AP, {NEW}"]
    assert content["threshold"] == pytest.approx(0.69, abs=0.011), "below all detections that are drawn"


def test_the_page_shows_pairs(compared: Subject, tmp_path: Path, browser: Any) -> None:
    write_report(compared, tmp_path / "report.html")
    page = browser.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto((tmp_path / "report.html").as_uri())
    assert page.locator("main > section").first.get_attribute("id") == "comparison"
    page.locator("#pictures").scroll_into_view_if_needed()
    page.locator("#pictures .tile").nth(1).wait_for()
    assert NEW in page.locator("#pictures .tile .caption").nth(1).inner_text()
    page.get_by_role("tab", name="Worse by").click()
    assert page.locator("#pictures .tile").count() == 2
    assert not errors
    page.close()
