"""Runs write jobs in an Apache Beam pipeline, on one machine or on many."""

from __future__ import annotations

from collections.abc import Sequence

from keras_retinanet.data.writers import WriteJob, write_job
from keras_retinanet.extras import install_hint


def write_with_beam(jobs: Sequence[WriteJob], runner: str, options: Sequence[str] = ()) -> None:
    """Run every job as one element of a pipeline, and wait until all are done.

    The workers need this package, and see the data set and the new folder under the paths of this machine.

    Args:
        jobs: What to write.
        runner: Name of a Beam runner: `"DirectRunner"`, `"FlinkRunner"`, `"SparkRunner"`, `"DataflowRunner"`.
        options: The runner's own flags.

    Raises:
        ImportError: Apache Beam is not installed.
        ValueError: The runner is not known, or its flags are wrong.
        OSError: A job could not be written.
    """
    try:
        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError as error:
        raise ImportError(f"--runner {runner} needs Apache Beam ({error}): {install_hint('beam')}.") from None
    settings = PipelineOptions([f"--runner={runner}", *options])
    with beam.Pipeline(options=settings) as pipeline:
        (pipeline | "jobs" >> beam.Create(list(jobs)) | "spread" >> beam.Reshuffle() | "write" >> beam.Map(write_job))
