"""Start-up lines of TensorFlow and the command lines that are printed for pasting."""

from __future__ import annotations

import functools
import io
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from keras_retinanet.cli import parsing, startup
from keras_retinanet.cli.parsing import Parser
from keras_retinanet.cli.startup import STARTUP_NOISE, command_line

ROOT = Path(__file__).resolve().parents[2]


def install(folder: Path, *names: str) -> Path:
    """A folder of executables, as an environment has them."""
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    return folder


@pytest.mark.parametrize(("needs", "keeps"), [(True, True), (True, False), (False, True)])
def test_heaps_are_set_before_the_threads_of_tensorflow_start(
    monkeypatch: pytest.MonkeyPatch, needs: bool, keeps: bool
) -> None:
    calls: list[str] = []
    monkeypatch.setattr("keras_retinanet.runtimes.needs_tensorflow", lambda path: needs)
    for name in ("use_few_heaps", "keep_freed_memory", "import_tensorflow"):
        monkeypatch.setattr(startup, name, functools.partial(calls.append, name))
    startup.import_tensorflow_for("model", keeps_memory=keeps)
    assert calls == [
        *["use_few_heaps"] * needs,
        *["keep_freed_memory"] * (needs and keeps),
        *["import_tensorflow"] * needs,
    ]


@pytest.mark.parametrize(
    ("is_slower_without", "given", "expected"), [(True, None, "1"), (True, "0", "0"), (False, None, None)]
)
def test_onednn_is_preferred_where_tensorflow_does_not_choose_it(
    monkeypatch: pytest.MonkeyPatch, is_slower_without: bool, given: str | None, expected: str | None
) -> None:
    environment = {} if given is None else {startup.ONEDNN: given}
    monkeypatch.setattr(startup.os, "environ", environment)
    monkeypatch.setattr(startup, "has_avx2_only", lambda: is_slower_without)
    startup.prefer_onednn()
    assert environment.get("TF_ENABLE_ONEDNN_OPTS") == expected


def test_a_command_on_the_path_is_printed_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripts = install(tmp_path / "bin", "python", "retinanet-train", "retinanet-evaluate")
    monkeypatch.setattr(sys, "argv", [str(scripts / "retinanet-train")])
    monkeypatch.setattr(sys, "executable", str(scripts / "python"))
    monkeypatch.setenv("PATH", str(scripts))
    assert command_line("retinanet-evaluate", "coco", "my data") == "retinanet-evaluate coco 'my data'"


def test_a_command_of_an_environment_that_is_not_active_has_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripts = install(tmp_path / "my env" / "bin", "python", "retinanet-train", "retinanet-evaluate")
    monkeypatch.setattr(sys, "argv", [str(scripts / "retinanet-train")])
    monkeypatch.setattr(sys, "executable", str(scripts / "python"))
    monkeypatch.setenv("PATH", str(install(tmp_path / "other", "retinanet-evaluate")))  # another installation
    assert shlex.split(command_line("retinanet-evaluate", "coco")) == [str(scripts / "retinanet-evaluate"), "coco"]


def test_a_command_of_a_checkout_is_run_by_the_same_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [str(ROOT / "bin" / "retinanet-train")])
    monkeypatch.setattr(sys, "executable", str(install(tmp_path / "bin", "python") / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    words = shlex.split(command_line("retinanet-evaluate"))
    assert words == [sys.executable, str(ROOT / "bin" / "retinanet-evaluate")]


def test_a_command_that_is_not_installed_keeps_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "pytest")])
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert command_line("retinanet-detect", "a.jpg") == "retinanet-detect a.jpg"


def test_only_noise_is_held_back(capfd: pytest.CaptureFixture[str]) -> None:
    with startup._without_startup_noise():
        os.write(2, b"I0000 port.cc:153] oneDNN custom operations are on. You may see\n")
        os.write(2, b"E0000 cuda_platform.cc:52] failed call to cuInit: INTERNAL: CUDA error\n")
        os.write(2, b"E0000 the disk is full\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "E0000 the disk is full\nafter\n"


def test_what_was_held_back_appears_where_the_import_fails(capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        with startup._without_startup_noise():
            os.write(2, b"libfoo.so: cannot open shared object file\n")
            raise ImportError

    with pytest.raises(ImportError):
        fail()
    assert capfd.readouterr().err == "libfoo.so: cannot open shared object file\n"


def test_a_command_runs_without_a_line_of_tensorflow() -> None:
    program = (
        "from keras_retinanet.cli.startup import import_tensorflow; import_tensorflow(); "
        "import tensorflow as tf; assert tf.transpose(tf.constant([[1, 2]], tf.int64)).shape == (2, 1)"
    )
    environment = {name: value for name, value in os.environ.items() if name != startup.LOG_LEVEL}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=ROOT, capture_output=True, check=True, timeout=280
    )
    assert [line for line in done.stderr.splitlines() if STARTUP_NOISE.search(line)] == []


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_what_the_terminal_cannot_show_is_printed_as_its_number(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    streams = [io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2)]
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    parser = Parser(prog="x", description="Threshold … of every class")
    print("class 猫 in photo\udcff.jpg")  # a file name that is no UTF-8
    print(parser.format_help())
    assert parsing.fail("x", ValueError("no class 猫")) == 2
    for stream in streams:
        stream.flush()
    out, error = (stream.buffer.getvalue().decode(encoding) for stream in streams)
    shown = "猫" if encoding == "utf-8" else "\\u732b"
    assert out.startswith(f"class {shown} in photo\\udcff.jpg\n")
    assert error == f"x: error: no class {shown}\n"
