"""Opens Apache Beam pipelines for commands with `--runner`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras_retinanet.extras import install_hint


def open_pipeline(runner: str, options: Sequence[str] = ()) -> Any:
    """A Beam pipeline, which runs when its `with` block ends.

    Args:
        runner: Name of a Beam runner: `"DirectRunner"`, `"FlinkRunner"`, `"SparkRunner"`, `"DataflowRunner"`.
        options: The runner's own flags.

    Returns:
        The pipeline.

    Raises:
        ImportError: Apache Beam is not installed.
        ValueError: The runner is not known, or its flags are wrong.
    """
    try:
        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError as error:
        raise ImportError(f"--runner {runner} needs Apache Beam ({error}): {install_hint('beam')}.") from None
    return beam.Pipeline(options=PipelineOptions([f"--runner={runner}", *options]))
