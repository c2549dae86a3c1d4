"""Writes a report."""

from __future__ import annotations

from pathlib import Path

from keras_retinanet.report.changed_images import draw_changes
from keras_retinanet.report.content import describe_subject
from keras_retinanet.report.galleries import draw_galleries
from keras_retinanet.report.model_plots import describe_models
from keras_retinanet.report.page import render_page
from keras_retinanet.report.picks import pick_galleries
from keras_retinanet.report.pictures import Pictures
from keras_retinanet.report.subject import Subject


def write_report(subject: Subject, path: str | Path) -> None:
    """Writes a report as one HTML file, which needs nothing else.

    Args:
        subject: What it is about.
        path: The file; its folder is made where missing.
    """
    content, pictures = describe_subject(subject), Pictures()
    found = {entry["image_id"]: entry for entry in subject.detections if "image_id" in entry}
    if subject.comparison and subject.compared:
        names = [model.name for model in subject.comparison.models]
        content["models"] = describe_models(names, subject.samples, subject.compared, subject.class_names)
        content["galleries"] = draw_changes(subject.comparison, subject.samples, subject.compared, pictures)
    else:
        galleries = pick_galleries(subject.analysis, subject.samples, found)
        content["galleries"] = draw_galleries(galleries, subject.samples, found, pictures)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render_page(content, pictures.urls), encoding="utf-8")
