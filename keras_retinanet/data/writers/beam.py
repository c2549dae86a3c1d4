"""Runs write jobs in an Apache Beam pipeline, on one machine or on many."""

from __future__ import annotations

from collections.abc import Sequence

from keras_retinanet.data.beam_pipeline import open_pipeline
from keras_retinanet.data.writers import WriteJob, write_job


def write_with_beam(jobs: Sequence[WriteJob], runner: str, options: Sequence[str] = ()) -> None:
    """Run every job as one element of a pipeline, and wait until all are done.

    The workers need this package, and see the data set and the new folder under the paths of this machine.

    Args:
        jobs: What to write.
        runner: As for `open_pipeline`.
        options: As for `open_pipeline`.

    Raises:
        ImportError: Apache Beam is not installed.
        ValueError: The runner is not known, or its flags are wrong.
        OSError: A job could not be written.
    """
    with open_pipeline(runner, options) as pipeline:
        import apache_beam as beam

        (pipeline | "jobs" >> beam.Create(list(jobs)) | "spread" >> beam.Reshuffle() | "write" >> beam.Map(write_job))
