"""The tables of the paper: what is varied, what was published, and which orderings it claims.

Lin et al., Focal Loss for Dense Object Detection, 2017, table 1 and appendix A: COCO minival, ResNet-50 (1d: 101), 600
pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Changes = Mapping[str, Any]
"""Dotted names of settings → values."""


@dataclass(frozen=True)
class Variant:
    """One row of a table.

    Attributes:
        name: Its name on the command line and in the report.
        changes: The settings that it changes.
        published: AP, AP50 and AP75 of the paper in percent; `None` where it has none.
        remark: What the paper reports in place of numbers.
    """

    name: str
    changes: Changes
    published: tuple[float, float, float] | None = None
    remark: str = ""


@dataclass(frozen=True)
class Claim:
    """An ordering that is examined: one that the paper reports, or that the focal loss is the better one.

    Attributes:
        better: Name of the variant with the higher AP.
        worse: Name of the other.
    """

    better: str
    worse: str


@dataclass(frozen=True)
class Table:
    """An experiment.

    Attributes:
        title: What is varied.
        variants: Its rows.
        claims: Orderings that are examined.
    """

    title: str
    variants: tuple[Variant, ...]
    claims: tuple[Claim, ...]


def _focal(gamma: float, alpha: float) -> Changes:
    return {"loss.classification": "focal", "loss.gamma": gamma, "loss.alpha": alpha}


def _balanced(alpha: float) -> Changes:
    return {"loss.classification": "balanced_cross_entropy", "loss.alpha": alpha}


def _star(gamma: float, shift: float) -> Changes:
    return {"loss.classification": "focal_star", "loss.gamma": gamma, "loss.shift": shift, "loss.alpha": 0.25}


def _ohem(examples: int, nms: float, ratio: float = 0.0) -> Changes:
    return {
        "loss.classification": "ohem",
        "loss.mined_examples": examples,
        "loss.mining_nms": nms,
        "loss.negative_ratio": ratio,
    }


def _anchors(scales: int, ratios: int) -> Changes:
    return {
        "anchors.scales": tuple(2 ** (step / scales) for step in range(scales)),
        "anchors.ratios": (1.0,) if ratios == 1 else (0.5, 1.0, 2.0),
    }


_SSD: Changes = {"model.architecture": "ssd300_vgg16"}
_FOCAL = Variant("focal", _focal(2.0, 0.25), (34.0, 52.5, 36.5))

TABLES: Mapping[str, Table] = {
    "prior": Table(
        "The class head starts at the prior π = 0.01, or with biases of 0 (§5.1)",
        (
            Variant("ce-prior", _balanced(0.5), (30.2, 46.7, 32.8)),
            Variant("ce-no-prior", {**_balanced(0.5), "model.prior": 0.5}, remark="diverged"),
            _FOCAL,
            Variant("focal-no-prior", {**_focal(2.0, 0.25), "model.prior": 0.5}),
        ),
        (Claim("ce-prior", "ce-no-prior"),),
    ),
    "1a": Table(
        "α of the balanced cross entropy (table 1a)",
        tuple(
            Variant(f"alpha-{alpha:g}", _balanced(alpha), published)
            for alpha, published in {
                0.1: (0.0, 0.0, 0.0),
                0.25: (10.8, 16.0, 11.7),
                0.5: (30.2, 46.7, 32.8),
                0.75: (31.1, 49.4, 33.0),
                0.9: (30.8, 49.7, 32.3),
                0.99: (28.7, 47.4, 29.9),
                0.999: (25.1, 41.7, 26.1),
            }.items()
        ),
        (
            Claim("alpha-0.75", "alpha-0.5"),
            Claim("alpha-0.75", "alpha-0.25"),
            Claim("alpha-0.5", "alpha-0.25"),
            Claim("alpha-0.25", "alpha-0.1"),
            Claim("alpha-0.75", "alpha-0.999"),
        ),
    ),
    "1b": Table(
        "γ of the focal loss, each with its best α (table 1b)",
        tuple(
            Variant(f"gamma-{gamma:g}", _focal(gamma, alpha) if gamma else _balanced(alpha), published)
            for gamma, alpha, published in (
                (0.0, 0.75, (31.1, 49.4, 33.0)),
                (0.1, 0.75, (31.4, 49.9, 33.1)),
                (0.2, 0.75, (31.9, 50.7, 33.4)),
                (0.5, 0.5, (32.9, 51.7, 35.2)),
                (1.0, 0.25, (33.7, 52.0, 36.2)),
                (2.0, 0.25, (34.0, 52.5, 36.5)),
                (5.0, 0.25, (32.2, 49.6, 34.8)),
            )
        ),
        (
            Claim("gamma-2", "gamma-0"),
            Claim("gamma-1", "gamma-0"),
            Claim("gamma-5", "gamma-0"),
            Claim("gamma-2", "gamma-1"),
            Claim("gamma-2", "gamma-5"),
        ),
    ),
    "1c": Table(
        "Scales × ratios of the anchors (table 1c)",
        tuple(
            Variant(f"anchors-{scales}x{ratios}", _anchors(scales, ratios), published)
            for scales, ratios, published in (
                (1, 1, (30.3, 49.0, 31.8)),
                (2, 1, (31.9, 50.0, 34.0)),
                (3, 1, (31.8, 49.4, 33.7)),
                (1, 3, (32.4, 52.3, 33.9)),
                (2, 3, (34.2, 53.1, 36.5)),
                (3, 3, (34.0, 52.5, 36.5)),
                (4, 3, (33.8, 52.1, 36.2)),
            )
        ),
        (
            Claim("anchors-3x3", "anchors-1x1"),
            Claim("anchors-2x1", "anchors-1x1"),
            Claim("anchors-1x3", "anchors-1x1"),
            Claim("anchors-3x3", "anchors-3x1"),
        ),
    ),
    "1d": Table(
        "Online hard example mining against the focal loss (table 1d)",
        (
            *(
                Variant(f"ohem{'-1to3' if ratio else ''}-{examples}-{nms:g}", _ohem(examples, nms, ratio), published)
                for ratio, nms, examples, published in (
                    (0.0, 0.7, 128, (31.1, 47.2, 33.2)),
                    (0.0, 0.7, 256, (31.8, 48.8, 33.9)),
                    (0.0, 0.7, 512, (30.6, 47.0, 32.6)),
                    (0.0, 0.5, 128, (32.8, 50.3, 35.1)),
                    (0.0, 0.5, 256, (31.0, 47.4, 33.0)),
                    (0.0, 0.5, 512, (27.6, 42.0, 29.2)),
                    (3.0, 0.5, 128, (31.1, 47.2, 33.2)),
                    (3.0, 0.5, 256, (28.3, 42.4, 30.3)),
                    (3.0, 0.5, 512, (24.0, 35.5, 25.8)),
                )
            ),
            Variant("focal", _focal(2.0, 0.25), (36.0, 54.9, 38.7)),
        ),
        (
            Claim("focal", "ohem-128-0.5"),
            Claim("focal", "ohem-1to3-128-0.5"),
            Claim("ohem-128-0.5", "ohem-1to3-128-0.5"),
            Claim("ohem-128-0.5", "ohem-512-0.5"),
        ),
    ),
    "star": Table(
        "FL* against the focal loss and the cross entropy (table 3)",
        (
            Variant("ce", _balanced(0.75), (31.1, 49.4, 33.0)),
            _FOCAL,
            Variant("star-2-1", _star(2.0, 1.0), (33.8, 52.7, 36.3)),
            Variant("star-4-0", _star(4.0, 0.0), (33.9, 51.8, 36.4)),
        ),
        (Claim("star-2-1", "ce"), Claim("star-4-0", "ce"), Claim("focal", "ce")),
    ),
    "others": Table(
        "Other losses against the focal loss (no numbers in the paper)",
        (
            _FOCAL,
            Variant("hard-negative", {"loss.classification": "hard_negative"}),
            Variant("multibox", {"loss.classification": "multibox"}),
            Variant("softmax-focal", {"loss.classification": "softmax_focal"}),
            Variant("ghm", {"loss.classification": "ghm"}),
        ),
        (Claim("focal", "hard-negative"), Claim("focal", "multibox")),
    ),
    "ssd": Table(
        "SSD300 with its own loss and with the focal loss, at 300 × 300 px (no numbers in the paper)",
        (
            Variant("ssd-multibox", {**_SSD, "loss.classification": "multibox"}),
            Variant("ssd-focal", {**_SSD, **_focal(2.0, 0.25)}),
        ),
        (Claim("ssd-focal", "ssd-multibox"),),
    ),
}
"""Name of the experiment → experiment."""
