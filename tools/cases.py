"""Arguments that scripts with a folder and named cases share."""

from __future__ import annotations

import argparse
from collections.abc import Collection
from pathlib import Path


def add_cases(parser: argparse.ArgumentParser, names: Collection[str]) -> None:
    """Adds the folder, and the choice of cases as a list.

    Args:
        parser: Gets the arguments.
        names: Names of the cases, all of which are the default.
    """

    def parse(text: str) -> list[str]:
        if unknown := set(text.split(",")) - set(names):
            raise argparse.ArgumentTypeError(f"no cases {sorted(unknown)}; there are {', '.join(names)}")
        return text.split(",")

    parser.add_argument("folder", type=Path, help="A folder that does not exist yet.")
    parser.add_argument(
        "--cases", type=parse, default=",".join(names), help="Which of them, with commas. (default: %(default)s)"
    )
