"""Flags for commands that look at a data set as the network would: resizing, anchors, assigner."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from keras_retinanet.cli.dataset_arguments import add_dataset_arguments, add_reader_flags, parse_arguments
from keras_retinanet.cli.parsing import Parser, add_flags, join_numbers, print_note
from keras_retinanet.config import TrainConfig
from keras_retinanet.config.architectures import refuse_inapplicable, with_own_settings
from keras_retinanet.config.presets import DEMO
from keras_retinanet.config.rules import check
from keras_retinanet.config.tree import changed, flag_name, settings
from keras_retinanet.data.open_dataset import check_data
from keras_retinanet.snapshots.run_folder import read_config

GROUPS = (
    "anchors.", "assigner.", "resize.", "model.min_level", "model.max_level", "model.architecture", "default_boxes.",
    "seed",
)  # fmt: skip
SETS = ("data.train_set", "data.val_set", "data.val_annotations", "data.limit", "data.workers")


def network_parser(program: str, description: str) -> Parser:
    """Builds a parser with dataset arguments and flags of readers, splits, resizing, anchors and assigner.

    Args:
        program: Name of the command.
        description: One sentence about the command.

    Returns:
        The parser, to which a command adds its own flags. Use it with `parse_network_arguments`.
    """
    parser = Parser(prog=program, usage="%(prog)s [flags] {PATH … | FORMAT ARGUMENT …}", description=description)
    add_dataset_arguments(parser)
    add_reader_flags(parser)
    parser.add_argument(
        "--config", metavar="FILE", help="take the settings from the config.yaml of a run, or anchors from fizyr's .ini"
    )
    chosen = [setting for setting in settings(TrainConfig) if setting.name.startswith(GROUPS) or setting.name in SETS]
    add_flags(parser, chosen)
    return parser


def read_settings_file(path: str | None) -> tuple[TrainConfig, dict[str, Any]]:
    """Reads the file of `--config`.

    Args:
        path: The `config.yaml` of a run, or fizyr's `.ini`; `None` for no file.

    Returns:
        The settings of the run, or the defaults; and dotted name → value for the anchors and pyramid levels of an
        `.ini`.

    Raises:
        ValueError: The file is invalid.
        OSError: The file cannot be opened.
    """
    if not path or not path.endswith(".ini"):
        return read_config(path, print_note) if path else TrainConfig(), {}
    from keras_retinanet.importers.fizyr_model_config import read_anchor_ini

    anchors = read_anchor_ini(path)
    strides = [int(stride) for stride in anchors["strides"]]
    levels = {"model.min_level": strides[0].bit_length() - 1, "model.max_level": strides[-1].bit_length() - 1}
    return TrainConfig(), {f"anchors.{name}": values for name, values in anchors.items()} | levels


def parse_network_arguments(
    parser: Parser, argv: Sequence[str] | None = None
) -> tuple[argparse.Namespace, TrainConfig]:
    """Parses a command line. An error ends the program with status 2 and one line.

    Args:
        parser: A parser of `network_parser` with the command's own flags.
        argv: Command-line arguments without the program's name. Defaults to those of this process.

    Returns:
        All flags, and the settings of a training with these flags.
    """
    lists = [flag_name(setting.name) for setting in settings(TrainConfig) if setting.is_tuple]
    namespace, data, _ = parse_arguments(parser, join_numbers(sys.argv[1:] if argv is None else argv, lists))
    given = {name: value for name, value in vars(namespace).items() if name.startswith(GROUPS) or name in SETS}
    try:
        base, file_settings = read_settings_file(namespace.config)
        preset = DEMO if data.dataset == "demo" and not namespace.config else {}
        architecture = given.get("model.architecture", base.model.architecture)
        refuse_inapplicable(given, architecture)
        if architecture != base.model.architecture:
            preset = with_own_settings(preset, architecture, given)
        # A run's weights need not be here, and are not needed.
        config = changed(changed(base, {"data": data}), {**preset, "model.weights": "none", "freeze_backbone": False})
        config = changed(config, {**file_settings, **given})
        check(config)
        check_data(config.data)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    return namespace, config
