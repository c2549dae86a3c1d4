"""`retinanet-ablate`: the focal loss paper's experiments on any data set."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from keras_retinanet.cli import train
from keras_retinanet.cli.parsing import Parser, fail, number
from keras_retinanet.cli.startup import import_tensorflow
from keras_retinanet.config.durations import parse_duration
from keras_retinanet.experiments.paper import TABLES

if TYPE_CHECKING:
    from keras_retinanet.experiments.results import Ablation

PROGRAM = "retinanet-ablate"


def build_parser() -> Parser:
    """Builds the parser of the command's own flags; all others are those of `retinanet-train`.

    Returns:
        The parser.
    """
    titles = "; ".join(f"{name}: {table.title}" for name, table in TABLES.items())
    parser = Parser(
        prog=PROGRAM,
        usage="%(prog)s [flags] [flags of retinanet-train] {PATH … | FORMAT ARGUMENT …}",
        description="Repeat the experiments of the focal loss paper on a data set, and compare the results with the "
        "published ones. The data and all flags of retinanet-train set what the runs share, such as --epochs 4 --steps "
        "100. The assigner is the paper's, unless --assigner names another. Stopped or out of budget, the same command "
        "continues.",
        epilog=f"Tables. {titles}.",
    )
    parser.add_argument(
        "--out", metavar="FOLDER", default="./ablation", help="results, report.md and report.html (default: ./ablation)"
    )
    parser.add_argument(
        "--tables", type=_names, metavar="NAME,…", default=list(TABLES), help="which tables (default: all)"
    )
    parser.add_argument(
        "--only", type=_names, metavar="ROW,…", default=[], help="only these rows, such as gamma-2,gamma-0"
    )
    parser.add_argument("--seeds", type=number(int, 1), default=3, help="runs of each row (default: 3)")
    parser.add_argument(
        "--budget",
        type=_duration,
        metavar="TIME",
        help="CPU time of all runs together, such as 90m (default: no limit)",
    )
    parser.add_argument("--keep-snapshots", action="store_true", help="keep the folders of the runs")
    parser.add_argument(
        "--figures",
        metavar="SNAPSHOT",
        help="draw figures 1 and 4 of the paper from a trained model and the data, and the scores with which two "
        "initialisations begin, and stop",
    )
    parser.add_argument("--images", type=number(int, 1), default=200, help="images of --figures (default: 200)")
    parser.add_argument("--dry-run", action="store_true", help="list the runs that are left, and stop")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        argv: Command-line arguments without the program's name. Defaults to those of this process.

    Returns:
        Exit status: 0 done, or out of budget; 1 stopped by a signal; 2 wrong arguments or data.
    """
    parser = build_parser()
    flags, words = parser.parse_known_args(sys.argv[1:] if argv is None else argv)
    if not words:
        parser.error("which data? As in retinanet-train: a path, a format and its argument, or demo")
    command = train.parse(_with_paper_assigner(words))
    if command.resume is not None or command.finds_rate:
        parser.error("--resume and --find-lr belong to a single run; the same command continues an ablation")
    import_tensorflow()
    if flags.figures is not None:
        from keras_retinanet.experiments.snapshot_figures import draw_figures

        try:
            draw_figures(flags.figures, command.config.data, flags.out, limit=flags.images)
        except (ValueError, OSError, ImportError) as error:
            return fail(PROGRAM, error)
        return 0
    return _ablate(flags, command)


def _with_paper_assigner(words: Sequence[str]) -> list[str]:
    """The arguments of `retinanet-train`, with the paper's assigner where they name none."""
    names_one = any(word.partition("=")[0] in ("--assigner", "--config") for word in words)
    return [*words, *([] if names_one else ["--assigner", "iou_threshold"])]


def _ablate(flags: argparse.Namespace, command: train.TrainCommand) -> int:
    from keras_retinanet.experiments.conduct import conduct
    from keras_retinanet.experiments.plan import plan_runs
    from keras_retinanet.experiments.results import Ablation

    ablation = Ablation(flags.out)
    try:
        runs = plan_runs(flags.tables, flags.only, range(flags.seeds))
        if flags.dry_run:
            done = ablation.outcomes()
            left = [run for run in runs if run.key not in done]
            print("\n".join(f"seed {run.seed}  {', '.join(run.names)}" for run in left))
            print(f"{len(left)} of {len(runs)} runs are left")
            return 0
        ablation.open(command.config)
        is_complete = conduct(
            ablation,
            command.config,
            runs,
            chosen=command.chosen,
            budget=flags.budget,
            keeps_snapshots=flags.keep_snapshots,
            log=lambda line: print(line, flush=True),
        )
    except (ValueError, OSError, ImportError) as error:
        return fail(PROGRAM, error)
    except KeyboardInterrupt:
        print(f"{PROGRAM}: aborted; the same command continues", file=sys.stderr)
        return 1
    finally:
        _write_report(ablation)
    return 0 if is_complete or flags.budget is not None else 1


def _write_report(ablation: Ablation) -> None:
    """Writes what is there, as Markdown and as a page."""
    from keras_retinanet.experiments.report import report_blocks, to_html, to_markdown
    from keras_retinanet.experiments.summary import summarise

    if not (outcomes := ablation.outcomes()):
        return
    blocks = report_blocks(ablation.base(), outcomes, summarise(outcomes))
    for name, text in (("report.md", to_markdown(blocks)), ("report.html", to_html(blocks))):
        (ablation.folder / name).write_text(text, encoding="utf-8")
        print(f"report    {ablation.folder / name}")


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _duration(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration such as 90s, 30m or 2h") from None


if __name__ == "__main__":
    sys.exit(main())
