"""The tables of an ablation beside those of the paper, as Markdown and as an HTML page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape

from keras_retinanet.config import TrainConfig
from keras_retinanet.config.architectures import ARCHITECTURES
from keras_retinanet.experiments.results import RunOutcome
from keras_retinanet.experiments.summary import Judgement, MeanInterval, Row, TableSummary
from keras_retinanet.version import __version__

_STYLE = """
:root{color-scheme:light dark;--text:#1c2730;--page:#f5f7f9;--table:#fff;--line:#dde3e8}
@media (prefers-color-scheme:dark){:root{--text:#dfe5ea;--page:#14191e;--table:#1c2329;--line:#39434c}}
body{font:15px/1.45 system-ui,sans-serif;color:var(--text);background:var(--page);margin:0}
main{max-width:980px;margin:auto;padding:24px}h1{font-size:24px;margin:0 0 4px}h2{font-size:18px;margin:32px 0 8px}
.wide{overflow-x:auto}table{border-collapse:collapse;background:var(--table);margin:8px 0}
td,th{border:1px solid var(--line);padding:4px 10px;white-space:nowrap}
td{text-align:right}td:first-child,th:first-child{text-align:left}
"""

Cells = Sequence[Sequence[str]]
"""A table: the head, then the rows."""

Block = str | Cells
"""A paragraph, a heading that begins with `#`, or a table."""

HEAD = ("variant", "AP", "AP50", "AP75", "seeds", "published AP", "AP50", "AP75")


def report_blocks(
    base: TrainConfig, outcomes: Mapping[str, RunOutcome], summaries: Sequence[TableSummary]
) -> list[Block]:
    """What the report says, in order.

    Args:
        base: Settings of all runs.
        outcomes: All runs that are done.
        summaries: The tables.

    Returns:
        Headings, paragraphs and tables.
    """
    return list(_blocks(base, outcomes, summaries))


def to_markdown(blocks: Sequence[Block]) -> str:
    """Formats a report as Markdown.

    Args:
        blocks: The report.

    Returns:
        The text.
    """
    return "\n\n".join(block if isinstance(block, str) else _markdown_table(block) for block in blocks) + "\n"


def to_html(blocks: Sequence[Block]) -> str:
    """Formats a report as a page that loads nothing.

    Args:
        blocks: The report.

    Returns:
        HTML.
    """
    title = escape(str(blocks[0]).lstrip("# "))
    body = "\n".join(map(_html_block, blocks))
    screen = "<meta name=viewport content='width=device-width'>"
    head = f"<meta charset=utf-8>{screen}<title>{title}</title><style>{_STYLE}</style>"
    return f"<!doctype html><html lang=en>{head}<main>\n{body}\n</main></html>\n"


def format_interval(found: MeanInterval | None) -> str:
    """A mean and its interval, with one decimal.

    Args:
        found: In percent; `None` gives a dash.

    Returns:
        Text such as `31.4 ± 0.8`.
    """
    if found is None:
        return "–"
    return f"{found.mean:.1f}" if found.half_width is None else f"{found.mean:.1f} ± {found.half_width:.1f}"


def _blocks(
    base: TrainConfig, outcomes: Mapping[str, RunOutcome], summaries: Sequence[TableSummary]
) -> Iterator[Block]:
    data = base.data
    yield f"# Focal loss experiments on {data.dataset} {data.annotations or data.path}".rstrip()
    yield _describe_runs(base, outcomes)
    yield (
        "Measured numbers are percent on the validation images: mean and 95 % interval (Student's t) over the seeds. "
        "Published numbers are those of the paper on COCO with ResNet-50 (table 1d: ResNet-101): compare orderings, "
        "not levels. An ordering holds if the interval of the difference between runs of the same seed lies above 0; "
        "a run that diverged counts as 0 there."
    )
    for summary in summaries:
        yield f"## {summary.table.title}"
        yield [HEAD, *map(_row_cells, summary.rows)]
        judged = [each for each in summary.judgements if each.verdict != "not measured"]
        if judged:
            yield [("ordering", "difference in AP", "at this scale"), *map(_judgement_cells, judged)]


def _describe_runs(base: TrainConfig, outcomes: Mapping[str, RunOutcome]) -> str:
    """How many runs there are, how long they were, and what they cost."""
    steps = sorted({run.steps for run in outcomes.values() if run.AP is not None})
    lengths = " to ".join(f"{each:,}" for each in dict.fromkeys((steps[0], steps[-1]))) if steps else "no complete"
    minutes = sum(run.cpu_seconds for run in outcomes.values()) / 60
    architecture = ARCHITECTURES[base.model.architecture]
    name = architecture.title if architecture.has_default_boxes else base.model.backbone
    network = f"{name}, {base.optimizer.optimizer}"
    return (
        f"{len(outcomes)} runs of {lengths} steps of {base.batch_size} images ({base.resize}), {network}; "
        f"{minutes:.1f} CPU minutes in all, measuring included. keras_retinanet {__version__}."
    )


def _row_cells(row: Row) -> tuple[str, ...]:
    seeds = str(len(row.runs)) + (f", {row.diverged} diverged" if row.diverged else "")
    published = row.variant.published
    texts = [f"{value:.1f}" for value in published] if published else [row.variant.remark or "–", "–", "–"]
    return (row.variant.name, *map(format_interval, row.figures or (None, None, None)), seeds, *texts)


def _judgement_cells(judgement: Judgement) -> tuple[str, ...]:
    claim = judgement.claim
    return f"{claim.better} > {claim.worse}", format_interval(judgement.difference), judgement.verdict


def _markdown_table(cells: Cells) -> str:
    head, *rows = (f"| {' | '.join(row)} |" for row in cells)
    return "\n".join([head, f"|{'---|' * len(cells[0])}", *rows])


def _html_block(block: Block) -> str:
    if not isinstance(block, str):
        rows = [_html_row(row, "th" if number == 0 else "td") for number, row in enumerate(block)]
        return f"<div class=wide><table>{''.join(rows)}</table></div>"
    text = block.lstrip("# ")
    tag = {0: "p", 1: "h1"}.get(len(block) - len(block.lstrip("#")), "h2")
    return f"<{tag}>{escape(text)}</{tag}>"


def _html_row(row: Sequence[str], tag: str) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in row)}</tr>"
