"""The diagnosis as a self-contained HTML file with plots and thumbnails."""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

import numpy as np
from PIL import Image

from keras_retinanet.anchor_coverage import AnchorCoverage, CoverageRow, NetworkBoxes
from keras_retinanet.data.exif import turn
from keras_retinanet.data.image_files import read_bytes
from keras_retinanet.data.pillow_files import as_stored
from keras_retinanet.doctor.anchor_checks import usable_boxes
from keras_retinanet.doctor.diagnosis import Diagnosis
from keras_retinanet.doctor.findings import Example, Finding
from keras_retinanet.doctor.plots import draw_plots
from keras_retinanet.doctor.text_report import VERDICTS, format_proposal
from keras_retinanet.drawing.visualize import draw_boxes
from keras_retinanet.version import __version__

THUMBNAIL_SIDE = 180
"""Longer side of the thumbnails in pixels."""

BOX_MARGIN = 3.0
"""Margin around a small box in its thumbnail, in multiples of its longer side."""

_STYLE = """
body{font:15px/1.45 system-ui,sans-serif;color:#1c2730;background:#f5f7f9;margin:0}
main{max-width:1080px;margin:auto;padding:24px}h1{font-size:24px;margin:0 0 4px}h2{font-size:18px;margin:32px 0 8px}
table{border-collapse:collapse;background:#fff}td,th{border:1px solid #dde3e8;padding:4px 10px;text-align:right}
td:first-child,th:first-child{text-align:left}code,pre{background:#e9eef2;padding:2px 5px;white-space:pre-wrap}
.finding{background:#fff;border-left:6px solid #8aa;margin:10px 0;padding:10px 14px}
.error{border-color:#c0392b}
.warning{border-color:#e39b16}.note{border-color:#7aa5c4}
.finding h3{font-size:15px;margin:0}.fix{color:#38525f;margin:4px 0}
.cases{display:flex;flex-wrap:wrap;gap:4px 10px}.case{width:190px;font-size:11px;overflow-wrap:anywhere}
.case img{display:block}
.case.text{width:100%;font-size:13px}
.plots{display:flex;flex-wrap:wrap;gap:14px}.plots figure{margin:0;background:#fff;padding:8px}
.plots img{max-width:100%;width:500px}figcaption{font-weight:600}
.tag{font-size:12px;color:#567}.scroll{max-height:320px;overflow:auto}
"""


def write_html(diagnosis: Diagnosis, path: Path) -> None:
    """Writes a diagnosis as an HTML page.

    Args:
        diagnosis: The diagnosis.
        path: The HTML file.
    """
    path.write_text("\n".join(_html_lines(diagnosis)), encoding="utf-8")


def _html_lines(diagnosis: Diagnosis) -> Iterator[str]:
    data = diagnosis.config.data
    name = escape(f"{data.dataset} {data.annotations or data.path}")
    yield f"<!doctype html><html lang=en><meta charset=utf-8><title>retinanet-doctor: {name}</title>"
    yield f"<style>{_STYLE}</style><main><h1>{name}</h1>"
    yield f"<p>{escape(VERDICTS[diagnosis.status])}. <span class=tag>keras_retinanet {__version__}</span></p>"
    yield from _splits_html(diagnosis)
    yield "<h2>Findings</h2>"
    if not diagnosis.findings:
        yield "<p>None</p>"
    for finding in diagnosis.findings:
        yield from _finding_html(finding)
    if diagnosis.proposal is not None:
        lines = "\n".join(format_proposal(diagnosis.proposal))
        yield f"<h2>Anchors</h2><pre>{escape(lines)}</pre>"
    yield from _plots_html(diagnosis)
    yield "<h2>Anchor coverage</h2>"
    for split in diagnosis.splits:
        yield from _coverage_html(split.split, split.coverage)
    yield "</main></html>"


def _splits_html(diagnosis: Diagnosis) -> Iterator[str]:
    heads = (
        "",
        "images",
        "usable",
        "without boxes",
        "boxes",
        "ignore regions",
        "classes",
        "with a positive anchor",
        "anchors per box",
    )
    yield "<table><tr>" + "".join(f"<th>{head}</th>" for head in heads) + "</tr>"
    for split in diagnosis.splits:
        used = sum(count > 0 for count in split.boxes_by_class.values())
        cells = [
            split.split,
            *(f"{n:,}" for n in (split.images, split.usable, split.empty, split.boxes, split.ignored)),
        ]
        cells += [f"{used} of {len(split.boxes_by_class)}", f"{split.coverage.all.share:.1%}"]
        cells += [f"{split.coverage.all.positives:.1f}"]
        yield "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
    yield "</table>"
    for note in (note for split in diagnosis.splits for note in split.notes):
        yield f"<p class=tag>{escape(note)}</p>"


def _finding_html(finding: Finding) -> Iterator[str]:
    yield f"<div class='finding {finding.severity}'><h3>{escape(finding.title)}</h3>"
    yield f"<span class=tag>{finding.severity}, {escape(finding.split)}</span>"
    yield f"<p class=fix>{escape(finding.fix)}</p><div class=cases>"
    for example in finding.examples:
        picture = draw_thumbnail(example)
        where, what = escape(example.where), escape(example.what)
        if picture is None:
            yield f"<div class='case text'>{where}{': ' if what else ''}{what}</div>"
        else:
            name = where.replace("\\", "/").rsplit("/", 1)[-1]  # the whole path is in the tooltip
            image = f"<img src='{_data_uri(picture, 'jpeg')}' alt=''>"
            yield f"<div class=case title='{where}'>{image}{name}{'<br>' if what else ''}{what}</div>"
    yield "</div></div>"


def _data_uri(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def draw_thumbnail(example: Example) -> bytes | None:
    """Draws an example as a small JPEG: its image, or its box with the surroundings.

    Args:
        example: The example.

    Returns:
        The JPEG; `None` if there is no image or it cannot be read.
    """
    if not example.image:
        return None
    try:
        with warnings.catch_warnings(), Image.open(io.BytesIO(read_bytes(example.image))) as opened:
            warnings.simplefilter("ignore")
            image = turn(np.array(as_stored(opened).convert("RGB")), example.orientation)
    except Exception:  # the image may be the fault that is reported; Pillow raises a dozen kinds
        return None
    box = None if example.box is None else np.array(example.box, np.float64)
    x1, y1, x2, y2 = _crop_window(box, image.shape[1], image.shape[0])
    small = Image.fromarray(image[y1:y2, x1:x2])
    scale = THUMBNAIL_SIDE / max(small.size)
    small = small.resize((max(1, round(small.width * scale)), max(1, round(small.height * scale))))
    drawn = np.array(small)
    if box is not None:
        moved = (box - [x1, y1, x1, y1]) * scale
        moved[2:] = np.maximum(moved[2:], moved[:2] + 3)  # makes boxes without area visible
        drawn = draw_boxes(drawn, moved[None], (255, 40, 40), line_width=2)
    stream = io.BytesIO()
    Image.fromarray(drawn).save(stream, "JPEG", quality=82)
    return stream.getvalue()


def _crop_window(box: np.ndarray | None, width: int, height: int) -> tuple[int, int, int, int]:
    """x1, y1, x2, y2 of the part to show: the surroundings of the box, or the whole image without one."""
    if box is None or not np.isfinite(box).all():
        return 0, 0, width, height
    side = max(box[2] - box[0], box[3] - box[1], 8.0)
    centre_x, centre_y = np.clip((box[:2] + box[2:]) / 2, 0, [width, height])
    reach = side * (0.5 + BOX_MARGIN)
    x1, x2 = int(max(centre_x - reach, 0)), int(min(centre_x + reach, width))
    y1, y2 = int(max(centre_y - reach, 0)), int(min(centre_y + reach, height))
    return (x1, y1, x2, y2) if x2 > x1 and y2 > y1 else (0, 0, width, height)


def _plots_html(diagnosis: Diagnosis) -> Iterator[str]:
    boxes: dict[str, NetworkBoxes] = {scan.split: usable_boxes(scan, diagnosis.config) for scan in diagnosis.scans}
    if not any(len(found.boxes) for found in boxes.values()):
        return
    names: dict[str, Sequence[str]] = {scan.split: scan.class_names for scan in diagnosis.scans}
    coverage = {split.split: split.coverage for split in diagnosis.splits}
    yield "<h2>Boxes</h2><div class=plots>"
    for title, picture in draw_plots(boxes, names, coverage):
        yield f"<figure><figcaption>{escape(title)}</figcaption><img src='{_data_uri(picture, 'png')}' alt=''></figure>"
    yield "</div>"


def _coverage_html(split: str, coverage: AnchorCoverage) -> Iterator[str]:
    yield f"<p>{split}: {coverage.describe()}.</p>"
    heads = ("", "boxes", "with a positive anchor", "anchors per box")
    yield "<div class=scroll><table><tr>" + "".join(f"<th>{head}</th>" for head in heads) + "</tr>"
    rows: tuple[CoverageRow, ...] = (
        coverage.all,
        *coverage.by_size,
        *sorted(coverage.by_class, key=lambda row: row.share),
    )
    for row in rows:
        cells = (escape(row.name), f"{row.boxes:,}", f"{row.share:.1%}", f"{row.positives:.1f}")
        yield "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
    yield "</table></div>"
