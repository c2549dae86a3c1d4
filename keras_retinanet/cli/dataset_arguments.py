"""The dataset words of the command lines: `PATH`, `coco PATH`, `csv ANNOTATIONS [CLASSES]`, `tfds NAME`, `demo [PATH]`.

A path alone is recognised by its files. Further paths, each `PATH` or `FORMAT:PATH`, are joined to the first.
Flags may come before, between or after these words. The readers import no framework until they read, so that `--help`
is fast.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from keras_retinanet.cli.parsing import add_flags, join_list
from keras_retinanet.config import DataConfig, TrainConfig
from keras_retinanet.config.tree import flag_name, settings
from keras_retinanet.data.datasets import DATASETS, Reader, find_layouts
from keras_retinanet.data.open_dataset import data_problems, reader_flags
from keras_retinanet.data.recognition import describe_others, recognise, refuse_archive

CHOICES = (
    "keep_classes",
    "map_class",
    "val_share",
    "val_fold",
    "val_seed",
    "exif",
    "bit_depth",
    "bad_data",
    "use_index_cache",
)
READER_SETTINGS = tuple(f"data.{name}" for name in (*reader_flags(), *CHOICES))
"""Settings of the readers and of what is done with their images, flags of every command that reads a data set."""


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
    parser: argparse.ArgumentParser,
    trailing: Sequence[str] = (),
    repeats: Callable[[str], bool] | None = None,
) -> None:
    """Add the dataset words, and what `--help` says of them; parse with `parse_arguments`.

    Args:
        parser: The command's parser. Its epilog and formatter are set.
        trailing: Names of further words after the dataset's, all required, as `("SNAPSHOT",)`.
        repeats: Function that tells whether a word before these is one of them, too. Defaults to `None`: none is.
    """
    help_text = "a path whose format is recognised by its files, or one of the formats below"
    parser.add_argument("dataset", metavar="PATH|FORMAT", help=help_text)
    help_text = "the format's own words; further paths, joined to the first by class name"
    help_text += f"; then {' '.join(trailing)}" if trailing else ""
    parser.add_argument("words", metavar="ARGUMENT", nargs="*", help=help_text)
    heads = {word: f"{word} {usage(reader, trailing)}" for word, reader in DATASETS.items()}
    width = max(len(head) for head in heads.values())
    lines = [f"  {heads[word].ljust(width)}  {reader.summary}" for word, reader in DATASETS.items()]
    notes = "Flags may stand before or after these words. ./coco is the folder of that name, coco the format."
    parser.epilog = "\n".join(["formats:", *lines, "", notes])
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.set_defaults(trailing_names=tuple(trailing), repeats=repeats)


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
        its reader, all other fields at their defaults; and the values of the trailing words, which are more than their
        names where the last may be repeated. Words that do not fit end the program through `parser.error`.
    """
    namespace = parser.parse_intermixed_args(argv)
    names: tuple[str, ...] = namespace.trailing_names
    count = max(0, len(namespace.words) - len(names))
    own_words = len(DATASETS[namespace.dataset].arguments) if namespace.dataset in DATASETS else 0
    while namespace.repeats and count > own_words and namespace.repeats(namespace.words[count - 1]):
        count -= 1
    words, trailing = namespace.words[:count], tuple(namespace.words[count:])
    try:
        own, rest = _read_first(parser, namespace, words)
        if more := [word for word in rest if not _is_there(word)]:
            gone = f"; {more[0]!r} is not there" if DATASETS[own["dataset"]].path_metavar != "NAME" else ""
            parser.error(_describe_words(parser, own["dataset"], namespace) + gone)
        more = [_recognise_further(word, own["dataset"], parser.prog) for word in rest]
        data = DataConfig(path=DATASETS[own["dataset"]].default_path, more_data=tuple(more) or None)
        given = {name: vars(namespace)[name] for name in READER_SETTINGS if name in vars(namespace)}
        own |= {name.removeprefix("data."): value for name, value in given.items()}
        data = dataclasses.replace(data, **own)
        problem = next(data_problems(data), None)
    except ValueError as error:
        problem = " ".join(str(error).split())
    if problem is not None:
        parser.error(problem)
    if len(trailing) < len(names):
        parser.error(_describe_words(parser, data.dataset, namespace))
    return namespace, data, trailing


def _read_first(
    parser: argparse.ArgumentParser, namespace: argparse.Namespace, words: Sequence[str]
) -> tuple[dict[str, Any], Sequence[str]]:
    """`DataConfig` fields of the first data set, and the words that are left."""
    word, colon, place = namespace.dataset.partition(":")
    if word not in DATASETS:
        layout = recognise(namespace.dataset, parser.prog)
        for sentence in describe_others(layout):
            print(f"note: {sentence}", file=sys.stderr)
        own = dict(layout.settings) or {DATASETS[layout.format].arguments[0]: str(layout.path)}
        return {"dataset": layout.format, **own}, words
    words = [place, *words] if colon else words
    reader = DATASETS[word]
    count = len(reader.arguments)
    if len(words) < count:
        parser.error(_describe_words(parser, word, namespace))
    own = dict(zip(reader.arguments, words, strict=False))
    if count and reader.path_metavar != "NAME":
        refuse_archive(Path(words[0]))
        layout_found = reader.find_layout(words[0]) if os.path.isdir(words[0]) else None
        own = dict(layout_found.settings) if layout_found and layout_found.settings else own
    for name in reader.optional_arguments:
        if len(words) > count and not (reader.arguments and _is_data(words[count])):
            own[name], count = words[count], count + 1
    return {"dataset": word, **own}, words[count:]


def _is_there(word: str) -> bool:
    return word.partition(":")[0] in DATASETS or os.path.exists(word)


def _is_data(word: str) -> bool:
    """Whether an optional word is a further data set instead."""
    return word.partition(":")[0] in DATASETS or any(layout.certainty > 1 for layout in find_layouts(word))


def _recognise_further(word: str, first: str, command: str) -> str:
    """A further data set as `FORMAT:PATH`; the format of the first one is preferred."""
    if word.partition(":")[0] in DATASETS:
        return word
    layout = DATASETS[first].find_layout(word) or recognise(word, f"{command} …")
    return f"{layout.format}:{layout.path}"


def _describe_words(parser: argparse.ArgumentParser, word: str, namespace: argparse.Namespace) -> str:
    """What a format expects, for words that do not fit."""
    given = " ".join(namespace.words) or "nothing"
    expected = usage(DATASETS[word], namespace.trailing_names)
    if namespace.dataset.partition(":")[0] not in DATASETS:
        expected = " ".join(namespace.trailing_names)
        return f"expected `{namespace.dataset} {expected}`, got {given} after {namespace.dataset!r}"
    hint = f"; the folder of that name is ./{word}" if not namespace.words and os.path.isdir(word) else ""
    reader = DATASETS[word]
    most = len(reader.arguments) + len(reader.optional_arguments) + len(namespace.trailing_names)
    if len(namespace.words) > most and any("--set" in action.option_strings for action in parser._actions):
        hint = "; a set is named by --set"
    return f"expected `{word} {expected}`, got {given} after {word!r}{hint}"


def dataset_words(data: DataConfig) -> list[str]:
    """The words and flags that name the validation data on a command line; what `parse_arguments` reads.

    Args:
        data: Which dataset.

    Returns:
        Such as `["coco", "data/coco", "--set", "val2017"]`.
    """
    reader, default = DATASETS[data.dataset], DataConfig()
    if reader.has_sets:
        words = [data.dataset, data.path if data.dataset == "tfds" else str(Path(data.path))]
    else:
        words = [data.dataset, (not data.divides_training_images and data.val_annotations) or data.annotations or ""]
    words += [*filter(None, [data.classes]), *(data.more_data or ())]
    names = [name for name in (*reader_flags(), *CHOICES[:7]) if getattr(data, name) != getattr(default, name)]
    own_set = data.train_set if data.divides_training_images else data.val_set
    chosen: dict[str, Any] = {"--set": own_set} if own_set else {}
    chosen |= {flag_name(f"data.{name}"): getattr(data, name) for name in names}
    for flag, value in chosen.items():
        words += [flag, join_list(value) if isinstance(value, tuple) else str(value)]
    return words
