"""The doctor: finds faults of a data set and measures its anchor coverage before training."""

from __future__ import annotations

from keras_retinanet.doctor.diagnosis import Diagnosis, SplitSummary, diagnose
from keras_retinanet.doctor.findings import Example, Finding
from keras_retinanet.doctor.split_scan import ScannedSplit

__all__ = ["Diagnosis", "Example", "Finding", "ScannedSplit", "SplitSummary", "diagnose"]
