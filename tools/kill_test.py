#!/usr/bin/env python
"""Kills a training run at random moments, resumes it each time, and compares it with a run that was left alone.

    python tools/kill_test.py FOLDER --kills 100 --during-writes 20 --seed 0

The network is tiny; augmentation, a cache, averaged weights, float16 and evaluations are on. Each process is killed by
SIGKILL: most after a random CPU time, the others within a write of a file. After every kill:

- every file of the run opens: snapshots by their checksums, tables and pictures as such;
- no step before the last interval of `--save-every` is lost;

and after the next start no part of a file is left. In the end weights, averages, optimizer state and `metrics.csv` are
equal, bit by bit, to those of the run that nobody killed.

A process is forked from one that has imported TensorFlow and started nothing: a start costs a second, not five.
"""

from __future__ import annotations

import argparse
import csv
import json
import mmap
import os
import random
import shutil
import signal
import struct
import sys
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SAVE_EVERY = 2
"""Steps between two snapshots."""

IMAGES, BATCH, VAL_IMAGES = 12, 2, 3
STEPS = IMAGES // BATCH
FLAGS = [
    "--backbone", "mobilenet_025", "--weights", "none", "--max-level", "5", "--fpn-width", "8", "--head-width", "8",
    "--head-depth", "1", "--anchor-sizes", "16,32,64", "--anchor-strides", "8,16,32", "--image-square",
    "--image-min-side", "64", "--image-max-side", "64", "--batch-size", str(BATCH), "--augment", "flips", "--cache",
    "--ema-decay", "0.9", "--mixed-precision", "float16", "--learning-rate", "0.01", "--save-every", str(SAVE_EVERY),
    "--keep", "3", "--workers", "1", "--report", "none",
]  # fmt: skip


@dataclass
class Ended:
    """How a process ended.

    Attributes:
        status: Exit status; -9 where it was killed.
        step: Last step that it completed, counted over the whole run.
        in_write: Whether a file was being written when it was killed.
        seconds: CPU seconds that it took.
    """

    status: int
    step: int
    in_write: bool
    seconds: float


class Runs:
    """Starts training in forked processes.

    Args:
        folder: Everything is written below it.
        epochs: Epochs of a run.

    Attributes:
        hold_at: Where the next process waits for `let_go`: `("step", N)` after step N of the run, `("evaluation", N)`
            in the middle of the evaluation of the Nth epoch. `None` for nowhere.
    """

    def __init__(self, folder: Path, epochs: int) -> None:
        self.folder, self.epochs = folder, epochs
        self.hold_at: tuple[str, int] | None = None
        self.memory = mmap.mmap(-1, 16)  # shared with the forked processes: last step, whether it waits

    def start(self, arguments: Sequence[str], log: Path) -> int:
        """Forks a process that trains.

        Args:
            arguments: Those of `retinanet-train`.
            log: Receives what it prints.

        Returns:
            The process.
        """
        self.memory[:] = struct.pack("qq", -1, 0)
        process = os.fork()
        if process:
            return process
        status = 1
        try:
            output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(output, 1)
            os.dup2(output, 2)
            status = self._train(arguments)
        except SystemExit as left:
            status = int(left.code or 0)
        finally:
            sys.stdout.flush()
            os._exit(status)

    def _train(self, arguments: Sequence[str]) -> int:
        from keras_retinanet.backbones import BACKBONES
        from keras_retinanet.cli.train import main
        from keras_retinanet.training.callbacks import EvaluateMetric
        from keras_retinanet.training.keep_snapshots import KeepSnapshot

        BACKBONES["mobilenet_025"] = five_convolutions
        former = KeepSnapshot.on_train_batch_end

        def note_step(keep: KeepSnapshot, batch: int, logs: dict[str, float] | None = None) -> None:
            done = keep.progress.epoch * STEPS + keep.first_step + batch + 1
            former(keep, batch, logs)
            self.memory[:8] = struct.pack("q", done)
            self._hold(("step", done))

        def note_evaluation(evaluate: EvaluateMetric, count: int) -> None:
            self._hold(("evaluation", self._step() // STEPS))
            check(evaluate, count)

        check = EvaluateMetric._check
        KeepSnapshot.on_train_batch_end = note_step  # type: ignore[method-assign]
        EvaluateMetric._check = note_evaluation  # type: ignore[method-assign]
        return main(list(arguments))

    def _hold(self, place: tuple[str, int]) -> None:
        """Waits in a forked process, once, where `hold_at` says so."""
        if place == self.hold_at:
            self.hold_at, parent = None, os.getppid()
            self.memory[8:] = struct.pack("q", 1)
            while self._is_held() and os.getppid() == parent:  # it may be killed
                time.sleep(0.01)

    def _is_held(self) -> bool:
        return self.memory[8:] != bytes(8)

    def wait_until_held(self, process: int) -> None:
        """Waits until a process has come to `hold_at`.

        Args:
            process: The process.
        """
        while not self._is_held():
            pause(process)

    def let_go(self) -> None:
        """Lets the process go on that waits."""
        self.memory[8:] = bytes(8)

    def wait(self, process: int) -> Ended:
        """Waits for a process that nobody kills.

        Args:
            process: The process.

        Returns:
            How it ended.
        """
        _, status, usage = os.wait4(process, 0)
        return Ended(os.waitstatus_to_exitcode(status), self._step(), False, usage.ru_utime + usage.ru_stime)

    def kill(self, process: int, run: Path | None, moment: float, delay: float | None = None) -> Ended:
        """Kills a process after some time, or in the first write after it.

        Args:
            process: The process.
            run: Folder of the run; `None` before it is known.
            moment: Seconds of CPU time, so that a busy machine changes nothing.
            delay: Wait for a write, and so many seconds after it began. Defaults to no such wait.

        Returns:
            How it ended; its status is 0 if it was done before.
        """
        while True:
            passed = seconds_of(process)
            ended, status = os.waitpid(process, os.WNOHANG)
            if ended:
                return Ended(os.waitstatus_to_exitcode(status), self._step(), False, passed)
            if passed >= moment and (delay is None or parts_in(run, process)):
                break
            time.sleep(0.01 if delay is None or passed < moment else 0.0005)
        time.sleep(delay or 0)
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        return Ended(-signal.SIGKILL, self._step(), bool(parts_in(run, process)), passed)

    def _step(self) -> int:
        return int(struct.unpack("q", self.memory[:8])[0])


def pause(process: int) -> None:
    """Waits for a hundredth of a second, while a process that was started runs; it is an error if it has ended."""
    assert os.waitpid(process, os.WNOHANG) == (0, 0), f"process {process} ended too early"
    time.sleep(0.01)


def seconds_of(process: int) -> float:
    """CPU seconds that a running process has taken, all threads together."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def five_convolutions(weights: str | None = None) -> Any:
    """A backbone that is traced in a moment, in the place of a real one.

    Args:
        weights: Not read.

    Returns:
        keras.Model.
    """
    import keras

    from keras_retinanet.backbones import Normalize

    del weights
    images = keras.Input((None, None, 3))
    features = Normalize((120.0, 110.0, 100.0), (60.0, 60.0, 60.0), name="normalize")(images)
    maps = {}
    for level in range(1, 6):
        features = keras.layers.Conv2D(8, 3, 2, "same", activation="relu")(features)
        maps[f"C{level}"] = features = keras.layers.BatchNormalization()(features)
    return keras.Model(images, {name: maps[name] for name in ("C3", "C4", "C5")}, name="mobilenet_025")


def parts_in(run: Path | None, process: int | str = "") -> list[str]:
    """Files that a process, or any, has begun to write."""
    return [] if run is None else [name for name in os.listdir(run) if f"{process}.part" in name]


def check_files(run: Path) -> int:
    """Requires that every file of a run is whole.

    Args:
        run: Its folder.

    Returns:
        The last step that a snapshot has; -1 without snapshot.
    """
    import yaml
    from PIL import Image

    last = -1
    for path in run.iterdir():
        if ".part" in path.name:
            continue
        if path.suffix == ".keras":
            with zipfile.ZipFile(path) as archive:
                assert archive.testzip() is None, path
                state = json.loads(archive.read("run_state.json"))
            last = max(last, state["epoch"] * STEPS + state["step"])
        elif path.suffix == ".csv":
            with path.open(encoding="utf-8", newline="") as file:
                rows = list(csv.DictReader(file))
            assert [int(row["epoch"]) for row in rows] == list(range(1, len(rows) + 1)), path
        elif path.suffix in (".png", ".jpg"):
            with Image.open(path) as image:
                image.load()
        elif path.suffix == ".yaml":
            assert isinstance(yaml.safe_load(path.read_text(encoding="utf-8")), dict), path
        elif path.suffix == ".json":
            json.loads(path.read_text(encoding="utf-8"))
    return last


def read_state(run: Path | None) -> dict[str, bytes]:
    """Everything of a complete run that must not depend on kills, as bytes.

    Args:
        run: Its folder.

    Returns:
        Name → bytes.
    """
    import h5py

    assert run is not None
    found = {"metrics.csv": (run / "metrics.csv").read_bytes()}
    for name in ("last", "best"):
        with zipfile.ZipFile(run / f"{name}.keras") as archive, archive.open("model.weights.h5") as file:
            weights = h5py.File(file)
            weights.visititems(
                lambda place, item, name=name: (
                    found.__setitem__(f"{name}/{place}", item[()].tobytes()) if isinstance(item, h5py.Dataset) else None
                )
            )
    return found


def kill_often(runs: Runs, whole: Ended, kills: int, during_writes: int, seed: int) -> dict[str, int]:
    """Kills and resumes a run until there were kills enough, then lets it finish.

    A run that is complete before that is compared, and another one begins.

    Args:
        runs: Starts processes.
        whole: How the run that nobody killed ended.
        kills: Kills in all.
        during_writes: How many of them are to come during a write.
        seed: Seed of the moments.

    Returns:
        What was counted.
    """
    rng, parent = random.Random(seed), runs.folder / "killed"
    expected = read_state(run_of(runs.folder / "whole"))
    counted = {"kills": 0, "in writes": 0, "runs": 0, "most steps lost": 0}
    while counted["runs"] == 0 or counted["kills"] < kills:
        shutil.rmtree(parent, ignore_errors=True)
        run, reached, ended = None, 0, None
        while ended is None or ended.status != 0:
            arguments = start_arguments(runs, parent) if run is None else ["--resume", str(run)]
            process = runs.start(arguments, runs.folder / "log.txt")
            remaining = kills - counted["kills"]
            if remaining <= 0:
                ended = runs.wait(process)
            else:
                in_write = rng.random() * remaining < during_writes - counted["in writes"]
                moment = rng.uniform(*(0.1, 0.5) if in_write else (0.4, 1.1)) * whole.seconds
                ended = runs.kill(process, run, moment, rng.uniform(0, 0.05) if in_write else None)
            assert ended.status in (0, -signal.SIGKILL), f"status {ended.status}: see {runs.folder / 'log.txt'}"
            run = run_of(parent)
            saved = -1 if run is None else check_files(run)
            reached = max(reached, ended.step)
            counted["most steps lost"] = max(counted["most steps lost"], reached - max(saved, 0))
            assert reached - max(saved, 0) <= SAVE_EVERY, (ended, saved)
            if ended.status:
                counted["kills"] += 1
                counted["in writes"] += ended.in_write
                print(f"kill {counted['kills']:3d}: after {ended.seconds:5.2f} s, step {reached:3d}, saved {saved:3d}"
                      f"{', in a write' if ended.in_write else ''}", flush=True)  # fmt: skip
        assert not parts_in(run), run
        compare(read_state(run), expected)
        counted["runs"] += 1
        print(f"run {counted['runs']}: equal to the one that was left alone", flush=True)
    return counted


def compare(found: dict[str, bytes], expected: dict[str, bytes]) -> None:
    """Requires the same bits.

    Args:
        found: Of a run that was killed.
        expected: Of the run that was left alone.
    """
    assert found.keys() == expected.keys(), set(found) ^ set(expected)
    differ = [name for name in expected if found[name] != expected[name]]
    assert not differ, f"{len(differ)} of {len(expected)} differ, the first is {differ[0]}"


def run_of(parent: Path) -> Path | None:
    """The run in a folder; `None` if there is none yet, or it cannot be resumed for want of settings."""
    found = [path for path in parent.iterdir() if (path / "config.yaml").exists()] if parent.exists() else []
    return max(found, default=None)


def start_arguments(runs: Runs, parent: Path) -> list[str]:
    """Arguments of a new run."""
    data = str(runs.folder / "scenes")
    return ["coco", data, "--snapshot-path", str(parent), "--epochs", str(runs.epochs), *FLAGS]


def prepare_process(folder: Path, epochs: int) -> Runs:
    """Writes the data set, and imports what every forked process needs.

    Args:
        folder: A folder that does not exist yet.
        epochs: Epochs of a run.

    Returns:
        What starts the processes.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    os.environ.setdefault("MPLBACKEND", "Agg")
    os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true")
    import keras_retinanet.training.prepare  # noqa: F401
    from keras_retinanet.demo import scenes

    folder.mkdir(parents=True)
    scenes.write_dataset(folder / "scenes", num_train=IMAGES, num_val=VAL_IMAGES, seed=1)
    return Runs(folder, epochs)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the test.

    Args:
        argv: Command-line arguments. Defaults to those of this process.

    Returns:
        0 where all runs were equal.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("folder", type=Path, help="A folder that does not exist yet.")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--during-writes", type=int, default=20, help="How many of them come during a write.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=4)
    given = parser.parse_args(argv)
    runs = prepare_process(given.folder, given.epochs)
    log = given.folder / "log.txt"
    whole = runs.wait(runs.start(start_arguments(runs, given.folder / "whole"), log))
    assert whole.status == 0, f"the run that is left alone fails: see {log}"
    print(f"left alone: {whole.step} steps, {whole.seconds:.1f} s", flush=True)
    counted = kill_often(runs, whole, given.kills, given.during_writes, given.seed)
    print("equal to the last bit;", ", ".join(f"{name} {value}" for name, value in counted.items()))
    assert counted["in writes"] >= given.during_writes, "too few kills came during a write: raise --during-writes"
    return 0


if __name__ == "__main__":
    sys.exit(main())
