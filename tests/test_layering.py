"""Imports follow the arrows of docs/architecture.md, run in no circle, and cost nothing before they are needed."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "keras_retinanet"

ARROWS: dict[str, str] = {
    # the words that all share
    "schema": "",
    "config": "",
    "version": "",
    # settings, without any framework
    "config_tree": "config",
    "config_rules": "config config_tree",
    "presets": "",
    "snapshot_settings": "",
    # pictures, without any framework
    "painting": "",
    "scenes": "painting",
    "captions": "",
    "visualize": "captions",
    # geometry
    "boxes": "schema config",
    "anchors": "schema config boxes",
    "matching": "schema config boxes",
    "nms": "schema config",
    "filter_detections": "schema config nms",
    # network
    "weight_files": "",
    "backbones": "schema config weight_files normalization",
    "normalization": "schema",
    "fpn": "schema config",
    "heads": "schema config normalization",
    "losses": "schema config boxes",
    "retinanet": "schema config backbones fpn heads losses anchors matching boxes",
    "inference": "schema config retinanet filter_detections nms nms anchors boxes muon schedules",
    # other libraries' detectors
    "kept_logits": "heads retinanet",
    "importers": "schema config weight_files backbones boxes heads retinanet inference kept_logits",
    # data
    "data": "schema config",
    "open_dataset": "schema config data scenes",
    "conversion": "schema config data open_dataset",
    # measuring
    "evaluation": "schema config inference visualize",
    "anchor_coverage": "schema config matching retinanet",
    # looking before training
    "doctor": "schema config version data open_dataset conversion anchors matching visualize",
    # training
    "interruption": "",
    "runs": "schema config config_tree",
    "curves": "runs",
    "schedules": "schema config",
    "muon": "schema",
    "optimization": "schema config muon schedules",
    "callbacks": "schema config evaluation inference runs curves interruption",
    "starting_weights": "schema config importers backbones retinanet inference kept_logits runs",
    "example_pictures": "schema config data evaluation runs visualize",
    "fitting": "schema config data evaluation inference retinanet callbacks example_pictures runs interruption "
    "schedules",
    "training": "schema config config_rules data open_dataset inference retinanet callbacks fitting anchor_coverage "
    "starting_weights runs optimization schedules",
    # artefacts
    "predict_messages": "",
    "runtimes": "schema config config_tree data inference",
    "export": "schema config version backbones nms retinanet inference data scenes runs runtimes predict_messages",
    "serving": "schema config data runtimes predict_messages",
    "serving_client": "serving",
    # detecting
    "tiling": "schema config runtimes",
    "open_model": "config importers inference retinanet runs runtimes",
    "detector": "schema config data open_model runtimes tiling",
    "video": "",
    "detection_files": "schema visualize video",
    # commands
    "cli": "schema config config_tree config_rules presets snapshot_settings runs open_dataset conversion scenes data "
    "fitting training evaluation inference visualize export runtimes serving importers kept_logits "
    "detector open_model detection_files video doctor",
}
"""Which parts each part may import: a part is a module or a folder of the package."""

FRAMEWORKS = {"tensorflow", "keras", "jax", "torch"}
WITHOUT_FRAMEWORK = {
    "schema", "config", "version", "config_tree", "config_rules", "presets", "snapshot_settings", "painting", "scenes",
    "captions", "visualize", "video", "detection_files", "predict_messages", "cli",
}  # fmt: skip
TENSORFLOW_AT_THE_TOP = {"data", "export", "runtimes"}
TENSORFLOW_IN_A_BRANCH = {"nms", "losses", "matching", "normalization"}
"""Parts that import TensorFlow inside the branch of that backend."""


class Import(NamedTuple):
    """`module` imports `target`, at `line`; `is_local` inside a function; `is_typing` for the type checker only."""

    module: str
    target: str
    line: int
    is_local: bool
    is_typing: bool


def module_files() -> dict[str, Path]:
    """Every module of the package by its dotted name, packages without `.__init__`."""
    files = sorted((ROOT / PACKAGE).rglob("*.py"))
    names = [".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for file in files]
    return dict(zip(names, files, strict=True))


MODULES = module_files()


def imports_of(module: str, tree: ast.AST, names: set[str]) -> Iterator[Import]:
    """All imports of a parsed module, those of submodules by `from package import module` resolved."""
    yield from _visit(module, tree, names, is_local=False, is_typing=False)


def _visit(module: str, node: ast.AST, names: set[str], *, is_local: bool, is_typing: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(module, alias.name, child.lineno, is_local, is_typing)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"{module}:{child.lineno} imports relatively; write the whole name"
            for alias in child.names:
                whole = f"{child.module}.{alias.name}"
                yield Import(module, whole if whole in names else str(child.module), child.lineno, is_local, is_typing)
        else:
            in_function = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            for_types = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
            yield from _visit(module, child, names, is_local=is_local or in_function, is_typing=is_typing or for_types)


IMPORTS = [
    found for name, file in MODULES.items() for found in imports_of(name, ast.parse(file.read_text()), set(MODULES))
]
OWN = [found for found in IMPORTS if found.target.split(".")[0] == PACKAGE]


def part(module: str) -> str:
    """First component below the package; empty for the package itself."""
    return module.removeprefix(PACKAGE).lstrip(".").split(".")[0]


def told(found: Import) -> str:
    return f"{found.module}, line {found.line}: imports {found.target}"


def against_the_arrows(found: Import) -> bool:
    here, there = part(found.module), part(found.target)
    return bool(here) and here != there and there not in ARROWS.get(here, "").split()


def circle(imports: list[Import]) -> list[str]:
    """The modules of an import circle, or none. Imports for the type checker do not run."""
    graph: dict[str, set[str]] = {}
    for found in imports:
        if not found.is_typing and found.module != PACKAGE:
            graph.setdefault(found.module, set()).add(found.target)
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def example(source: str, module: str = "keras_retinanet.boxes") -> list[Import]:
    return list(imports_of(module, ast.parse(source), set(MODULES)))


def test_the_checks_see_what_they_should() -> None:
    wrong = example("from keras_retinanet import retinanet")
    assert [found.target for found in wrong] == ["keras_retinanet.retinanet"]
    assert against_the_arrows(wrong[0])
    assert not against_the_arrows(example("import keras_retinanet.schema")[0])
    assert against_the_arrows(example("from keras_retinanet import build")[0]), "the package itself is above all"
    assert example("def f():\n    import keras")[0].is_local
    assert example("if TYPE_CHECKING:\n    import keras")[0].is_typing
    there, back = (
        example("import keras_retinanet.anchors"),
        example("import keras_retinanet.boxes", f"{PACKAGE}.anchors"),
    )
    assert set(circle(there + back)) == {"keras_retinanet.boxes", "keras_retinanet.anchors"}
    assert circle(there) == []


def test_every_part_stands_in_the_table_and_every_row_is_a_part() -> None:
    parts = {part(name) for name in MODULES} - {""}
    assert parts - set(ARROWS) == set(), "add these to ARROWS, and to docs/architecture.md"
    assert set(ARROWS) - parts == set(), "these are no longer there"


def test_the_arrows_have_no_circle() -> None:
    order = list(graphlib.TopologicalSorter({name: row.split() for name, row in ARROWS.items()}).static_order())
    assert order.index("boxes") < order.index("matching") < order.index("retinanet") < order.index("training")


@pytest.mark.parametrize(
    ("above", "below"),
    [("retinanet", "data"), ("inference", "data"), ("data", "anchors"), ("data", "retinanet"), ("boxes", "retinanet")],
)
def test_what_must_not_be_reached_by_any_path(above: str, below: str) -> None:
    reached, waiting = set(), [above]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += ARROWS[name].split()
    assert below not in reached


def test_imports_follow_the_arrows() -> None:
    assert [told(found) for found in OWN if against_the_arrows(found)] == []


def test_imports_run_in_no_circle() -> None:
    assert circle(OWN) == []


def test_own_modules_are_imported_at_the_top_except_by_commands_after_parsing() -> None:
    assert [told(found) for found in OWN if found.is_local and part(found.module) != "cli"] == []


def test_commands_import_what_needs_a_framework_inside_functions() -> None:
    light = WITHOUT_FRAMEWORK | {"runs"}
    heavy = [
        found
        for found in OWN
        if part(found.module) == "cli"
        and not found.is_local
        and not found.is_typing
        and part(found.target) not in light
    ]
    assert [told(found) for found in heavy] == []


def test_frameworks_are_imported_only_where_they_belong() -> None:
    wrong = []
    for found in IMPORTS:
        library, here = found.target.split(".")[0], part(found.module)
        if library not in FRAMEWORKS or found.is_typing:
            continue
        if here in WITHOUT_FRAMEWORK or not here:
            is_right = here == "cli" and found.is_local
        elif library == "tensorflow":
            is_right = here in TENSORFLOW_AT_THE_TOP or (found.is_local and here in TENSORFLOW_IN_A_BRANCH)
        else:
            is_right = library == "keras" and here != "data"
        if not is_right:
            wrong.append(told(found))
    assert wrong == []


# What is loaded, and how fast, in a fresh process

SCRIPTS: dict[str, str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]

REPORT = """
import sys, time
sys.path.insert(0, sys.argv.pop(1))
try:
    {action}
except SystemExit as stop:
    assert not stop.code, stop.code
loaded = {{name.split(".")[0] for name in sys.modules}} & {{"tensorflow", "keras", "jax", "torch"}}
print("\\n" + repr((sorted(loaded), time.process_time())))
"""


def fresh(action: str, *arguments: str) -> tuple[str, list[str], float]:
    """Run in a new process: what it printed, the frameworks it loaded, the seconds of CPU it took."""
    command = [sys.executable, "-c", REPORT.format(action=action), str(ROOT), *arguments]
    out = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT.anchor)
    assert out.returncode == 0, out.stderr
    printed, _, last = out.stdout.rstrip().rpartition("\n")
    loaded, seconds = ast.literal_eval(last)
    return printed, loaded, seconds


def test_importing_the_package_loads_no_framework() -> None:
    _, loaded, seconds = fresh(f"import {PACKAGE}")
    assert loaded == []
    assert seconds < 1.0


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_answers_without_a_framework_in_under_a_second(script: str) -> None:
    module, function = SCRIPTS[script].split(":")
    printed, loaded, seconds = fresh(f"from {module} import {function} as main; main(['--help'])")
    assert printed.startswith("usage: ")
    assert script in printed.splitlines()[0]
    assert loaded == []
    assert seconds < 1.0
