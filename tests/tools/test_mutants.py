"""The changes that mutation testing makes, worked by hand on a few lines."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TOOL = Path(__file__).resolve().parents[2] / "tools/mutants.py"


@pytest.fixture(scope="module")
def changes() -> Callable[[str], list[str]]:
    make_mutants: Callable[[str], list[Any]] = runpy.run_path(str(TOOL))["make_mutants"]
    return lambda source: [mutant.change for mutant in make_mutants(source)]


@pytest.mark.parametrize(
    ("line", "after"),
    [
        ("x = a < b", ["x = a <= b"]),
        ("x = a < b == c", ["x = a <= b == c", "x = a < b != c"]),
        ("x = a - b", ["x = a + b"]),
        ("x = a and b", ["x = a or b"]),
        ("x = not a", ["x = a"]),
        ("x = -a", ["x = a"]),
        ("x = a if b else c", ["x = c if b else a"]),
        ("x = 2", ["x = 3"]),
        ("x = 0.5", ["x = 1.0"]),
        ("x = 0.0", ["x = 0.5"]),
        ("x = True", ["x = False"]),
        ("x = f(a, b)", ["x = a", "x = f(b, a)"]),
        ("x = ops.minimum(a, b)", ["x = a", "x = ops.maximum(a, b)"]),
        ("x = f(axis=a)", ["x = f()"]),
        ("x = Layer(a)", []),
        ("x = x", ["pass"]),
        ("x.y = a", ["pass"]),
        ("x += a", ["pass"]),
        ("x = 'text'", []),
    ],
)
def test_changes_of_a_line(line: str, after: list[str]) -> None:
    mutants = runpy.run_path(str(TOOL))["make_mutants"](f"# é\n{line}\n")
    sources = [mutant.source.removeprefix("# é\n").strip() for mutant in mutants]
    plain = [source.replace("(", "").replace(")", "") for source in sources]
    assert plain == [text.replace("(", "").replace(")", "") for text in after]
    assert {mutant.line for mutant in mutants} <= {2}


def test_messages_annotations_docstrings_and_imports_stay(changes: Callable[[str], list[str]]) -> None:
    source = '''
"""1 < 2."""
from a import b

def f(x: tuple[int, 3]) -> 4:
    """5 < 6."""
    if x:
        raise ValueError(f"{7}" + g(8, 9))
    return 1, x

@register(10)
class A(B, key=11):
    def m(self, y=12): ...
'''
    assert changes(source) == ["f: return (1, x) -> return (x, 1)", "f: 1 -> 2", "A.m: 12 -> 13"]


def test_equal_changes_of_a_function_are_numbered(changes: Callable[[str], list[str]]) -> None:
    assert changes("x = 1 + 1") == ["<module>: 1 + 1 -> 1 - 1", "<module>: 1 -> 2", "<module>: 1 -> 2 #2"]
