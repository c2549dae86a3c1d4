"""The report of an evaluation or a run: one HTML file with numbers, plots, pictures, and what to do next."""

from __future__ import annotations

from keras_retinanet.report.subject import Subject, with_analysis
from keras_retinanet.report.versions import describe_versions
from keras_retinanet.report.write import write_report

__all__ = ["Subject", "describe_versions", "with_analysis", "write_report"]
