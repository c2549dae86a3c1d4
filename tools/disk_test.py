#!/usr/bin/env python
"""Takes the disk from a training run, gives it back, resumes, and compares with a run that was left alone.

    python tools/disk_test.py FOLDER --cases full,read-only,vanished --rounds 3 --seed 0      # as root, for its mounts

The network is that of `kill_test.py`; the run's folder lies on a small disk in memory, below a mount of its own. Three
times per case the disk is full except for a random rest, its mount becomes read-only, or the mount vanishes: after a
random step of a later epoch, in the middle of an evaluation, and at a random moment after the first snapshot. Then:

- the run ends with status 2 and one line that names the file, the reason and `--resume`;
- after there is room again, or the mount is back, every file of the run opens, no step before the last interval of
  `--save-every` is lost, and no part of a file is left;
- `--resume` comes to weights, averages, optimizer state and `metrics.csv` that are equal, bit by bit, to those of the
  run that was left alone.

Mounts are made in a namespace of this script; nothing outside sees them.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from cases import add_cases
from kill_test import (
    SAVE_EVERY,
    STEPS,
    Ended,
    Runs,
    check_files,
    compare,
    parts_in,
    pause,
    prepare_process,
    read_state,
    run_of,
    seconds_of,
    start_arguments,
)

INSIDE = "RETINANET_DISK_TEST_IS_INSIDE"
REASONS = {"full": "No space left on device", "read-only": "read-only", "vanished": "still mounted?"}
MOMENTS = ("step", "evaluation", "start")
"""When a disk is taken: after a step of a later epoch, during an evaluation, or some time after the first snapshot."""

DISK_MB, ROOM = 64, 400_000
"""Size of the disk, and the bytes of which a full disk has fewer left: too few for a snapshot."""


class Disk:
    """A disk in memory, and a mount of it that can be taken away.

    Args:
        folder: Gets `disk` and `mount`.
        choices: Draws the room that a full disk has left.
    """

    def __init__(self, folder: Path, choices: random.Random) -> None:
        self._choices = choices
        self._disk, self.mount = folder / "disk", folder / "mount"
        for place in (self._disk, self.mount):
            place.mkdir()
        _mount("-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", self._disk)
        _mount("--bind", self._disk, self.mount)

    def take(self, how: str) -> None:
        """Takes the disk from who uses it.

        Args:
            how: `"full"`, `"read-only"` or `"vanished"`.
        """
        if how == "full":
            self._fill()
        elif how == "vanished":
            subprocess.run(["umount", "--lazy", str(self.mount)], check=True)
        else:
            while _mount("-o", "remount,bind,ro", self.mount, check=False):  # a file is open for writing
                time.sleep(0.001)

    def give_back(self, how: str) -> None:
        """Makes the disk usable again."""
        if how == "full":
            (self._disk / "filler").unlink()
        elif how == "vanished":
            _mount("--bind", self._disk, self.mount)
        else:
            _mount("-o", "remount,bind,rw", self.mount)

    def _fill(self) -> None:
        with (self._disk / "filler").open("wb") as filler:
            block = bytes(1 << 16)
            while True:
                try:
                    os.write(filler.fileno(), block)
                except OSError:
                    if len(block) == 1:
                        break
                    block = block[: len(block) // 2]
            filler.truncate(filler.tell() - self._choices.randrange(ROOM))


def _mount(*words: str | Path, check: bool = True) -> int:
    command = ["mount", *map(str, words)]
    return subprocess.run(command, check=check, stderr=None if check else subprocess.DEVNULL).returncode


def wait_until(moment: str, runs: Runs, process: int, parent: Path, whole: Ended, choices: random.Random) -> None:
    """Waits until the disk is to be taken.

    Args:
        moment: One of `MOMENTS`.
        runs: Has started the process.
        process: The process.
        parent: The folder of its run is in it.
        whole: How the run that was left alone ended.
        choices: Draws the part of its CPU time.
    """
    if moment != "start":
        runs.wait_until_held(process)
        return
    while not (run := run_of(parent)) or not (run / "last.keras").exists():
        pause(process)
    until = seconds_of(process) + choices.uniform(0, 0.5) * whole.seconds
    while seconds_of(process) < until:
        pause(process)


def lose_disk(
    runs: Runs, disk: Disk, case: str, whole: Ended, moment: str, choices: random.Random, log: Path
) -> tuple[int, int]:
    """Takes the disk from a run in its course, gives it back, and resumes.

    Args:
        runs: Starts processes.
        disk: Where the run's folder lies.
        case: How the disk is taken.
        whole: How the run that was left alone ended.
        moment: When, one of `MOMENTS`.
        choices: Draws what is left to chance.
        log: Receives what the processes print.

    Returns:
        The last step that was done, and the last that was saved.
    """
    parent = disk.mount / "runs"
    shutil.rmtree(parent, ignore_errors=True)
    log.unlink(missing_ok=True)
    epoch = choices.randrange(1, runs.epochs)
    places = {"step": STEPS * epoch + choices.randrange(1, STEPS), "evaluation": epoch}
    runs.hold_at = None if moment == "start" else (moment, places[moment])
    process = runs.start(start_arguments(runs, parent), log)
    wait_until(moment, runs, process, parent, whole, choices)
    runs.hold_at, run = None, run_of(parent)
    disk.take(case)
    runs.let_go()
    ended = runs.wait(process)
    disk.give_back(case)
    (said,) = [
        line for line in log.read_text(encoding="utf-8").splitlines() if line.startswith("retinanet-train: error: ")
    ]
    assert ended.status == 2, f"status {ended.status}: see {log}"
    for words in (f"retinanet-train: error: {run}/", "cannot be written", REASONS[case], f"--resume {run}"):
        assert words in said, said
    assert run is not None
    assert not parts_in(run), run
    saved = check_files(run)
    assert ended.step - saved <= SAVE_EVERY, (ended, saved)
    again = runs.wait(runs.start(["--resume", str(run)], log))
    assert again.status == 0, f"status {again.status}: see {log}"
    compare(read_state(run), read_state(run_of(runs.folder / "whole")))
    return ended.step, saved


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the test.

    Args:
        argv: Command-line arguments. Defaults to those of this process.

    Returns:
        0 where all is as required.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    add_cases(parser, REASONS)
    parser.add_argument("--rounds", type=int, default=3, help="How often each.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=4)
    given = parser.parse_args(words)
    if INSIDE not in os.environ:
        command = ["unshare", "--mount", "--propagation", "private", sys.executable, __file__, *words]
        return subprocess.run(command, env=os.environ | {INSIDE: "1"}, check=False).returncode
    runs = prepare_process(given.folder, given.epochs)
    log = given.folder / "log.txt"
    whole = runs.wait(runs.start(start_arguments(runs, given.folder / "whole"), log))
    assert whole.status == 0, f"the run that is left alone fails: see {log}"
    print(f"left alone: {whole.step} steps, {whole.seconds:.1f} s", flush=True)
    choices = random.Random(given.seed)
    disk = Disk(given.folder, choices)
    for position, case in enumerate(given.cases):
        for number in range(given.rounds):
            moment = MOMENTS[(position + number) % len(MOMENTS)]
            step, saved = lose_disk(runs, disk, case, whole, moment, choices, given.folder / f"{case}-{number}.txt")
            print(f"{case} ({moment}): ended at step {step}, saved {saved}; resumed: equal to the last bit", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
