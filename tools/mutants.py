"""Mutants of a Python source: copies that differ in one place, as a slip of the pen would leave them.

Nothing is imported or run here; `mutation.py` runs the tests against the mutants.
"""

from __future__ import annotations

import ast
import copy
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Div,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
OPPOSITES = {
    "min": "max",
    "minimum": "maximum",
    "floor": "ceil",
    "any": "all",
    "logical_and": "logical_or",
    "argmin": "argmax",
    "zeros": "ones",
    "zeros_like": "ones_like",
}
OPPOSITES |= {second: first for first, second in OPPOSITES.items()}


@dataclass(frozen=True)
class Mutant:
    """A source with one change.

    Args:
        line: Line of the change, from 1.
        function: Qualified name of the function or class around it; empty at module level.
        operator: Kind of the change.
        before: Code that was replaced, on one line.
        after: Code that replaced it.
        nth: Number of earlier changes of this function with the same `before` and `after`.
        source: The whole changed file.
    """

    line: int
    function: str
    operator: str
    before: str
    after: str
    nth: int
    source: str

    @property
    def change(self) -> str:
        """The change as one line that stays the same while other lines move: the key of a kept reason."""
        nth = f" #{self.nth + 1}" if self.nth else ""
        return f"{self.function or '<module>'}: {self.before} -> {self.after}{nth}"


def make_mutants(source: str) -> list[Mutant]:
    """All mutants of a source, in the order of their lines; those that do not compile are left out."""
    encoded = source.encode()
    starts = [0]
    for line in encoded.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    seen: dict[tuple[str, str, str], int] = {}
    mutants = []
    for function, node, operator, replacement in _changes(ast.parse(source), ""):
        begin = starts[node.lineno - 1] + node.col_offset
        end = starts[node.end_lineno - 1] + node.end_col_offset
        after = ast.unparse(replacement)
        if isinstance(replacement, ast.expr) and not isinstance(replacement, ast.Tuple):
            after = f"({after})"
        changed = (encoded[:begin] + after.encode() + encoded[end:]).decode()
        try:
            with warnings.catch_warnings(action="ignore"):
                compile(changed, "mutant", "exec")
        except SyntaxError:
            continue
        before = ast.unparse(node)
        key = function, before, ast.unparse(replacement)
        nth = seen.get(key, 0)
        seen[key] = nth + 1
        mutants.append(Mutant(node.lineno, *key[:1], operator, *key[1:], nth, changed))
    return sorted(mutants, key=lambda mutant: mutant.line)


def _changes(node: ast.AST, function: str) -> Iterator[tuple[str, ast.AST, str, ast.AST]]:
    """Every (function, node, kind of change, replacement) below a node."""
    for child in _children(node):
        inside = function
        if isinstance(child, ast.FunctionDef | ast.ClassDef):
            inside = f"{function}.{child.name}".lstrip(".")
        elif isinstance(child, ast.stmt):
            yield from ((inside, child, *change) for change in _statement_changes(child))
        elif isinstance(child, ast.expr):
            yield from ((inside, child, *change) for change in _expression_changes(child))
        yield from _changes(child, inside)


def _children(node: ast.AST) -> Iterator[ast.AST]:
    """The parts of a node that tests can speak for: no annotations, decorators, docstrings, messages or imports."""
    skipped = {"annotation", "returns", "decorator_list", "bases", "keywords"} if _declares(node) else {"annotation"}
    for name, value in ast.iter_fields(node):
        if name in skipped:
            continue
        for child in value if isinstance(value, list) else [value]:
            is_text = isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)
            if isinstance(child, ast.AST) and not is_text and not isinstance(child, ast.Raise | ast.JoinedStr):
                yield child


def _declares(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef | ast.ClassDef)


def _statement_changes(node: ast.stmt) -> Iterator[tuple[str, ast.AST]]:
    if isinstance(node, ast.If | ast.While):
        return  # their tests are expressions
    targets = node.targets if isinstance(node, ast.Assign) else []
    names = {name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)}
    read = {name.id for name in ast.walk(node) if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Load)}
    is_attribute = any(isinstance(target, ast.Attribute | ast.Subscript) for target in targets)
    if isinstance(node, ast.Expr | ast.AugAssign) or (names and names <= read) or is_attribute:
        yield "drop statement", ast.Pass()
    if isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple) and len(node.value.elts) > 1:
        yield "swap results", ast.Return(_with(node.value, elts=_swapped(node.value.elts)))


def _expression_changes(node: ast.expr) -> Iterator[tuple[str, ast.AST]]:
    match node:
        case ast.Compare():
            for index, operator in enumerate(node.ops):
                ops = [*node.ops[:index], COMPARISONS[type(operator)](), *node.ops[index + 1 :]]
                yield "comparison", _with(node, ops=ops)
        case ast.BinOp() if type(node.op) in ARITHMETIC:
            yield "arithmetic", _with(node, op=ARITHMETIC[type(node.op)]())
        case ast.BoolOp():
            yield "and/or", _with(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
        case ast.UnaryOp(op=ast.Not() | ast.USub()):
            yield "sign", node.operand
        case ast.IfExp():
            yield "condition", _with(node, body=node.orelse, orelse=node.body)
        case ast.Constant(value=bool()):
            yield "constant", ast.Constant(not node.value)
        case ast.Constant(value=int() | float()):
            yield "constant", ast.Constant(node.value + 1 if isinstance(node.value, int) else 2 * node.value or 0.5)
        case ast.Call():
            yield from _call_changes(node)


def _call_changes(node: ast.Call) -> Iterator[tuple[str, ast.AST]]:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    is_plain = not any(isinstance(argument, ast.Starred | ast.Lambda) for argument in node.args)
    if node.args and is_plain and not name[:1].isupper():
        yield "drop call", node.args[0]
    is_named = len(node.args) > 1 and isinstance(node.args[1], ast.Constant) and isinstance(node.args[1].value, str)
    if len(node.args) > 1 and is_plain and not is_named and name not in OPPOSITES:  # those are symmetric
        yield "swap arguments", _with(node, args=_swapped(node.args))
    for index, keyword in enumerate(node.keywords):
        if keyword.arg:
            yield "drop keyword", _with(node, keywords=node.keywords[:index] + node.keywords[index + 1 :])
    if isinstance(node.func, ast.Name) and node.func.id in OPPOSITES:
        yield "opposite", _with(node, func=ast.Name(OPPOSITES[node.func.id]))
    if isinstance(node.func, ast.Attribute) and node.func.attr in OPPOSITES:
        yield "opposite", _with(node, func=_with(node.func, attr=OPPOSITES[node.func.attr]))


def _swapped(items: list[ast.expr]) -> list[ast.expr]:
    return [items[1], items[0], *items[2:]]


def _with(node: ast.AST, **fields: object) -> ast.AST:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed
