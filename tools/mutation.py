"""Mutation testing of the core: would the tests of a module notice a slip in it?

Each mutant is the module with one small change (`mutants.py`): `<` for `<=`, `+` for `-`, a constant, a dropped call or
keyword, swapped arguments. The tests of the module (`SUBJECTS`) run against it. A mutant that passes them has survived:
either a test is missing, or the change does not change the behaviour. The second kind is listed with its reason in
`equivalent_mutants.toml`. The command fails if less than 95 % of the sample is killed or listed.

    python tools/mutation.py                                    # 16 mutants per module, seed 0
    python tools/mutation.py losses/focal model/fpn --sample 1000    # every mutant of two modules

Importing TensorFlow takes seconds, so this process imports the frameworks once and forks a child for each mutant. The
child works in a copy of the checkout. Forking needs Linux or macOS.
"""

from __future__ import annotations

import argparse
import compileall
import concurrent.futures
import contextlib
import difflib
import functools
import importlib.util
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from mutants import Mutant, make_mutants

ROOT = Path(__file__).resolve().parents[1]
ARGUED = Path(__file__).with_name("equivalent_mutants.toml")
PASSING_SHARE = 0.95
SLACK = 20.0
"""Seconds that a child may take beyond three times the time of its tests without a mutant."""


class Subject(NamedTuple):
    """A module's tests; only lines that contain one of some words are changed."""

    tests: list[str]
    words: tuple[str, ...] = ("",)


CODER = ("coder", "std", "LOG_LIMIT", "log_scale")
TORCH_TESTS = ["tests/importers/test_torch_sources.py", "tests/importers/test_mmdetection_config.py"]
SUBJECTS: dict[str, Subject] = {
    "geometry/box_coder": Subject(["tests/geometry/test_box_coder.py"]),
    "geometry/boxes": Subject(["tests/geometry/test_boxes.py"]),
    "geometry/anchors": Subject(["tests/geometry/test_anchors.py"]),
    "geometry/nms": Subject(["tests/geometry/test_filter_detections.py"]),
    "geometry/filter_detections": Subject(["tests/geometry/test_filter_detections.py"]),
    "assigners/iou_threshold": Subject(["tests/assigners"]),
    "assigners/per_image": Subject(["tests/assigners"]),
    "assigners/atss": Subject(["tests/assigners"]),
    "losses/cross_entropy": Subject(["tests/losses"]),
    "losses/focal": Subject(["tests/losses"]),
    "losses/iou_losses": Subject(["tests/losses"]),
    "losses/quality": Subject(["tests/losses"]),
    "losses/quality_focal": Subject(["tests/losses"]),
    "losses/smooth_l1": Subject(["tests/losses"]),
    "losses/varifocal": Subject(["tests/losses"]),
    "model/fpn": Subject(["tests/model/test_fpn.py"]),
    "model/heads": Subject(["tests/model/test_heads.py"]),
    "importers/__init__": Subject(TORCH_TESTS, CODER),
    "importers/assemble": Subject([*TORCH_TESTS, "tests/importers/test_fizyr.py"], CODER),
    "importers/fizyr_model_config": Subject(["tests/importers/test_fizyr.py"], CODER),
    "importers/keras_hub": Subject(["tests/importers/test_keras_hub.py"], CODER),
    "importers/mmdetection": Subject(TORCH_TESTS, CODER),
    "importers/mmdetection_config": Subject(TORCH_TESTS, CODER),
}
"""Modules of the core, and the tests that speak for each; of importers, what they say of box coders."""


class QuickestFirst:
    """Pytest plugin: times every test, and runs the quick ones first once their times are known."""

    def __init__(self, times: Path) -> None:
        self.path = times
        self.known: dict[str, float] = json.loads(times.read_text()) if times.exists() else {}
        self.seen: dict[str, float] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Quick files first, quick tests first within a file, so that its fixtures are built once."""
        files: dict[Path, float] = {}
        for item in items:
            files[item.path] = files.get(item.path, 0.0) + self.known.get(item.nodeid, 0.0)
        items.sort(key=lambda item: (files[item.path], str(item.path), self.known.get(item.nodeid, 0.0)))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Adds up set-up, call and tear-down."""
        self.seen[report.nodeid] = self.seen.get(report.nodeid, 0.0) + report.duration

    def pytest_sessionfinish(self) -> None:
        """Keeps the times of the first run."""
        if not self.known:
            self.path.write_text(json.dumps(self.seen))


def copy_checkout(folder: Path) -> Path:
    """A compiled copy of this checkout next to the same reference data."""
    checkout = folder / "checkout"
    left_out = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "snapshots", "venv*")
    shutil.copytree(ROOT, checkout, ignore=left_out)
    if (ROOT.parent / "shared").exists():
        (folder / "shared").symlink_to((ROOT.parent / "shared").resolve())
    compileall.compile_dir(checkout, quiet=2)
    return checkout


def run_tests(checkout: Path, tests: Sequence[str], times: Path, limit: float) -> str:
    """Runs tests in a forked child that imports the checkout: "passed", "failed" or "too slow"."""
    child = os.fork()
    if child == 0:
        os.setsid()  # what the tests start ends with them
        os.chdir(checkout)
        output = os.open(checkout / "output.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.path.insert(0, str(checkout))
        # Two mutants of the same second and length would share their byte code.
        sys.dont_write_bytecode = True
        os.environ.update(PYTHONPATH=str(checkout), PYTHONDONTWRITEBYTECODE="1")
        os._exit(pytest.main(["-x", "-q", "-n", "0", "-p", "no:cacheprovider", *tests], plugins=[QuickestFirst(times)]))
    deadline = time.monotonic() + limit
    ended, status = 0, 0
    while not ended and time.monotonic() < deadline:
        time.sleep(0.02)
        ended, status = os.waitpid(child, os.WNOHANG)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    if not ended:
        os.waitpid(child, 0)
        return "too slow"
    return "failed" if status else "passed"


class Worker:
    """One copy of the checkout, in which one process tests mutants one after the other."""

    checkout: Path
    folder: Path

    @classmethod
    def start(cls, folder: Path) -> None:
        """Makes the copy; called once in each process."""
        cls.folder = folder
        cls.checkout = copy_checkout(Path(tempfile.mkdtemp(dir=folder)))

    @classmethod
    def time_tests(cls, module: str) -> float:
        """Seconds that the tests take without a mutant, and the order of the tests from then on.

        Raises:
            RuntimeError: They fail; the text ends with what pytest printed.
        """
        begin = time.monotonic()
        if run_tests(cls.checkout, SUBJECTS[module].tests, cls._times(module), 3600) != "passed":
            output = (cls.checkout / "output.txt").read_text(errors="replace")
            raise RuntimeError(f"The tests of {module} fail without a mutant:\n{output[-3000:]}")
        return time.monotonic() - begin

    @classmethod
    def test(cls, module: str, mutant: Mutant, seconds: float) -> str:
        """What the tests, which take so many seconds, say of a mutant."""
        path = cls.checkout / "keras_retinanet" / f"{module}.py"
        original = path.read_text()
        Path(importlib.util.cache_from_source(str(path))).unlink(missing_ok=True)
        try:
            path.write_text(mutant.source)
            return run_tests(cls.checkout, SUBJECTS[module].tests, cls._times(module), 3 * seconds + SLACK)
        finally:
            path.write_text(original)

    @classmethod
    def _times(cls, module: str) -> Path:
        return cls.folder / f"{module.replace('/', '.')}.json"


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"default: all of {', '.join(SUBJECTS)}")
    parser.add_argument("--sample", type=int, default=16, help="mutants drawn per module (default: 16)")
    parser.add_argument("--seed", type=int, default=0, help="of the draw (default: 0)")
    parser.add_argument("--jobs", type=int, default=1, help="mutants tested at a time (default: 1)")
    parser.add_argument("--change", metavar="TEXT", help="only mutants whose change contains this text")
    parsed = parser.parse_args(arguments)
    parsed.modules = parsed.modules or list(SUBJECTS)
    if unknown := set(parsed.modules) - set(SUBJECTS):
        parser.error(f"no tests are listed for {', '.join(sorted(unknown))}; known are {', '.join(SUBJECTS)}")
    return parsed


def read_source(module: str) -> str:
    """The source of a module."""
    return (ROOT / "keras_retinanet" / f"{module}.py").read_text()


def draw(module: str, source: str, options: argparse.Namespace) -> list[Mutant]:
    """The seeded sample of a module, in the order of its lines."""
    lines, words = source.splitlines(), SUBJECTS[module].words
    mutants = [mutant for mutant in make_mutants(source) if any(word in lines[mutant.line - 1] for word in words)]
    mutants = [mutant for mutant in mutants if (options.change or "") in mutant.change]
    sample = random.Random(f"{options.seed} {module}").sample(mutants, min(options.sample, len(mutants)))
    return sorted(sample, key=mutants.index)


def show(module: str, source: str, mutant: Mutant) -> str:
    """A survivor as a diff, under the line that finds it again."""
    name = f"keras_retinanet/{module}.py"
    lines = difflib.unified_diff(source.splitlines(), mutant.source.splitlines(), name, name, n=1, lineterm="")
    return "\n".join([f"survived: {mutant.change}", *lines, ""])


def main(arguments: Sequence[str] | None = None) -> int:
    """Tests a sample of each module; 0 where at least 95 % of it are killed or argued."""
    options = parse_arguments(arguments)
    os.environ.update(CUDA_VISIBLE_DEVICES="-1", TF_CPP_MIN_LOG_LEVEL="3", MPLBACKEND="Agg")
    for name in ("tensorflow", "keras"):
        importlib.import_module(name)
    argued = tomllib.loads(ARGUED.read_text())
    sources = {module: read_source(module) for module in options.modules}  # as copied, whatever is edited meanwhile
    made = settled = 0
    with (
        tempfile.TemporaryDirectory() as folder,
        concurrent.futures.ProcessPoolExecutor(
            options.jobs, multiprocessing.get_context("fork"), Worker.start, (Path(folder),)
        ) as pool,
    ):
        for module in options.modules:
            reasons = {entry["change"] for entry in argued.get(module, [])}
            mutants = draw(module, sources[module], options)
            seconds = pool.submit(Worker.time_tests, module).result()
            counts = dict.fromkeys(("failed", "too slow", "argued", "passed"), 0)
            answers = pool.map(functools.partial(Worker.test, module, seconds=seconds), mutants)
            for mutant, answer in zip(mutants, answers, strict=True):
                is_argued = answer == "passed" and mutant.change in reasons
                counts["argued" if is_argued else answer] += 1
                if answer == "passed" and not is_argued:
                    print(show(module, sources[module], mutant), flush=True)
            killed = counts["failed"] + counts["too slow"]
            print(
                f"{module}: {len(mutants)} mutants, {killed} killed ({counts['too slow']} by the time limit), "
                f"{counts['argued']} argued, {counts['passed']} survived",
                flush=True,
            )
            made, settled = made + len(mutants), settled + killed + counts["argued"]
    print(f"all: {made} mutants, {settled} killed or argued ({settled / max(made, 1):.1%})")
    return int(settled < PASSING_SHARE * made)


if __name__ == "__main__":
    sys.exit(main())
