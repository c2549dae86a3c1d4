"""`retinanet-serve`: serves a snapshot or an exported model over HTTP."""

from __future__ import annotations

import argparse
import contextlib
import logging
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from keras_retinanet.cli.parsing import Parser, add_flags, fail
from keras_retinanet.cli.startup import import_tensorflow_for
from keras_retinanet.config import ServeConfig
from keras_retinanet.config.tree import flag_name, settings
from keras_retinanet.snapshots.run_folder import SNAPSHOTS

if TYPE_CHECKING:
    from keras_retinanet.serving.app import Served

_FAILED = 1
_MINIMUM = {"port": 0, "max_wait_ms": 0}  # of all other numbers: more than nothing
_MAXIMUM = {"port": 65535, "max_pixels": 2 * 89_478_485}  # Pillow itself refuses larger images


def build_parser() -> Parser:
    """Builds the parser: model and server settings.

    Returns:
        The parser.
    """
    parser = Parser(
        prog="retinanet-serve",
        description="Serve TensorFlow Serving's REST predict API on a port of this machine; / is a page to try it.",
    )
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="a .keras file, the folder of a run, another library's file, or an exported model",
    )
    add_flags(parser, settings(ServeConfig))
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        argv: Command-line arguments without the program's name. Defaults to those of this process.

    Returns:
        Exit status: 0 ended by a signal, 1 the model failed, 2 wrong arguments or model.
    """
    flags = build_parser().parse_args(argv)
    import_tensorflow_for(flags.model)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("keras_retinanet").setLevel(logging.INFO)
    try:
        _serve(flags)
    except (ValueError, OSError, ImportError) as error:
        return fail("retinanet-serve", error)
    except RuntimeError as error:
        return fail("retinanet-serve", error, _FAILED)
    return 0


def _serve(flags: argparse.Namespace) -> None:
    given = {name: value for name, value in vars(flags).items() if name != "model"}
    config = ServeConfig(**given)
    check(config)
    from keras_retinanet.serving.server import Server

    with contextlib.closing(Server(config)) as server:
        server.run(open_model(Path(flags.model), config.name, config.thresholds))


def check(config: ServeConfig) -> None:
    """Checks the ranges of the settings.

    Args:
        config: The settings.

    Raises:
        ValueError: A setting is out of range; the message names the flag, its value and the range.
    """
    for setting in settings(ServeConfig):
        value = getattr(config, setting.name)
        if setting.scalar in (int, float) and not setting.is_flag:
            least = _MINIMUM.get(setting.name)
            if not (value > 0 if least is None else value >= least):
                words = "greater than 0" if least is None else "0 or more"
                raise ValueError(f"{flag_name(setting.name)} must be {words}, got {value}.")
    for name, most in _MAXIMUM.items():
        if getattr(config, name) > most:
            raise ValueError(f"{flag_name(name)} must be at most {most}, got {getattr(config, name)}.")
    if config.max_queue < config.max_batch:
        raise ValueError(f"--max-queue {config.max_queue} holds less than one batch: --max-batch {config.max_batch}.")


def open_model(path: Path, name: str | None, thresholds: str | None = None) -> Served:
    """Opens the model to serve.

    Args:
        path: As in `runtimes.open_model`.
        name: Name in URLs. Defaults to that of the file or folder.
        thresholds: File of score thresholds. Defaults to the model's own.

    Returns:
        The model with its name and version.

    Raises:
        ValueError: The model cannot be opened, or the name is not valid in a URL.
        OSError: The path does not exist.
    """
    from keras_retinanet.runtimes import open_model as runtimes
    from keras_retinanet.runtimes.stricter_runtime import with_threshold_file
    from keras_retinanet.serving.app import Served

    own, version = name_and_version(path)
    name = own if name is None else name
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise ValueError(f"The name {name!r} is not valid in a URL; give --name of letters, digits, '.', '_' and '-'.")
    return Served(with_threshold_file(runtimes.open_model(path), thresholds), name, version)


def name_and_version(path: Path) -> tuple[str, int]:
    """The default name and version of a model.

    Args:
        path: The path as given.

    Returns:
        Name of the file, of the run, or of the folder with the versions; and the version, 1 if there is none.
    """
    from keras_retinanet.runtimes import versions_of

    path = path.resolve()
    if path.name in SNAPSHOTS:
        return path.parent.name, 1
    if path.name.isdecimal() and (path / "saved_model.pb").is_file():
        return path.parent.name, int(path.name)
    return path.stem if path.is_file() else path.name, max(versions_of(path), default=1)


if __name__ == "__main__":
    sys.exit(main())
