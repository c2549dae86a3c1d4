"""The dataset words of the command lines: `coco PATH`, `csv ANNOTATIONS [CLASSES]`, `tfds NAME`, `demo [PATH]` ….

Flags may come before, between or after these words. Nothing of a framework is imported here;
`keras_retinanet.data.open_dataset` opens what was parsed.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from typing import get_args

from keras_retinanet.cli.detect_format import detect_format
from keras_retinanet.cli.parsing import add_flags
from keras_retinanet.config import DEMO_PATH, DataConfig, DatasetName, TrainConfig
from keras_retinanet.config.rules import reader_problems
from keras_retinanet.config.tree import settings

READER_SETTINGS = tuple(
    f"data.{name}" for name in ("labels_filter", "parent_label", "difficult", "bad_data", "use_index_cache")
)
"""Settings of the readers, flags of every command that reads a data set."""


@dataclasses.dataclass(frozen=True)
class Format:
    """The words that follow a dataset word.

    Attributes:
        required: `DataConfig` fields that must be given, in order.
        optional: Fields that may follow.
        summary: One line for `--help`.
        is_named: Whether `path` is a name, not a path.
    """

    required: tuple[str, ...]
    optional: tuple[str, ...]
    summary: str
    is_named: bool = False

    def usage(self, trailing: Sequence[str] = ()) -> str:
        """The words as a usage line shows them, `ANNOTATIONS [CLASSES] SNAPSHOT`."""
        required = ["NAME"] if self.is_named else [name.upper() for name in self.required]
        return " ".join([*required, *(f"[{name.upper()}]" for name in self.optional), *trailing])


FORMATS: dict[DatasetName, Format] = {
    "coco": Format(("path",), (), "folder as COCO unzips: annotations/instances_<set>.json, <set>/ or images/<set>/"),
    "pascal": Format(("path",), (), "Pascal VOC folder: JPEGImages/ Annotations/ ImageSets/Main/<set>.txt"),
    "csv": Format(("annotations",), ("classes",), "lines of image,x1,y1,x2,y2,class; CLASSES has lines of class,index"),
    "kitti": Format(("path",), (), "KITTI folder: training/image_2, training/label_2; or <set>/images, <set>/labels"),
    "oid": Format(("path",), (), "Open Images v4 to v7: <set>-annotations-bbox.csv, class descriptions, <set>/*.jpg"),
    "yolo": Format(("path",), (), "data.yaml, or its folder: images/ and labels/*.txt"),
    "tfrecord": Format(("path",), ("classes",), "TF Object Detection API records: folder, file or pattern; label map"),
    "tfds": Format(("path",), (), "a prepared TensorFlow Dataset, such as voc/2007; also as tfds:NAME", is_named=True),
    "demo": Format((), ("path",), f"synthetic scenes, written to PATH on first use (default: {DEMO_PATH})"),
}


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
    heads = {name: f"{name} {fields.usage(trailing)}" for name, fields in FORMATS.items()}
    width = max(len(head) for head in heads.values())
    lines = [f"  {heads[name].ljust(width)}  {fields.summary}" for name, fields in FORMATS.items()]
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
        argv: The words after the program's name. Defaults to `sys.argv[1:]`.

    Returns:
        `(namespace, data, trailing)`: the flags; a `DataConfig` with the dataset's name, its own words and the flags of
        its reader, all other fields at their defaults; and the values of the trailing words. Words that do not fit end
        the program through `parser.error`.
    """
    namespace = parser.parse_intermixed_args(argv)
    names: tuple[str, ...] = namespace.trailing_names
    dataset, words = _recognised(parser, namespace)
    fields = FORMATS[dataset]
    most = len(fields.required) + len(fields.optional) + len(names)
    if not len(fields.required) + len(names) <= len(words) <= most:
        given = " ".join(words) if words else "nothing"
        has_sets = any("--set" in action.option_strings for action in parser._actions)
        hint = "; a set is named by --set" if len(words) > most and has_sets else ""
        parser.error(f"expected `{dataset} {fields.usage(names)}`, got {given} after {dataset!r}{hint}")
    count = len(words) - len(names)
    own = dict(zip(fields.required + fields.optional, words[:count], strict=False))
    data = DataConfig(dataset=dataset, path=own.get("path", DEMO_PATH if dataset == "demo" else ""))
    data = dataclasses.replace(data, annotations=own.get("annotations"), classes=own.get("classes"))
    given_flags = {name: vars(namespace)[name] for name in READER_SETTINGS if name in vars(namespace)}
    data = dataclasses.replace(data, **{name.removeprefix("data."): value for name, value in given_flags.items()})
    for problem in reader_problems(data):
        parser.error(problem)
    return namespace, data, tuple(words[count:])


def _recognised(parser: argparse.ArgumentParser, namespace: argparse.Namespace) -> tuple[DatasetName, list[str]]:
    """The format and the words after it."""
    first, words = namespace.dataset, list(namespace.words)
    if first.startswith("tfds:"):
        return "tfds", [first.removeprefix("tfds:"), *words]
    if first in FORMATS:
        return first, words
    detected = detect_format(first) if namespace.can_detect else None
    if detected is None:
        allowed = ", ".join(repr(name) for name in get_args(DatasetName))
        hint = f", or a path whose format shows; {first} shows none" if namespace.can_detect else ""
        parser.error(f"argument FORMAT: invalid choice: {first!r} (choose from {allowed}{hint})")
    return detected, [first, *words]
