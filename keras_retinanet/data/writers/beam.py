"""The same chunks written by an Apache Beam pipeline, on one machine or on many."""

from __future__ import annotations

from collections.abc import Sequence

from keras_retinanet.data.writers import Chunk, write_chunk
from keras_retinanet.extras import install_hint


def write_with_beam(chunks: Sequence[Chunk], runner: str, options: Sequence[str] = ()) -> None:
    """Write every chunk as one element of a pipeline, and wait for the end.

    The workers need this package, and see the data set and the new folder under the paths of this machine.

    Args:
        chunks: Sequence. What to write.
        runner: str. Name of a Beam runner: `"DirectRunner"`, `"FlinkRunner"`, `"SparkRunner"`, `"DataflowRunner"`.
        options: Sequence. The runner's own flags.

    Raises:
        ImportError: Apache Beam is not installed.
        ValueError: The runner is not known, or its flags are wrong.
        OSError: A chunk could not be written.
    """
    try:
        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError as error:
        raise ImportError(f"--runner {runner} needs Apache Beam ({error}): {install_hint('beam')}.") from None
    settings = PipelineOptions([f"--runner={runner}", *options])
    with beam.Pipeline(options=settings) as pipeline:
        (
            pipeline
            | "chunks" >> beam.Create(list(chunks))
            | "spread" >> beam.Reshuffle()
            | "write" >> beam.Map(write_chunk)
        )
