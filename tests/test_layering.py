"""Imports equal the table of docs/architecture.md, run in no circle, and cost nothing before they are needed."""

from __future__ import annotations

import ast
import graphlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "keras_retinanet"


def rooms_of_the_docs() -> dict[str, set[str]]:
    """Room → the rooms it imports, as the table in docs/architecture.md states them."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| ([\w ]*)\|$", page, flags=re.MULTILINE)
    return {room: set(imported.split()) for room, imported in rows}


def rows_of_the_picture() -> list[set[str]]:
    """The rows of rooms in the picture of docs/architecture.md, from bottom to top."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    picture = page.partition("## The rooms")[2].split("```")[1]
    return [set(re.findall(r"\w+", line)) for line in reversed(picture.strip().splitlines())]


ARROWS = rooms_of_the_docs()
"""Which rooms each room imports: a room is a package or a module directly below `keras_retinanet`."""

FRAMEWORKS = {"tensorflow", "keras", "jax", "torch"}
WITHOUT_FRAMEWORK = {
    "", "schema", "config", "shards", "version", "extras", "heap", "box_overlap", "snapshots", "demo", "drawing", "cli",
    "detection.video", "detection.result_files", "serving.predict_messages", "data.datasets", "data.open_dataset",
    "data.recognition", "experiments.paper", "data.given_images", "data.preparation", "detection.detector",
    "runtimes.open_model", "runtimes.runtime", "serving.app", "training.launchers",
}  # fmt: skip
"""Rooms and modules whose import loads no framework."""
TENSORFLOW_AT_THE_TOP = {"data", "export", "runtimes"}
TENSORFLOW_IN_A_FUNCTION = {
    "geometry.nms", "assigners.per_image", "model.replicas", "model.target_checks", "backbones.grouped_conv",
    "backbones.depthwise", "backbones.dilated_conv", "backbones.normalization", "framework_internals",
    "training.half_precision", "training.pointwise_clusters",
    "losses.mining", "weight_files.tf_checkpoint", "winograd", "conv_gradients",
    "model.fpn", "model.split_step", "model.filled_batches", "training.devices", "training.local_detector",
}  # fmt: skip
"""Modules that import TensorFlow inside a function: in the branch of that backend, for a private name of it, or to read
its files."""
JAX_IN_A_FUNCTION = {"framework_internals", "model.filled_batches", "training.local_detector", "training.processes"}
"""Modules that import JAX inside a function, for what Keras lacks: its processes, and arrays on one device."""


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


def below_package(module: str) -> str:
    """The dotted name below the package; empty for the package itself."""
    return module.removeprefix(PACKAGE).lstrip(".")


def room_of(module: str) -> str:
    """First component below the package; empty for the package itself."""
    return below_package(module).split(".")[0]


def listed(module: str, names: set[str]) -> bool:
    """True if the module, or its room, is among the names."""
    return below_package(module) in names or room_of(module) in names


def describe(found: Import) -> str:
    return f"{found.module}, line {found.line}: imports {found.target}"


def between_rooms(imports: list[Import]) -> dict[str, set[str]]:
    """Room → rooms that its modules import, type-checking imports included; the package's face left out."""
    arrows: dict[str, set[str]] = {}
    for found in imports:
        here, there = room_of(found.module), room_of(found.target)
        if here and here != there:
            arrows.setdefault(here, set()).add(there)
    return arrows


def circle(imports: list[Import]) -> list[str]:
    """The modules of an import circle, or none; type-checking imports count."""
    graph: dict[str, set[str]] = {}
    for found in imports:
        if found.module != PACKAGE:
            graph.setdefault(found.module, set()).add(found.target)
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def example(source: str, module: str = "keras_retinanet.geometry.boxes") -> list[Import]:
    return list(imports_of(module, ast.parse(source), set(MODULES)))


def test_the_checks_see_what_they_should() -> None:
    wrong = example("from keras_retinanet.model import retinanet")
    assert [found.target for found in wrong] == ["keras_retinanet.model.retinanet"]
    assert between_rooms(wrong) == {"geometry": {"model"}}
    assert between_rooms(example("import keras_retinanet.geometry.anchors")) == {}
    assert between_rooms(example("from keras_retinanet import build")) == {"geometry": {""}}
    assert example("def f():\n    import keras")[0].is_local
    for_types = example("if TYPE_CHECKING:\n    import keras_retinanet.model.fpn")
    assert for_types[0].is_typing
    assert between_rooms(for_types) == {"geometry": {"model"}}
    there, back = (
        example("import keras_retinanet.geometry.anchors"),
        example("import keras_retinanet.geometry.boxes", f"{PACKAGE}.geometry.anchors"),
    )
    assert set(circle(there + back)) == {"keras_retinanet.geometry.boxes", "keras_retinanet.geometry.anchors"}
    assert circle(there) == []


def test_every_room_is_in_the_table_and_every_row_is_a_room() -> None:
    rooms = {room_of(name) for name in MODULES} - {""}
    assert rooms == set(ARROWS), "docs/architecture.md, table of rooms"


@pytest.mark.parametrize("room", sorted(ARROWS))
def test_imports_between_rooms_equal_the_table(room: str) -> None:
    assert between_rooms(OWN).get(room, set()) == ARROWS[room], f"docs/architecture.md, row {room}"


def test_the_picture_holds_each_room_once_above_all_that_it_imports() -> None:
    rows = rows_of_the_picture()
    heights = {room: height for height, row in enumerate(rows) for room in row}
    assert sorted(room for row in rows for room in row) == sorted(ARROWS)
    upward = [(room, other) for room, row in ARROWS.items() for other in row if heights[other] >= heights[room]]
    assert upward == []


@pytest.mark.parametrize(
    ("above", "below"),
    [("model", "data"), ("inference", "data"), ("data", "geometry"), ("data", "model"), ("geometry", "model")],
)
def test_what_must_not_be_reached_by_any_path(above: str, below: str) -> None:
    reached, waiting = set(), [above]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += ARROWS[name]
    assert below not in reached


def test_imports_run_in_no_circle() -> None:
    assert circle(OWN) == []


def test_own_modules_are_imported_at_the_top_except_by_commands_after_parsing() -> None:
    assert [describe(found) for found in OWN if found.is_local and room_of(found.module) != "cli"] == []


def test_commands_import_what_needs_a_framework_inside_functions() -> None:
    heavy = [
        found
        for found in OWN
        if room_of(found.module) == "cli"
        and not found.is_local
        and not found.is_typing
        and not listed(found.target, WITHOUT_FRAMEWORK)
    ]
    assert [describe(found) for found in heavy] == []


def test_frameworks_are_imported_only_where_they_belong() -> None:
    wrong = []
    for found in IMPORTS:
        library, here = found.target.split(".")[0], room_of(found.module)
        if library not in FRAMEWORKS or found.is_typing:
            continue
        if listed(found.module, WITHOUT_FRAMEWORK):
            is_right = here in ("cli", "data") and found.is_local
        elif library == "tensorflow":
            is_right = here in TENSORFLOW_AT_THE_TOP or (
                found.is_local and listed(found.module, TENSORFLOW_IN_A_FUNCTION)
            )
        elif library == "jax":
            is_right = found.is_local and listed(found.module, JAX_IN_A_FUNCTION)
        else:
            is_right = library == "keras" and here != "data"
        if not is_right:
            wrong.append(describe(found))
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
