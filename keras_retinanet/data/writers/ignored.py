"""Ignore regions, for the formats that have no place for them."""

from __future__ import annotations

from keras_retinanet.data.writers.chunks import Loss, Part


def ignore_regions(parts: list[Part]) -> list[Loss]:
    """How many would be lost."""
    count = sum(int(sample["ignore"].sum()) for part in parts for sample in part.samples)
    return [Loss("ignore regions (crowd, difficult, group)", count)] if count else []
