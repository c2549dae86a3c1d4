#!/usr/bin/env python
"""Detects in many small images with a runner: as in a plain run, killed and restarted, and timed.

    python tools/detect_at_scale.py FOLDER --runner DirectRunner --images 20000 --kills 3 --turns 2
    python tools/detect_at_scale.py FOLDER --runner ray          # in an environment with Ray

FOLDER keeps a tiny network (ONNX) and the images, of three shapes, some broken, for the next run of this script.
Runners get two processes. Then:

- `retinanet-detect --runner NAME` writes, byte by byte, the COCO results of `retinanet-detect`;
- it is killed by SIGKILL after a random number of shards, the command alone or with its workers in turns, until the
  next one comes to its end: the same bytes, no shard done twice among those that had their files, no part left;
- CPU and wall time beside two plain processes with half of the images each, in turns. CPU time is that of all
  processes, start-up and joining included, those that lost their parents, too.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import ctypes
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

SHAPES = ((64, 64), (48, 64), (64, 48))
BROKEN_EVERY = 1000
BATCH = 8
RUNNERS = {
    "DirectRunner": ["--beam-options", "--direct_num_workers=2 --direct_running_mode=multi_processing"],
    "ray": ["--actors", "2"],
    "local": [],
}
DETECT = "import sys; from keras_retinanet.cli.detect import main; sys.exit(main())"
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER: orphans come to this process, which then counts their CPU time


@dataclass
class Cost:
    """What some processes took, in seconds."""

    wall: float = 0.0
    cpu: float = 0.0


def make_model(path: Path) -> None:
    """Exports a network of 64 pixels that finds ten boxes in noise."""
    import keras
    import numpy as np

    from keras_retinanet import build
    from keras_retinanet.cli.convert_model import main as convert
    from keras_retinanet.config import FilterConfig, ModelConfig, ResizeConfig

    keras.utils.set_random_seed(0)
    parts = ModelConfig("mobilenet_025", "none", fpn_width=16, head_width=16, head_depth=1)
    limits = FilterConfig(max_detections=10)
    model = build(parts, class_names=["ant", "bee"], resize=ResizeConfig(64, 64), filter=limits)
    final = model.class_head.predictors[0]
    kernel, bias = final.get_weights()
    final.set_weights([np.random.default_rng(5).normal(0, 0.3, kernel.shape), 0 * bias])
    model.save(path.with_suffix(".keras"))
    assert convert([str(path.with_suffix(".keras")), str(path), "--format", "onnx"]) == 0


def make_images(folder: Path, count: int) -> None:
    """JPEGs of noise in two folders, half of them in each; every thousandth file is text."""
    import numpy as np
    from PIL import Image

    noise = np.random.default_rng(0)
    for number in range(count):
        path = folder / "ab"[number >= count // 2] / f"{number:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        if number % BROKEN_EVERY == BROKEN_EVERY // 2:
            path.write_text("<html>404</html>")
        else:
            Image.fromarray(noise.integers(0, 256, (*SHAPES[number % 3], 3), np.uint8)).save(path)


@contextlib.contextmanager
def measured(cost: Cost) -> Iterator[None]:
    """Adds what the block and all processes that it started took."""

    def cpu() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    start, before = time.monotonic(), cpu()
    yield
    cost.wall += time.monotonic() - start
    reap()
    cost.cpu += cpu() - before


def reap() -> None:
    """Waits for every process that this one has started or inherited; Ray's last ones end a moment later."""
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)


def start(words: Sequence[str]) -> subprocess.Popen[bytes]:
    """Starts `retinanet-detect` in a process group of its own, its output in a file."""
    with open(os.environ["DETECT_LOG"], "ab") as log:
        command = [sys.executable, "-c", DETECT, *words, "--batch-size", str(BATCH), "--score-threshold", "0.3"]
        return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)


def finish(process: subprocess.Popen[bytes]) -> None:
    """Waits for a command and requires that it left out broken images, and did nothing worse."""
    status = process.wait()
    assert status == 1, f"exit status {status}, see {os.environ['DETECT_LOG']}"


def with_runner(options: argparse.Namespace, name: str) -> list[str]:
    """The words of a command with the runner, whose shards lie in a folder `name`."""
    home = options.folder
    given = [str(home / "model.onnx"), str(home / "images"), "--recursive", "--runner", options.runner]
    own = [*RUNNERS[options.runner], "--shard-size", str(options.shard_size), "--out", str(home / name)]
    return [*given, *own, "--json", str(home / f"{name}.json")]


def plain(options: argparse.Namespace, part: str, name: str) -> list[str]:
    """The words of a plain command on the images below `part`."""
    given = [str(options.folder / "model.onnx"), str(options.folder / "images" / part), "--recursive", "--no-pictures"]
    return [*given, "--json", str(options.folder / f"{name}.json")]


def shards_in(folder: Path) -> dict[str, int]:
    """The files of shards and when they were written."""
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("[0-9]*.npz")}


def require_equal(options: argparse.Namespace, name: str, num_broken: int) -> None:
    """Compares the results of a runner with those of the plain command."""
    home: Path = options.folder
    for ending in (".json", "_images.json"):
        assert (home / f"{name}{ending}").read_bytes() == (home / f"plain{ending}").read_bytes(), f"{name}{ending}"
    with (home / name / "errors.csv").open(encoding="utf-8", newline="") as file:
        errors = list(csv.DictReader(file))
    assert len({error["image"] for error in errors}) == len(errors) == num_broken
    assert all("text" in error["reason"] for error in errors)
    assert not list((home / name).glob(".*.part*"))


def kill_until_done(options: argparse.Namespace, choices: random.Random) -> list[int]:
    """Kills the command `--kills` times, then lets it end; the numbers of shards that were done at each kill."""
    folder, done = options.folder / "killed", []
    total = -(-options.images // options.shard_size)
    for number in range(options.kills):
        before = shards_in(folder)
        wanted = len(before) + choices.randint(1, max(1, (total - len(before)) // (options.kills - number + 1)))
        process = start(with_runner(options, "killed"))
        while len(shards_in(folder)) < wanted and process.poll() is None:
            time.sleep(0.02)
        assert process.poll() is None, f"ended before it was killed, see {os.environ['DETECT_LOG']}"
        time.sleep(choices.random() / 2)  # into the next shard
        if number % 2:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        reap()
        after = shards_in(folder)
        assert before.items() <= after.items(), "a shard was done again"
        done.append(len(after))
    before = shards_in(folder)
    finish(start(with_runner(options, "killed")))
    reap()
    after = shards_in(folder)
    assert before.items() <= after.items(), "a shard was done again"
    assert len(after) == total
    return done


def compare_speed(options: argparse.Namespace) -> None:
    """Prints CPU and wall time of two plain processes and of the runner, in turns.

    Ray's daemon does not wait for its workers, so the system hands on none of their CPU time: wall time only.
    """
    halves, runner = Cost(), Cost()
    for turn in range(options.turns):
        with measured(halves):
            for process in [start(plain(options, part, f"plain_{part}")) for part in "ab"]:
                finish(process)
        shutil.rmtree(options.folder / "timed", ignore_errors=True)
        with measured(runner):
            finish(start(with_runner(options, "timed")))
        print(f"turn {turn + 1}, sums: two plain {halves}, {options.runner} {runner}", flush=True)
    count, has_cpu = options.images * options.turns, options.runner != "ray"
    for what, cost in (("two plain processes", halves), (options.runner, runner)):
        by_cpu = f"{count / cost.cpu:7.1f} images per CPU second, " if has_cpu else ""
        print(f"{what:<20} {by_cpu}{count / cost.wall:7.1f} per second")
    by_cpu = f"by CPU {halves.cpu / runner.cpu:.3f}, " if has_cpu else ""
    print(f"throughput {by_cpu}by wall {halves.wall / runner.wall:.3f} of two plain processes")


def main() -> None:
    """Runs the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runner", choices=RUNNERS, default="local")
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--shard-size", type=int, default=500)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.folder = options.folder.absolute()
    options.folder.mkdir(parents=True, exist_ok=True)
    os.environ["DETECT_LOG"] = str(options.folder / f"{options.runner}.log")
    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    if not (options.folder / "model.onnx").exists():
        make_model(options.folder / "model.onnx")
    if not (options.folder / "images").exists():
        make_images(options.folder / "images", options.images)
    num_broken = len(range(BROKEN_EVERY // 2, options.images, BROKEN_EVERY))
    cost = Cost()
    with measured(cost):
        finish(start(plain(options, "", "plain")))
    print(f"plain: {options.images} images, {num_broken} broken, {cost}", flush=True)
    for name in ("timed", "killed"):
        shutil.rmtree(options.folder / name, ignore_errors=True)
    if options.kills:
        done = kill_until_done(options, random.Random(options.seed))
        require_equal(options, "killed", num_broken)
        print(f"killed with {', '.join(map(str, done))} shards done, continued: results equal byte by byte", flush=True)
    if options.turns:
        compare_speed(options)
        require_equal(options, "timed", num_broken)
        print("results equal byte by byte")


if __name__ == "__main__":
    main()
