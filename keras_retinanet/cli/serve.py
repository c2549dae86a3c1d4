"""`retinanet-serve`: serves snapshots and exported models over HTTP."""

from __future__ import annotations

import contextlib
import logging
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from keras_retinanet.cli.parsing import Parser, add_flags, fail
from keras_retinanet.cli.startup import import_tensorflow_for
from keras_retinanet.config import ServeConfig
from keras_retinanet.config.tree import flag_name, settings

if TYPE_CHECKING:
    from keras_retinanet.serving.model_versions import ModelSource

_FAILED = 1
_MINIMUM = {"port": 0, "max_wait_ms": 0, "reload_seconds": 0}  # of all other numbers: more than nothing
_MAXIMUM = {"port": 65535, "max_pixels": 2 * 89_478_485}  # Pillow itself refuses larger images


def build_parser() -> Parser:
    """Builds the parser: model and server settings.

    Returns:
        The parser.
    """
    parser = Parser(
        prog="retinanet-serve",
        description="Serve TensorFlow Serving's REST predict API and the Open Inference Protocol (KServe v2) on a port "
        "of this machine; / is a page to try it.",
    )
    parser.add_argument(
        "model",
        nargs="+",
        metavar="MODEL",
        help="a .keras file, the folder of a run, another library's file, an exported model or a folder of its "
        "versions; NAME=PATH gives it a name in URLs",
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
    given = {name: value for name, value in vars(flags).items() if name != "model"}
    try:
        config = ServeConfig(**given)
        check(config)
        if config.processes == 1:
            return _serve(None, None, flags.model, config)
        return _serve_with_processes(flags.model, config)
    except (ValueError, OSError, ImportError) as error:
        return fail("retinanet-serve", error)


def _serve_with_processes(models: Sequence[str], config: ServeConfig) -> int:
    _start_log()
    from keras_retinanet.serving.processes import Processes
    from keras_retinanet.serving.server import bound_socket, require_extra

    require_extra()
    _sources(models, config)
    with contextlib.closing(bound_socket(config)) as listening:
        return Processes(config.processes, _serve, models, config).run(listening)


def _serve(listening: socket.socket | None, folder: Path | None, models: Sequence[str], config: ServeConfig) -> int:
    """Serves in this process."""
    from keras_retinanet.serving.model_versions import artefact_of, path_of

    try:
        for words in models:
            import_tensorflow_for(str(artefact_of(path_of(words))), keeps_memory=False)
        _start_log()
        from keras_retinanet.serving.peers import Peers
        from keras_retinanet.serving.server import Server

        sources = _sources(models, config)
        with contextlib.closing(Server(config, listening, Peers(folder))) as server:
            server.run(sources)
    except (ValueError, OSError, ImportError) as error:
        return fail("retinanet-serve", error)
    except RuntimeError as error:
        return fail("retinanet-serve", error, _FAILED)
    return 0


def _start_log() -> None:
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("keras_retinanet").setLevel(logging.INFO)


def _sources(models: Sequence[str], config: ServeConfig) -> list[ModelSource]:
    from keras_retinanet.serving.model_versions import model_source

    if len(models) > 1 and config.name is not None:
        raise ValueError(f"--name {config.name} is for one model, got {len(models)}; name each as NAME=PATH.")
    sources = [model_source(words, config.name, config.thresholds) for words in models]
    names = [source.name for source in sources]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"Two models have the name {twice[0]!r}; name them as NAME=PATH.")
    return sources


def check(config: ServeConfig) -> None:
    """Checks the ranges of the settings.

    Args:
        config: The settings.

    Raises:
        ValueError: A setting is out of range; the message names the flag, its value and the range.
    """
    for setting in settings(ServeConfig):
        value = getattr(config, setting.name)
        if value is not None and setting.scalar in (int, float) and not setting.is_flag:
            least = _MINIMUM.get(setting.name)
            if not (value > 0 if least is None else value >= least):
                words = "greater than 0" if least is None else "0 or more"
                raise ValueError(f"{flag_name(setting.name)} must be {words}, got {value}.")
    for name, most in _MAXIMUM.items():
        if getattr(config, name) > most:
            raise ValueError(f"{flag_name(name)} must be at most {most}, got {getattr(config, name)}.")
    if config.max_latency_ms is not None and config.max_latency_ms <= config.max_wait_ms:
        raise ValueError(
            f"--max-latency-ms {config.max_latency_ms:g} must be larger than --max-wait-ms {config.max_wait_ms:g}, the "
            "time that an image waits for others."
        )
    if config.max_queue < config.max_batch:
        raise ValueError(f"--max-queue {config.max_queue} holds less than one batch: --max-batch {config.max_batch}.")


if __name__ == "__main__":
    sys.exit(main())
