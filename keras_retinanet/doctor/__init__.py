"""The doctor: faults of a data set, and whether the anchors meet its boxes, before anything is trained."""

from __future__ import annotations

from keras_retinanet.doctor.diagnosis import Diagnosis, SplitSummary, diagnose
from keras_retinanet.doctor.findings import Example, Finding

__all__ = ["Diagnosis", "Example", "Finding", "SplitSummary", "diagnose"]
