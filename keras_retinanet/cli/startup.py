"""Imports TensorFlow without its start-up lines, and formats command lines that can be pasted."""

from __future__ import annotations

import io
import os
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keras_retinanet.config.presets import has_avx2_only
from keras_retinanet.heap import keep_freed_memory, use_few_heaps

ONEDNN = "TF_ENABLE_ONEDNN_OPTS"
LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
STARTUP_NOISE = re.compile(
    rb"All log messages before absl::InitializeLog\(\) is called"
    rb"|oneDNN custom operations are on"
    rb"|oneDNN supports DT_INT64 only on platforms with AVX-512"
    rb"|Could not find cuda drivers"
    rb"|failed call to cuInit"
    rb"|This TensorFlow binary is optimized to use available CPU instructions"
    rb"|To enable the following instructions"
    rb"|Unable to register cu\w+ factory"
)
"""Lines that TensorFlow 2.21 writes in every process on a machine without a GPU, whatever its log level."""


def escape_unprintable() -> None:
    """Prints characters that the terminal lacks as their numbers; Python would end with a `UnicodeEncodeError`.

    File names that are not text in the encoding of the file system are printed so, too.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors != "backslashreplace":
            stream.reconfigure(errors="backslashreplace")


def prefer_onednn() -> None:
    """Lets TensorFlow use oneDNN on processors with AVX2 and without AVX-512; call it before TensorFlow is imported.

    TensorFlow does so by itself with AVX-512 only. A training step takes 10 to 15 % less time; convolutions of one
    image take several times as long, so this is for steps of two images or more. The variable `TF_ENABLE_ONEDNN_OPTS`
    of the environment has precedence.
    """
    if has_avx2_only():
        os.environ.setdefault(ONEDNN, "1")


def import_tensorflow() -> None:
    """Imports TensorFlow and initialises its devices, without the lines of `STARTUP_NOISE` on stderr.

    All other lines appear. Nothing is filtered if the environment variable `TF_CPP_MIN_LOG_LEVEL` is set.
    """
    if LOG_LEVEL in os.environ:
        import tensorflow  # noqa: F401

        return
    os.environ[LOG_LEVEL] = "2"
    with _without_startup_noise():
        import tensorflow as tf

        tf.config.list_logical_devices()  # CUDA reports here, not on import
        with tf.device("CPU"):  # the line about DT_INT64 comes once, with the first transposition of integers
            tf.transpose(tf.zeros((1, 1), tf.int64))


def import_tensorflow_for(model: str, *, keeps_memory: bool) -> None:
    """`import_tensorflow` with few heaps, unless the model is an artefact that runs without it.

    Args:
        model: Path of the model.
        keeps_memory: Whether memory that was freed stays in the process, see `keep_freed_memory`.
    """
    from keras_retinanet.runtimes import needs_tensorflow

    if needs_tensorflow(Path(model)):
        use_few_heaps()
        if keeps_memory:
            keep_freed_memory()
        import_tensorflow()


@contextmanager
def _without_startup_noise() -> Iterator[None]:
    """Buffers the output on the file descriptor of stderr, then writes the lines that are not noise."""
    sys.stderr.flush()
    try:
        stderr = os.dup(2)
    except OSError:  # closed by the caller
        yield
        return
    with tempfile.TemporaryFile() as held_back:
        os.dup2(held_back.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)
            held_back.seek(0)
            for line in held_back:
                if not STARTUP_NOISE.search(line):
                    os.write(2, line)


def command_line(command: str, *words: str) -> str:
    """Formats a command of this package as a line that can be pasted into the current shell.

    Args:
        command: Name such as `"retinanet-evaluate"`.
        *words: Arguments, not quoted.

    Returns:
        The line. It starts with a path if the shell would not find the command, or would find another installation.
    """
    return shlex.join([*_locate(command), *words])


def _locate(command: str) -> list[str]:
    here = Path(sys.argv[0])
    script = here.with_name(command) if here.with_name(command).is_file() else Path(sys.executable).with_name(command)
    if not script.is_file():
        return [command]
    found = shutil.which(command)
    if found is not None and os.path.samefile(found, script):
        return [command]
    if script.parent.resolve() != Path(sys.executable).parent.resolve():  # bin/ of a checkout, run by this Python
        return [sys.executable, str(script)]
    return [str(script)]
