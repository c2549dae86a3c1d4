#!/usr/bin/env python
"""Trains in two and three processes, each in a network namespace of its own as on a machine of its own.

    python tools/many_hosts.py FOLDER                         # as root: `ip netns` needs it
    python tools/many_hosts.py FOLDER --loopback              # all on 127.0.0.1
    python tools/many_hosts.py FOLDER --cases gradient,export # some of the cases; a run of one process is made once

What it requires, of a tiny network on drawn scenes (KERAS_BACKEND=jax, CPU):

- two and three processes come to what one comes to: the losses and the gradient of the first step to 1e-6, the weights
  after ten steps of SGD to 1e-5, detections of the validation images to the same numbers. Three processes divide a
  batch of four images unequally;
- where one process is killed, process 0 or another, or its network is cut, all others end within a minute and say how
  to resume;
- the run resumes with another number of processes, and comes to what one process comes to that nobody stopped;
- averages of the weights, and trained batch normalisation, are those of one process;
- its snapshot opens on TensorFlow, and is exported there.
"""

from __future__ import annotations

import argparse
import csv
import io
import os
import runpy
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cases import add_cases

KILL_TEST = Path(__file__).with_name("kill_test.py")
PORT, NETWORK, BRIDGE = 6006, "10.77.0", "retinanet0"
IMAGES, VAL_IMAGES, BATCH, STEPS = 12, 7, 4, 10
FLAGS = [
    "--backbone", "mobilenet_025", "--weights", "none", "--max-level", "5", "--fpn-width", "8", "--head-width", "8",
    "--head-depth", "1", "--anchor-sizes", "16,32,64", "--anchor-strides", "8,16,32", "--image-square",
    "--image-min-side", "64", "--image-max-side", "64", "--batch-size", str(BATCH), "--augment", "flips",
    "--workers", "1", "--score-threshold", "0", "--recipe", "paper", "--report", "none",
]  # fmt: skip
PLAIN = ["--momentum", "0", "--weight-decay", "0", "--clip-norm", "0", "--warmup-steps", "0", "--schedule", "constant"]
GRADIENT = ["--steps", "1", "--epochs", "1", "--learning-rate", "1", *PLAIN]
SGD = ["--steps", str(STEPS), "--epochs", "1", "--learning-rate", "0.01", "--save-every", "2"]
AVERAGES = [*SGD, "--ema-decay", "0.9"]
CASES = ("sgd", "losses", "gradient", "batch-norm", "averages", "export")
FIRST_STEP, TEN_STEPS, BATCH_NORM, SAME_AP, MINUTE = 1e-6, 1e-5, 1e-4, 1e-6, 60.0


@dataclass
class Hosts:
    """Machines, as far as their network goes.

    Attributes:
        folder: Everything is written below it.
        count: How many there are.
        has_namespaces: Whether each is a network namespace; otherwise all are this machine.
        processes: Those that run now.
    """

    folder: Path
    count: int
    has_namespaces: bool
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, name: str, arguments: Sequence[str], count: int, pause: float = 0.0) -> None:
        """Starts a run, one process per host.

        Args:
            name: Of its logs.
            arguments: Those of `retinanet-train`.
            count: Processes; 1 for one that knows of no others.
            pause: Seconds after each step.
        """
        address = f"{NETWORK}.1:{PORT}" if self.has_namespaces else f"127.0.0.1:{PORT}"
        self.processes = []
        for index in range(count):
            variables = {"COORDINATOR_ADDRESS": address, "NUM_PROCESSES": str(count), "PROCESS_ID": str(index)}
            own = {f"JAX_{key}": value for key, value in variables.items() if count > 1}
            environment = os.environ | own | {"PAUSE": str(pause)}
            host = f"retinanet{index}"
            enter = ["ip", "netns", "exec", host, "unshare", "--uts", "sh", "-c", f'hostname {host}; exec "$@"', "sh"]
            command = [sys.executable, __file__, "--worker", *arguments]
            with self.log(name, index).open("wb") as log:
                self.processes.append(
                    subprocess.Popen(
                        enter + command if self.has_namespaces else command,
                        env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
                    )
                )  # fmt: skip

    def log(self, name: str, index: int) -> Path:
        """What a process of a run prints."""
        return self.folder / f"{name}-{index}.log"

    def wait(self, seconds: float = 900.0) -> list[int]:
        """Waits for all processes.

        Args:
            seconds: At most.

        Returns:
            Their exit statuses.
        """
        until = time.monotonic() + seconds
        return [process.wait(max(until - time.monotonic(), 0.1)) for process in self.processes]

    def run(self, name: str, arguments: Sequence[str], count: int) -> Path:
        """A run that nobody disturbs.

        Args:
            name: Of its logs and its folder.
            arguments: Those of `retinanet-train`.
            count: Processes.

        Returns:
            Its folder. A run of that name that is complete is not made again.
        """
        if (self.folder / name).exists() and (run := only_run(self.folder / name)).joinpath("metrics.csv").exists():
            return run
        self.start(name, [*arguments, "--snapshot-path", str(self.folder / name)], count)
        statuses = self.wait()
        assert statuses == [0] * count, f"statuses {statuses}: see {self.log(name, 0)}"
        return only_run(self.folder / name)

    def lose(self, index: int, how: str) -> None:
        """Loses a host.

        Args:
            index: Which.
            how: `"kill"` for its process, `"cut"` for its network.
        """
        if how == "cut":
            subprocess.run(["ip", "link", "set", f"rn{index}", "down"], check=True)
        else:
            os.killpg(self.processes[index].pid, signal.SIGKILL)

    def end(self) -> None:
        """Ends what still runs."""
        for process in self.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@contextmanager
def networked(hosts: Hosts) -> Iterator[None]:
    """Network namespaces on one bridge, each with an address and a name.

    Args:
        hosts: The machines.

    Yields:
        Nothing.
    """
    names = [f"retinanet{index}" for index in range(hosts.count)]
    places = "".join(f"{NETWORK}.{index + 1} {name}\n" for index, name in enumerate(names))

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True)

    def remove() -> None:
        for index, name in enumerate(names):
            subprocess.run(["ip", "netns", "del", name], check=False, stderr=subprocess.DEVNULL)
            subprocess.run(["ip", "link", "del", f"rn{index}"], check=False, stderr=subprocess.DEVNULL)
            shutil.rmtree(f"/etc/netns/{name}", ignore_errors=True)
        subprocess.run(["ip", "link", "del", BRIDGE], check=False, stderr=subprocess.DEVNULL)

    remove()
    try:
        ip("link", "add", BRIDGE, "type", "bridge")
        ip("link", "set", BRIDGE, "up")
        for index, name in enumerate(names):
            Path("/etc/netns", name).mkdir(parents=True)
            Path("/etc/netns", name, "hosts").write_text(f"127.0.0.1 localhost\n{places}", encoding="ascii")
            ip("netns", "add", name)
            ip("link", "add", f"rn{index}", "type", "veth", "peer", "name", "eth0", "netns", name)
            ip("link", "set", f"rn{index}", "master", BRIDGE, "up")
            ip("-n", name, "address", "add", f"{NETWORK}.{index + 1}/24", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield
    finally:
        hosts.end()
        remove()


def only_run(parent: Path) -> Path:
    """The one run in a folder."""
    (run,) = parent.iterdir()
    return run


def read_weights(run: Path) -> dict[str, Any]:
    """Weights of the network in `last.keras`, by their places in the file."""
    import h5py

    found: dict[str, Any] = {}

    def keep(place: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and not place.startswith("optimizer") and item.dtype.kind == "f":
            found[place] = item[()]

    with zipfile.ZipFile(run / "last.keras") as archive:
        h5py.File(io.BytesIO(archive.read("model.weights.h5"))).visititems(keep)
    return found


def last_row(run: Path) -> dict[str, float]:
    """The numbers of the last epoch."""
    with (run / "metrics.csv").open(encoding="utf-8", newline="") as file:
        return {name: float(value) for name, value in list(csv.DictReader(file))[-1].items() if value}


def largest_difference(run: Path, other: Path) -> float:
    """Of the weights of two runs, relative to the largest value of each variable, or to 0.001."""
    import numpy as np

    ones, others = read_weights(run), read_weights(other)
    assert ones, run
    assert ones.keys() == others.keys(), ones.keys() ^ others.keys()
    return max(
        float(np.abs(ones[k] - others[k]).max() / max(np.abs(ones[k]).max(), 1e-3)) for k in ones if ones[k].size
    )


def check_equal(
    hosts: Hosts, arguments: Sequence[str], case: str, flags: Sequence[str], counts: Sequence[int], bound: float
) -> Path:
    """Requires that several processes come to what one comes to.

    Args:
        hosts: The machines.
        arguments: Data and flags.
        case: Its name.
        flags: Those of the case.
        counts: Numbers of processes.
        bound: Of the differences.

    Returns:
        The run of one process.
    """
    one = hosts.run(f"{case}-1", [*arguments, *flags], 1)
    for count in counts:
        several = hosts.run(f"{case}-{count}", [*arguments, *flags], count)
        weights, ours, theirs = largest_difference(one, several), last_row(one), last_row(several)
        losses = max(abs(theirs[name] / ours[name] - 1) for name in ours if name.endswith("loss"))
        scores = max(abs(theirs[name] - ours[name]) for name in ours if name.startswith("val_"))
        print(
            f"{case}: {count} processes: weights {weights:.1e}, losses {losses:.1e}, AP {ours['val_AP']} {scores:.1e}"
        )
        filled = BATCH % count and case == "sgd"  # the mean loss that is shown counts what fills up the parts
        assert weights < bound, weights
        assert filled or losses < bound, losses
        assert scores < SAME_AP, (ours, theirs)
    return one


def check_loss(
    hosts: Hosts, arguments: Sequence[str], case: str, count: int, lost: int, again: int, whole: Path
) -> Path:
    """Loses a process in the middle of a run, and resumes it with another number of processes.

    Args:
        hosts: The machines.
        arguments: Data and flags.
        case: `"kill"` or `"cut"`.
        count: Processes at first.
        lost: Which of them is lost.
        again: Processes afterwards.
        whole: The run that nobody stopped.

    Returns:
        The resumed run.
    """
    name = f"{case}-{lost}-of-{count}"
    hosts.start(name, [*arguments, *SGD, "--snapshot-path", str(hosts.folder / name)], count, pause=1.0)
    until = time.monotonic() + 600
    while not (
        done := [path for path in (hosts.folder / name).glob("*/state.json") if '"step": 4' in path.read_text()]
    ):
        assert time.monotonic() < until, name
        assert all(process.poll() is None for process in hosts.processes), name
        time.sleep(0.1)
    run, start = done[0].parent, time.monotonic()
    hosts.lose(lost, case)
    left = [process for index, process in enumerate(hosts.processes) if index != lost]
    statuses = [process.wait(MINUTE) for process in left]
    seconds = time.monotonic() - start
    assert all(statuses), statuses
    for index in set(range(count)) - {lost}:
        text = hosts.log(name, index).read_text()
        assert f"--resume {run}" in text, hosts.log(name, index)
    hosts.end()
    if case == "cut":
        subprocess.run(["ip", "link", "set", f"rn{lost}", "up"], check=True)
    hosts.start(f"{name}-again", ["--resume", str(run)], again)
    assert hosts.wait() == [0] * again, hosts.log(f"{name}-again", 0)
    weights = largest_difference(whole, run)
    print(f"{case}: process {lost} of {count}: others ended after {seconds:.1f} s with status {statuses}; "
          f"resumed with {again}: weights {weights:.1e}", flush=True)  # fmt: skip
    assert weights < TEN_STEPS, weights
    return run


def check_tensorflow(run: Path, folder: Path) -> None:
    """Opens and exports the snapshot on TensorFlow."""
    environment = os.environ | {"KERAS_BACKEND": "tensorflow"}
    words = [str(run / "last.keras"), str(folder / "saved_model"), "--format", "saved_model"]
    command = [sys.executable, "-m", "keras_retinanet.cli.convert_model", *words]
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    print(f"exported on TensorFlow: {folder / 'saved_model'}", flush=True)


def five_convolutions(weights: str | None = None) -> Any:
    """A backbone that is compiled in a moment, without batch normalisation."""
    import keras

    from keras_retinanet.backbones import Normalize

    del weights
    images = keras.Input((None, None, 3))
    features = Normalize((120.0, 110.0, 100.0), (60.0, 60.0, 60.0), name="normalize")(images)
    maps = {}
    for level in range(1, 6):
        maps[f"C{level}"] = features = keras.layers.Conv2D(8, 3, 2, "same", activation="relu")(features)
    return keras.Model(images, {name: maps[name] for name in ("C3", "C4", "C5")}, name="mobilenet_025")


def work(arguments: Sequence[str]) -> int:
    """Trains: `retinanet-train` with a backbone that is compiled in a moment."""
    from keras_retinanet.backbones import BACKBONES
    from keras_retinanet.cli.train import main as train
    from keras_retinanet.training.keep_snapshots import KeepSnapshot

    BACKBONES["mobilenet_025"] = five_convolutions
    BACKBONES["mobilenet_050"] = runpy.run_path(str(KILL_TEST))["five_convolutions"]  # with batch normalisation
    former, pause = KeepSnapshot.on_train_batch_end, float(os.environ.get("PAUSE", "0"))

    def rest(keep: KeepSnapshot, batch: int, logs: dict[str, float] | None = None) -> None:
        former(keep, batch, logs)
        time.sleep(pause)

    KeepSnapshot.on_train_batch_end = rest  # type: ignore[method-assign]
    return train(list(arguments))


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the test.

    Args:
        argv: Command-line arguments. Defaults to those of this process.

    Returns:
        0 where all is as required.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    if words[:1] == ["--worker"]:
        return work(words[1:])
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    add_cases(parser, CASES)
    parser.add_argument("--loopback", action="store_true", help="No network namespaces; no network is cut.")
    parser.add_argument("--short", action="store_true", help="Two processes only, and one loss.")
    given = parser.parse_args(words)
    os.environ |= {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": "-1", "MPLBACKEND": "Agg"}
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true")
    os.environ |= {"JAX_COMPILATION_CACHE_DIR": str(given.folder.absolute() / "compiled")}
    os.environ |= {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.2", "PYTHONUNBUFFERED": "1"}
    from keras_retinanet.demo import scenes

    folder = given.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "scenes").exists():
        scenes.write_dataset(folder / "scenes", num_train=IMAGES, num_val=VAL_IMAGES, seed=1)
    hosts = Hosts(folder, 3, not given.loopback)
    with networked(hosts) if hosts.has_namespaces else nullcontext():
        check_cases(hosts, ["coco", str(folder / "scenes"), *FLAGS], given.cases, is_short=given.short)
    return 0


def check_cases(hosts: Hosts, arguments: Sequence[str], cases: Sequence[str], *, is_short: bool) -> None:
    """Checks the chosen cases, in the order of `CASES`.

    Args:
        hosts: The machines.
        arguments: Data and flags.
        cases: Which.
        is_short: Two processes only, and one loss.
    """
    counts = (2,) if is_short else (2, 3)
    losses = [("kill", 2, 1, 1)] if is_short else [("kill", 2, 1, 3), ("kill", 3, 0, 2)]
    if hosts.has_namespaces and not is_short:
        losses.append(("cut", 2, 1, 1))
    if "sgd" in cases:
        check_equal(hosts, arguments, "sgd", SGD, counts, TEN_STEPS)
    if "losses" in cases:
        whole = hosts.run("sgd-1", [*arguments, *SGD], 1)
        for case, count, lost, again in losses:
            check_loss(hosts, arguments, case, count, lost, again, whole)
    if "gradient" in cases:
        check_equal(hosts, arguments, "gradient", GRADIENT, counts, FIRST_STEP)
    if "batch-norm" in cases:
        check_equal(hosts, arguments, "batch-norm", [*SGD, "--backbone", "mobilenet_050"], (2,), BATCH_NORM)
    if "averages" in cases:
        check_equal(hosts, arguments, "averages", AVERAGES, counts, TEN_STEPS)
    if "export" in cases:
        check_tensorflow(hosts.run("sgd-2", [*arguments, *SGD], 2), hosts.folder)


if __name__ == "__main__":
    sys.exit(main())
