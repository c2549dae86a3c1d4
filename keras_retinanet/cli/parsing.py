"""A parser that suggests the nearest flag for a mistyped one, and flags generated from settings."""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, NoReturn

from keras_retinanet.cli.startup import escape_unprintable
from keras_retinanet.config import aliases
from keras_retinanet.config.settings import AUTO
from keras_retinanet.config.tree import WITHOUT_FLAG, Setting, flag_name

MEASURED = ("batch_size", "accumulate")
"""Settings that take `auto`: what memory allows."""
WRONG = 2
"""Exit status for wrong arguments, data or snapshots."""
_NUMBER = re.compile(r"(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?,?")


class Parser(argparse.ArgumentParser):
    """An argument parser that accepts no abbreviations and suggests the nearest flag for a mistyped one.

    From then on no character ends the command because the terminal cannot show it.
    """

    def __init__(self, **kwargs: Any) -> None:
        escape_unprintable()
        super().__init__(**{"allow_abbrev": False, **kwargs})

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Replaces earlier flags, then parses as the base class."""
        words = aliases.with_current_flags(sys.argv[1:] if args is None else args, print_note)
        return super().parse_known_args(words, namespace)

    def error(self, message: str) -> NoReturn:
        """Prints one line and exits with status 2.

        Args:
            message: The error.
        """
        if message.startswith("unrecognized arguments: "):
            message += self._suggest_flag(message.removeprefix("unrecognized arguments: ").split())
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")

    def _suggest_flag(self, words: Iterable[str]) -> str:
        known = [flag for action in self._actions for flag in action.option_strings]
        for word in words:
            if word.startswith("-") and (near := difflib.get_close_matches(word.partition("=")[0], known, n=1)):
                return f"; did you mean {near[0]}?"
        return ""


def print_note(note: str) -> None:
    """Prints a note on stderr, separate from results on stdout.

    Args:
        note: One sentence.
    """
    print(f"note: {note}", file=sys.stderr)


def fail(program: str, error: Exception, status: int = WRONG) -> int:
    """Prints an error on one line of stderr.

    Args:
        program: Name of the command.
        error: The error.
        status: Exit status.

    Returns:
        The status.
    """
    line = f"{program}: error: {' '.join(str(error).split())}\n"
    print(line, end="", file=sys.stderr)  # in one piece: several processes may say it at the same time
    return status


def add_flags(parser: argparse._ActionsContainer, settings: Iterable[Setting], by_recipe: Collection[str] = ()) -> None:
    """Adds one flag per setting. Flags that are not given do not occur in the parsed namespace.

    Args:
        parser: Parser or group. In the namespace the flags have the settings' dotted names.
        settings: The settings, with type, choices, default and description.
        by_recipe: Names of those whose default a recipe may replace. Defaults to none.
    """
    for setting in settings:
        if setting.name in WITHOUT_FLAG:
            continue
        help_text = _format_help(setting)
        if setting.name in by_recipe:
            help_text = (
                f"{help_text.removesuffix(')')}, or chosen by the recipe)"
                if "(default: " in help_text
                else (f"{help_text} May be chosen by the recipe.")
            )
        arguments: dict[str, Any] = {"dest": setting.name, "default": argparse.SUPPRESS, "help": help_text}
        if setting.is_flag:
            arguments["action"] = argparse.BooleanOptionalAction
        elif setting.choices:
            arguments |= {"choices": setting.choices, "metavar": "NAME"}
        else:
            arguments |= {"type": _make_reader(setting), "metavar": _choose_metavar(setting)}
            if setting.is_tuple and setting.scalar is str:
                arguments["action"] = _Extend
        parser.add_argument(flag_name(setting.name), **arguments)


def number(kind: type, least: float, most: float = float("inf")) -> Callable[[str], Any]:
    """Makes an argument type for numbers in a range.

    Args:
        kind: `int` or `float`.
        least: Minimum.
        most: Maximum. Defaults to infinity.

    Returns:
        Function for the `type` of an argument.
    """

    def read(text: str) -> Any:
        value = kind(text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(
                f"{text} is not between {least} and {most}" if most < float("inf") else f"{text} is less than {least}"
            )
        return value

    read.__name__ = {int: "whole number", float: "number"}[kind]
    return read


def join_numbers(words: Sequence[str], flags: Iterable[str]) -> list[str]:
    """Joins the numbers after a flag by commas, so that they may also be separated by spaces.

    Args:
        words: Command-line arguments.
        flags: Flags that take several numbers.

    Returns:
        The arguments, with the numbers after each such flag joined.
    """
    joined: list[str] = []
    takes_many = set(flags)
    takes_many |= {before for before, now in aliases.FLAGS.items() if now in takes_many}
    numbers = -1  # of the flag before this word; -1 outside of such a flag
    for word in words:
        if numbers >= 0 and _NUMBER.fullmatch(word):
            joined[-1:] = [f"{joined[-1].rstrip(',')},{word}"] if numbers else [joined[-1], word]
            numbers += 1
        else:
            joined.append(word)
            flag, equals, _ = word.partition("=")
            numbers = len(equals) if flag in takes_many else -1
    return joined


class _Extend(argparse.Action):
    """Joins the names of a flag that is given several times."""

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option_string: Any = None) -> None:
        del parser, option_string
        setattr(namespace, self.dest, (*getattr(namespace, self.dest, ()), *values))


def _format_help(setting: Setting) -> str:
    text = setting.description.replace("%", "%%").replace("`", "")
    if setting.choices:
        text += f" One of {', '.join(setting.choices)}."
    if setting.default is None or setting.default in ("", ()):
        return text
    default = setting.default
    if setting.is_flag:
        default = "on" if default else "off"
    elif setting.is_tuple:
        default = ",".join(f"{value:.4g}" if isinstance(value, float) else str(value) for value in default)
    elif isinstance(default, float):
        default = f"{default:.4g}"
    return f"{text} (default: {default})"


def _choose_metavar(setting: Setting) -> str:
    if setting.is_tuple:
        return "NAME,NAME,…" if setting.scalar is str else "X,X,…"
    return {int: "N", float: "X"}.get(setting.scalar, "TEXT")


def split_list(text: str) -> list[str]:
    """Split a list at its commas; a comma within an entry has a backslash before it."""
    parts = [part.strip().replace("\\,", ",") for part in re.split(r"(?<!\\),", text)]
    return parts[not parts[0] : len(parts) - (len(parts) > 1 and not parts[-1])]


def join_list(values: Iterable[object]) -> str:
    """Join entries with commas so that `split_list` finds them again."""
    return ",".join(str(value).replace(",", "\\,") for value in values)


def _make_reader(setting: Setting) -> Callable[[str], Any]:
    scalar = setting.scalar

    def read(text: str) -> Any:
        if text == "auto" and setting.name in MEASURED:
            return AUTO
        return tuple(map(scalar, split_list(text))) if setting.is_tuple else scalar(text)

    kind = {int: "whole number", float: "number"}.get(scalar, "text")
    read.__name__ = f"list of {kind}s" if setting.is_tuple else kind
    return read
