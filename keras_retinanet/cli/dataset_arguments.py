"""The dataset words of the command lines: `coco PATH`, `pascal PATH`, `csv ANNOTATIONS [CLASSES]`, `demo [PATH]`.

Flags may stand before, between or after these words. Nothing of a framework is imported here;
`keras_retinanet.open_dataset` opens what was parsed.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from typing import get_args

from keras_retinanet.config import DEMO_PATH, DataConfig, DatasetName


@dataclasses.dataclass(frozen=True)
class Format:
    """The words that follow a dataset word.

    Attributes:
        required: `DataConfig` fields that must be given, in order.
        optional: Fields that may follow.
        summary: One line for `--help`.
    """

    required: tuple[str, ...]
    optional: tuple[str, ...]
    summary: str

    def usage(self, trailing: Sequence[str] = ()) -> str:
        """The words as a usage line shows them, `ANNOTATIONS [CLASSES] SNAPSHOT`."""
        words = [name.upper() for name in self.required] + [f"[{name.upper()}]" for name in self.optional]
        return " ".join([*words, *trailing])


FORMATS: dict[DatasetName, Format] = {
    "coco": Format(("path",), (), "folder as COCO unzips: annotations/instances_<set>.json, <set>/ or images/<set>/"),
    "pascal": Format(("path",), (), "Pascal VOC folder: JPEGImages/ Annotations/ ImageSets/Main/<set>.txt"),
    "csv": Format(("annotations",), ("classes",), "lines of image,x1,y1,x2,y2,class; CLASSES has lines of class,index"),
    "demo": Format((), ("path",), f"synthetic scenes, written to PATH on first use (default: {DEMO_PATH})"),
}


def add_dataset_arguments(parser: argparse.ArgumentParser, trailing: Sequence[str] = ()) -> None:
    """Add the dataset words, and what `--help` says of them; parse with `parse_arguments`.

    Args:
        parser: The command's parser. Its epilog and formatter are set.
        trailing: Names of further words after the dataset's, all required, as `("SNAPSHOT",)`.
    """
    parser.add_argument("dataset", metavar="FORMAT", choices=get_args(DatasetName), help="one of the formats below")
    help_text = "the format's own words" + (f", then {' '.join(trailing)}" if trailing else "")
    parser.add_argument("words", metavar="ARGUMENT", nargs="*", help=help_text)
    heads = {name: f"{name} {fields.usage(trailing)}" for name, fields in FORMATS.items()}
    width = max(len(head) for head in heads.values())
    lines = [f"  {heads[name].ljust(width)}  {fields.summary}" for name, fields in FORMATS.items()]
    parser.epilog = "formats:\n" + "\n".join(lines) + "\n\nFlags may stand before or after these words."
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.set_defaults(trailing_names=tuple(trailing))


def parse_arguments(
    parser: argparse.ArgumentParser, argv: Sequence[str] | None = None
) -> tuple[argparse.Namespace, DataConfig, tuple[str, ...]]:
    """Parse a command line whose parser went through `add_dataset_arguments`.

    Args:
        parser: The command's parser.
        argv: The words after the program's name. Defaults to `sys.argv[1:]`.

    Returns:
        `(namespace, data, trailing)`: the flags; a `DataConfig` with the dataset's name and its own words, all other
        fields at their defaults; and the values of the trailing words. Words that do not fit end the program
        through `parser.error`.
    """
    namespace = parser.parse_intermixed_args(argv)
    names: tuple[str, ...] = namespace.trailing_names
    fields, words = FORMATS[namespace.dataset], list(namespace.words)
    most = len(fields.required) + len(fields.optional) + len(names)
    if not len(fields.required) + len(names) <= len(words) <= most:
        given = " ".join(words) if words else "nothing"
        parser.error(f"expected `{namespace.dataset} {fields.usage(names)}`, got {given} after {namespace.dataset!r}")
    count = len(words) - len(names)
    own = dict(zip(fields.required + fields.optional, words[:count], strict=False))
    data = DataConfig(dataset=namespace.dataset, path=own.get("path", DEMO_PATH if namespace.dataset == "demo" else ""))
    data = dataclasses.replace(data, annotations=own.get("annotations"), classes=own.get("classes"))
    return namespace, data, tuple(words[count:])
