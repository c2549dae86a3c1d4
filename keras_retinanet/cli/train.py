"""`retinanet-train`: trains a detector on a data set."""

from __future__ import annotations

import argparse
import dataclasses
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keras_retinanet.cli.dataset_arguments import add_dataset_arguments, parse_arguments
from keras_retinanet.cli.inherited_settings import choose_architecture, inherit_settings
from keras_retinanet.cli.network_settings import read_settings_file
from keras_retinanet.cli.old_flags import refuse_old_flags, with_current_words
from keras_retinanet.cli.parsing import Parser, add_flags, fail, join_numbers, print_note
from keras_retinanet.cli.process_flags import add_process_flags, find_launched
from keras_retinanet.cli.startup import command_line, import_tensorflow, prefer_onednn
from keras_retinanet.cli.train_summary import PROGRAM, print_summary
from keras_retinanet.config import TrainConfig
from keras_retinanet.config.architectures import with_own_settings
from keras_retinanet.config.presets import DEMO
from keras_retinanet.config.recipes import DEFAULT_RECIPE, RECIPES, recipe_names
from keras_retinanet.config.rules import check, refuse_unused_flat_share
from keras_retinanet.config.settings import AUTO
from keras_retinanet.config.tree import changed, flag_name, flattened, settings
from keras_retinanet.config.xla_flags import allow_clusters
from keras_retinanet.data.open_dataset import check_data
from keras_retinanet.heap import keep_freed_memory
from keras_retinanet.snapshots.run_folder import Run, read_config
from keras_retinanet.snapshots.run_lock import RunInUseError
from keras_retinanet.training.launchers import ProcessSettings

if TYPE_CHECKING:
    from keras_retinanet.importers import WeightFile
    from keras_retinanet.training.fit import Training
    from keras_retinanet.training.processes import Processes
    from keras_retinanet.training.watch_processes import Watch

WORDS = ("data.dataset", "data.path", "data.annotations", "data.classes", "data.more_data")
"""Settings given as positional arguments instead of flags."""

CHANGEABLE = {
    *WORDS, "data.val_annotations", "data.workers", "data.use_cache", "data.use_index_cache", "data.bad_data", "epochs",
    "evaluate_every", "use_evaluation", "tensorboard_dir", "wandb", "mlflow", "patience", "report",
    "save_every", "keep", "on_nan", "nan_limit", "accumulate", "devices", "gpu_growth",
}  # fmt: skip
"""Settings that may be changed with `--resume`."""

NOT_FINITE = 3


@dataclass(frozen=True)
class TrainCommand:
    """A parsed command line.

    Attributes:
        config: All settings.
        resume: The run to continue; `None` for a new run.
        checkpoint: Another library's checkpoint from which training starts, opened to read its settings.
        chosen: Dotted names of the settings that a recipe must not change.
        finds_rate: Whether to propose a learning rate instead of training.
        processes: Those that train together; `None` for one.
    """

    config: TrainConfig
    resume: str | None
    checkpoint: WeightFile | None = None
    chosen: frozenset[str] = frozenset()
    finds_rate: bool = False
    processes: ProcessSettings | None = None


def build_parser(*, has_words: bool = True) -> Parser:
    """Builds the parser: dataset arguments and one flag per setting.

    Args:
        has_words: Whether dataset arguments are expected; `--resume` needs none.

    Returns:
        The parser.
    """
    parser = Parser(
        prog="retinanet-train",
        usage="%(prog)s [flags] {PATH … | FORMAT ARGUMENT …}\n       %(prog)s --resume RUN [flags]",
        description="Train a RetinaNet or an SSD. Snapshots, settings and metrics go into a new folder per run.",
    )
    if has_words:
        add_dataset_arguments(parser)
    parser.add_argument("--resume", metavar="RUN", help="Continue a run: its folder, or a snapshot in it.")
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="Take the defaults from the config.yaml of a former run, or the anchors from fizyr's .ini file.",
    )
    parser.add_argument(
        "--find-lr",
        action="store_true",
        help="Propose a learning rate (range test over 100 steps, with a plot), and stop.",
    )
    add_process_flags(parser)
    listed = [
        dataclasses.replace(setting, default=DEFAULT_RECIPE) if setting.name == "recipe" else setting
        for setting in settings(TrainConfig) if setting.name not in WORDS
    ]  # fmt: skip
    listed.sort(key=lambda setting: not setting.name.startswith("data."))  # those of data first
    add_flags(parser, listed, by_recipe=recipe_names())
    return parser


def parse(argv: Sequence[str] | None = None) -> TrainCommand:
    """Parses a command line. An error ends the program with status 2 and one line.

    Args:
        argv: Command-line arguments without the program's name. Defaults to those of this process.

    Returns:
        The command. Each source of settings overrides the ones before it: defaults; the preset of `demo`, `--config`,
        the snapshot of `--weights`, or the run to resume; flags.
    """
    lists = [flag_name(setting.name) for setting in settings(TrainConfig) if setting.is_tuple]
    words = join_numbers(with_current_words(sys.argv[1:] if argv is None else argv, print_note), lists)
    refuse_old_flags(build_parser(), words)
    if any(word == "--resume" or word.startswith("--resume=") for word in words):
        parser = build_parser(has_words=False)
        namespace, rest = parser.parse_known_args(words)
        if any(word.startswith("-") for word in rest):
            parser.error(f"unrecognized arguments: {' '.join(rest)}")
    else:
        rest = words
    given: dict[str, Any] = {}
    if rest or not words:
        parser = build_parser()
        namespace, data, _ = parse_arguments(parser, words)
        named = (*WORDS, "data.val_annotations")  # a folder of CSV files has both
        given |= {name: value for name, value in flattened_data(data).items() if name in named and value is not None}
    given |= {name: value for name, value in vars(namespace).items() if name in flattened(TrainConfig())}
    try:
        config, checkpoint, chosen = _resolve_settings(given, namespace)
        check(config)
        refuse_unused_flat_share(config, given, chosen)
        check_data(config.data)
        _check_monitor(config)
        processes = find_launched(namespace)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    return TrainCommand(config, namespace.resume, checkpoint, chosen, namespace.find_lr, processes)


def _check_monitor(config: TrainConfig) -> None:
    from keras_retinanet.evaluation.number_name import check_number

    if config.monitor is not None:
        check_number(config.monitor, config.metric)


def flattened_data(data: Any) -> dict[str, Any]:
    """The values of a `DataConfig` by their dotted names in a `TrainConfig`."""
    return {f"data.{name}": value for name, value in dataclasses.asdict(data).items()}


def _resolve_settings(
    given: Mapping[str, Any], namespace: argparse.Namespace
) -> tuple[TrainConfig, WeightFile | None, frozenset[str]]:
    """Combines the sources of settings.

    Also returns the checkpoint that was opened to read some of them, and the names of the settings that are set: by a
    whole `config.yaml`, a flag, a preset or a snapshot.
    """
    if "time" in given and "epochs" in given:
        raise ValueError("--epochs and --time both say how long to train; choose one.")
    if namespace.resume is None:
        base, file_settings = read_settings_file(namespace.config)
        preset = DEMO if given.get("data.dataset") == "demo" and not namespace.config else {}
        given = {**file_settings, **given}
        inherited, checkpoint = inherit_settings(given) if "model.weights" in given else ({}, None)
        architecture = choose_architecture(given, inherited, base)
        if architecture != base.model.architecture:
            preset = with_own_settings(preset, architecture, given)
        values = {"recipe": DEFAULT_RECIPE, **preset, **inherited, **given}
        if is_whole := bool(namespace.config) and not file_settings:
            values = {**preset, **inherited, **given}
        config = changed(base, values)
        return config, checkpoint, frozenset(flattened(base) if is_whole else values)
    if namespace.config:
        raise ValueError("--resume takes the settings of its run; remove --config.")
    run, _ = Run.find(namespace.resume)
    former = read_config(run.config, print_note)
    before = flattened(former)
    for name in sorted(set(given) - CHANGEABLE):
        if given[name] != before[name]:
            raise ValueError(
                f"{flag_name(name)} cannot change with --resume (it is {before[name]}); to start a new run from these "
                f"weights: --weights {run.last}"
            )
    return dataclasses.replace(changed(former, given), snapshot_path=str(run.folder.parent)), None, frozenset()


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        argv: Command-line arguments without the program's name. Defaults to those of this process.

    Returns:
        Exit status: 0 done, 2 wrong arguments or data, 3 a loss that is not finite, 130 or 143 stopped by a signal.
    """
    command = parse(argv)
    if not is_image_by_image(command):
        prefer_onednn()
    allow_clusters()
    keep_freed_memory()
    import_tensorflow()
    try:
        return _train_joined(command)
    except KeyboardInterrupt:
        print("retinanet-train: aborted; the snapshots on disk are complete.", file=sys.stderr)
        return 128 + signal.SIGINT


def is_image_by_image(command: TrainCommand) -> bool:
    """Whether gradients are computed one image at a time; memory is taken to allow more."""
    config = command.config
    recipe = {} if command.resume or "batch_size" in command.chosen else RECIPES[config.recipe]
    batch = recipe.get("batch_size", config.batch_size)
    return AUTO not in (batch, config.accumulate) and batch // config.accumulate == 1


def _train_joined(command: TrainCommand) -> int:
    """Trains with the other processes of the run, where there are any."""
    from keras_retinanet.training.processes import join_processes
    from keras_retinanet.training.watch_processes import watched

    try:
        processes = join_processes(command.processes)
        if command.finds_rate and processes.count > 1:
            raise ValueError("--find-lr runs in one process.")
    except ValueError as error:
        return fail(PROGRAM, error)
    with watched(processes, PROGRAM) as watch:
        status = _train(command, processes, watch)
        if watch is not None:
            watch.stop(status)
    return status


def _train(command: TrainCommand, processes: Processes, watch: Watch | None) -> int:
    from keras_retinanet.data.errors import DataError
    from keras_retinanet.training.memory import OutOfMemoryError
    from keras_retinanet.training.prepare import NonFiniteLossError, prepare

    try:
        training = prepare(
            command.config,
            resume=command.resume,
            checkpoint=command.checkpoint,
            chosen=command.chosen,
            processes=processes,
        )
        if command.finds_rate:
            return _find_rate(training)
    except (ValueError, OSError, ImportError) as error:
        return fail(PROGRAM, error)
    if watch is not None:
        watch.name_resume(command_line(PROGRAM, "--resume", str(training.run.folder)))
    try:
        result = training.fit()
    except NonFiniteLossError as error:
        return fail(PROGRAM, error, NOT_FINITE)
    except (DataError, OutOfMemoryError, RunInUseError) as error:
        return fail(PROGRAM, error)
    except OSError as error:
        folder = training.run.folder
        kept = f"the snapshots in {folder} are complete; after" if folder.is_dir() else "after"
        return fail(PROGRAM, OSError(f"{error}; {kept} fixing this: --resume {folder}"))
    except Exception:
        if watch is not None:  # it may be the other end of a connection
            watch.wait_for_loss()
        raise
    if processes.is_first:
        print_summary(result, training.config)
    return 0 if result.stopped_by is None else 128 + result.stopped_by


def _find_rate(training: Training) -> int:
    """Runs the range test, and prints what it proposes."""
    from keras_retinanet.training.find_rate import draw_range_test, find_learning_rate

    found = find_learning_rate(training)
    draw_range_test(found, training.run.range_test)
    print(f"range test: {len(found.losses)} steps, plot {training.run.range_test}")
    print(f"proposed: --learning-rate {found.proposed:g}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
