"""The dataset words of the command lines: `coco PATH`, `csv ANNOTATIONS [CLASSES]`, `tfds NAME`, `demo [PATH]` ….

Flags may come before, between or after these words. The readers import no framework until they read, so that `--help`
is fast.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from typing import Any

from keras_retinanet.cli.parsing import add_flags
from keras_retinanet.config import DataConfig, TrainConfig
from keras_retinanet.config.tree import settings
from keras_retinanet.data.datasets import DATASETS, Reader, find_layouts
from keras_retinanet.data.open_dataset import data_problems, reader_flags

READER_SETTINGS = tuple(f"data.{name}" for name in (*reader_flags(), "bad_data", "use_index_cache"))
"""Settings of the readers, flags of every command that reads a data set."""


def usage(reader: type[Reader], trailing: Sequence[str] = ()) -> str:
    """The words that follow a format as a usage line shows them, such as `ANNOTATIONS [CLASSES] SNAPSHOT`.

    Args:
        reader: The format's reader.
        trailing: Names of further words.

    Returns:
        The names, optional ones in brackets.
    """
    required = [reader.path_metavar if name == "path" else name.upper() for name in reader.arguments]
    return " ".join([*required, *(f"[{name.upper()}]" for name in reader.optional_arguments), *trailing])


def add_dataset_arguments(
    parser: argparse.ArgumentParser, trailing: Sequence[str] = (), *, can_detect: bool = False
) -> None:
    """Add the dataset words, and what `--help` says of them; parse with `parse_arguments`.

    Args:
        parser: The command's parser. Its epilog and formatter are set.
        trailing: Names of further words after the dataset's, all required, as `("SNAPSHOT",)`.
        can_detect: Accept a path alone in place of the format's words.
    """
    metavar, help_text = ("FORMAT|PATH", "one of the formats below, or a path whose format is recognised")
    if not can_detect:
        metavar, help_text = "FORMAT", "one of the formats below"
    parser.add_argument("dataset", metavar=metavar, help=help_text)
    help_text = "the format's own words" + (f", then {' '.join(trailing)}" if trailing else "")
    parser.add_argument("words", metavar="ARGUMENT", nargs="*", help=help_text)
    heads = {word: f"{word} {usage(reader, trailing)}" for word, reader in DATASETS.items()}
    width = max(len(head) for head in heads.values())
    lines = [f"  {heads[word].ljust(width)}  {reader.summary}" for word, reader in DATASETS.items()]
    parser.epilog = "formats:\n" + "\n".join(lines) + "\n\nFlags may stand before or after these words."
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.set_defaults(trailing_names=tuple(trailing), can_detect=can_detect)


def add_reader_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `READER_SETTINGS`, for a command that does not offer every setting anyway."""
    add_flags(parser, (setting for setting in settings(TrainConfig) if setting.name in READER_SETTINGS))


def parse_arguments(
    parser: argparse.ArgumentParser, argv: Sequence[str] | None = None
) -> tuple[argparse.Namespace, DataConfig, tuple[str, ...]]:
    """Parse a command line whose parser went through `add_dataset_arguments`.

    Args:
        parser: The command's parser.
        argv: Command-line arguments without the program's name. Defaults to those of this process.

    Returns:
        `(namespace, data, trailing)`: the flags; a `DataConfig` with the dataset's name, its own words and the flags of
        its reader, all other fields at their defaults; and the values of the trailing words. Words that do not fit end
        the program through `parser.error`.
    """
    namespace = parser.parse_intermixed_args(argv)
    names: tuple[str, ...] = namespace.trailing_names
    dataset, words = _recognised(parser, namespace)
    reader = DATASETS[dataset]
    most = len(reader.arguments) + len(reader.optional_arguments) + len(names)
    if not len(reader.arguments) + len(names) <= len(words) <= most:
        given = " ".join(words) if words else "nothing"
        has_sets = any("--set" in action.option_strings for action in parser._actions)
        hint = "; a set is named by --set" if len(words) > most and has_sets else ""
        parser.error(f"expected `{dataset} {usage(reader, names)}`, got {given} after {dataset!r}{hint}")
    count = len(words) - len(names)
    own: dict[str, Any] = dict(zip(reader.arguments + reader.optional_arguments, words[:count], strict=False))
    data = dataclasses.replace(DataConfig(dataset=dataset, path=reader.default_path), **own)
    given_flags = {name: vars(namespace)[name] for name in READER_SETTINGS if name in vars(namespace)}
    data = dataclasses.replace(data, **{name.removeprefix("data."): value for name, value in given_flags.items()})
    for problem in data_problems(data):
        parser.error(problem)
    return namespace, data, tuple(words[count:])


def _recognised(parser: argparse.ArgumentParser, namespace: argparse.Namespace) -> tuple[str, list[str]]:
    """The format and the words after it."""
    first, words = namespace.dataset, list(namespace.words)
    if first.startswith("tfds:"):
        return "tfds", [first.removeprefix("tfds:"), *words]
    if first in DATASETS:
        return first, words
    layouts = find_layouts(first) if namespace.can_detect else []
    if not layouts:
        allowed = ", ".join(repr(name) for name in DATASETS)
        hint = f", or a path whose format shows; {first} shows none" if namespace.can_detect else ""
        parser.error(f"argument FORMAT: invalid choice: {first!r} (choose from {allowed}{hint})")
    return layouts[0].format, [first, *words]
