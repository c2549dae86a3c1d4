"""The private names of Keras, TensorFlow and JAX that this package needs, because no public name does their work.

No other module uses one; a test checks that. Each function says which public name is missing, and what stops working
once the private one is gone: always with a `MissingInternalError`, never with other numbers. `.ci/nightly keras` runs
the tests of this module on the next Keras.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import keras
from keras import ops


class MissingInternalError(RuntimeError):
    """The installed Keras or TensorFlow lacks a private name that this package needs."""


def nested_layers(layer: keras.Layer) -> list[keras.Layer]:
    """List a layer and the layers inside it, at any depth.

    Missing in public: the layers inside a layer. `Model.layers` lists those of a model, without the ones inside them.
    Without the name: no start from another snapshot, no export in another precision.

    Args:
        layer: keras.Layer. A layer or a model.

    Returns:
        Each layer once, `layer` first.

    Raises:
        MissingInternalError: `Layer._flatten_layers` is gone.
    """
    with _explain_missing_names():
        return list(layer._flatten_layers())


def call_inputs(layer: keras.Layer) -> list[list[keras.KerasTensor]]:
    """List the symbolic inputs of each call of a layer.

    Missing in public: the calls after the first, which `Layer.input` leaves out. The weights of a layer that is called
    twice must not be changed for one of its calls.
    Without the name: no folding of batch normalisation, which every export does.

    Args:
        layer: keras.Layer. Part of a functional model.

    Returns:
        One list of tensors per call.

    Raises:
        MissingInternalError: `Layer._inbound_nodes` is gone.
    """
    with _explain_missing_names():
        return [list(node.input_tensors) for node in layer._inbound_nodes]


class MuonForAnyShape(keras.optimizers.Muon):
    """Keras' Muon whose subclass decides which variables learn by AdamW, and how the others are updated.

    Missing in public: both decisions, which Keras makes for matrices only.
    Without the names: no training with Muon. The constructor checks for them, because Keras would no longer call the
    methods here and update every convolution by AdamW.

    Args:
        learning_rate: float or schedule. Defaults to 0.001.
        **kwargs: As in `keras.optimizers.Muon`.

    Raises:
        MissingInternalError: `Muon._should_use_adamw` or `Muon._muon_update_step` is gone.
    """

    def __init__(self, learning_rate: Any = 1e-3, **kwargs: Any) -> None:
        with _explain_missing_names():
            for name in ("_should_use_adamw", "_muon_update_step"):
                getattr(keras.optimizers.Muon, name)
        super().__init__(learning_rate, **kwargs)

    def uses_adamw(self, variable: keras.Variable) -> bool:
        """Decide whether a variable is updated, and its weights decayed, as AdamW does.

        Args:
            variable: keras.Variable. A trainable variable.

        Returns:
            True for AdamW, False for `update_by_muon`.
        """
        raise NotImplementedError

    def update_by_muon(
        self, gradient: Any, variable: keras.Variable, learning_rate: Any, momentum: keras.Variable
    ) -> None:
        """Update a variable and its momentum in place.

        Args:
            gradient: Tensor. As large as the variable.
            variable: keras.Variable. What is updated.
            learning_rate: Tensor. Scalar.
            momentum: keras.Variable. As large as the variable, zeros before the first step.
        """
        raise NotImplementedError

    def _should_use_adamw(self, variable: keras.Variable) -> bool:
        return self.uses_adamw(variable)

    def _muon_update_step(self, gradient: Any, variable: keras.Variable, lr: Any, m: keras.Variable) -> None:
        self.update_by_muon(gradient, variable, lr, m)


class RatesAndAverages:
    """Mixin for Keras' optimizers: a learning rate factor for each variable, and averages whose decay changes.

    Missing in public: both. `MultiOptimizer` has a rate for each group, but clips each group's gradient by itself, and
    `ema_momentum` is one number.
    Without the names: no `--backbone-rate`, `--layer-decay`, `--ema-decay`, `--swa-epochs`. The constructor checks for
    them, because Keras would no longer call the methods here.

    Args:
        *args: As the optimizer's.
        rate_factors: One factor per trainable variable, in the order of `build`; empty for 1 everywhere.
        **kwargs: As the optimizer's; with `use_ema=True` the variables are averaged.

    Raises:
        MissingInternalError: A private method of Keras' optimizer is gone.
    """

    def __init__(self, *args: Any, rate_factors: Sequence[float] = (), **kwargs: Any) -> None:
        with _explain_missing_names():
            for name in ("_apply_weight_decay", "_update_model_variables_moving_average", "_get_variable_index"):
                getattr(keras.optimizers.Optimizer, name)
        super().__init__(*args, **kwargs)
        self.rate_factors = tuple(rate_factors)

    def averaging_momentum(self, updates: Any) -> Any:
        """Decide how much of the former average a new one keeps.

        Args:
            updates: `()` float32. Updates of the variables so far, this one included.

        Returns:
            `()` float32, 0 to 1: `average ← momentum · average + (1 - momentum) · variable`.
        """
        raise NotImplementedError

    @property
    def averages(self) -> list[keras.Variable]:
        """The average of each trainable variable; empty without averaging, and before `build`."""
        is_kept = self.use_ema and self.built  # type: ignore[attr-defined]
        with _explain_missing_names():
            return list(self._model_variables_moving_average) if is_kept else []  # type: ignore[attr-defined]

    def _factor(self, variable: Any) -> float:
        if not self.rate_factors:
            return 1.0
        return self.rate_factors[self._get_variable_index(variable)]  # type: ignore[attr-defined]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update a variable at its own rate."""
        factor = self._factor(variable)
        rate = learning_rate if factor == 1 else learning_rate * factor
        super().update_step(gradient, variable, rate)  # type: ignore[misc]

    def _apply_weight_decay(self, variables: Sequence[keras.Variable]) -> None:
        """Decay each variable at its own rate: rate · decay · factor."""
        names = [name for name in ("weight_decay", "adam_weight_decay") if getattr(self, name, None)]
        given = {name: getattr(self, name) for name in names}
        factors = [self._factor(variable) for variable in variables]
        try:
            for factor in sorted(set(factors)):
                for name, decay in given.items():
                    setattr(self, name, decay * factor)
                group = [variable for variable, own in zip(variables, factors, strict=True) if own == factor]
                super()._apply_weight_decay(group)  # type: ignore[misc]
        finally:
            for name, decay in given.items():
                setattr(self, name, decay)

    def _update_model_variables_moving_average(self, trainable_variables: Sequence[keras.Variable]) -> None:
        updates = ops.cast(self.iterations, "float32") + 1.0  # type: ignore[attr-defined]
        momentum = self.averaging_momentum(updates)
        for variable, average in zip(trainable_variables, self.averages, strict=True):
            kept = ops.cast(momentum, variable.dtype)
            average.assign(kept * average + (1 - kept) * variable)  # exact for 0 and 1

    def finalize_variable_values(self, var_list: Sequence[keras.Variable]) -> None:
        """Leave the variables as they are; Keras would replace them by their averages at the end of `fit`."""

    def get_config(self) -> dict[str, Any]:
        """Return the optimizer's arguments and the factors."""
        return {**super().get_config(), "rate_factors": list(self.rate_factors)}  # type: ignore[misc]


def parse_saved_model(contents: bytes) -> Any:
    """Parse the file `saved_model.pb` of a SavedModel.

    Missing in public: this message. `tf.compat.v1` has the `MetaGraphDef` inside it only.
    Without the name: no SavedModel export, because its ops can no longer be checked.

    Args:
        contents: The whole file.

    Returns:
        The message, a `SavedModel`.

    Raises:
        MissingInternalError: `tensorflow.core.protobuf.saved_model_pb2` is gone.
    """
    with _explain_missing_names():
        from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
    return SavedModel.FromString(contents)


def parse_object_graph(contents: bytes) -> Any:
    """Parse the object graph of a checkpoint of TensorFlow 2.

    Missing in public: this message. `tf.train.load_checkpoint` returns its bytes only.
    Without the name: no import of checkpoints of TensorFlow's own detectors.

    Args:
        contents: The value of `_CHECKPOINTABLE_OBJECT_GRAPH`.

    Returns:
        The message, a `TrackableObjectGraph`.

    Raises:
        MissingInternalError: `tensorflow.core.protobuf.trackable_object_graph_pb2` is gone.
    """
    with _explain_missing_names():
        from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph
    return TrackableObjectGraph.FromString(contents)


def litert_converter_error() -> type[Exception]:
    """Return the exception that `tf.lite.TFLiteConverter` raises for a graph that LiteRT cannot run.

    Missing in public: this class, which is not in `tf.lite`.
    Without the name: no LiteRT export, because such graphs can no longer be explained.

    Returns:
        The class.

    Raises:
        MissingInternalError: `tensorflow.lite.python.convert` is gone.
    """
    with _explain_missing_names():
        from tensorflow.lite.python.convert import ConverterError
    return ConverterError


class LiteRTFormat(NamedTuple):
    """Modules that treat a LiteRT file as objects.

    Attributes:
        schema: The classes of the objects, such as `MetadataT`.
        utils: Reads a file into objects and writes it, such as `read_model_from_bytearray`.
    """

    schema: Any
    utils: Any


def litert_format() -> LiteRTFormat:
    """Return the modules that read and write LiteRT files.

    Missing in public: any way to add metadata to a LiteRT file.
    Without the names: no LiteRT export, because a file would lack its class names and its resize rule.

    Returns:
        The modules.

    Raises:
        MissingInternalError: One of them is gone.
    """
    with _explain_missing_names():
        from tensorflow.lite.python import schema_py_generated
        from tensorflow.lite.tools import flatbuffer_utils
    return LiteRTFormat(schema_py_generated, flatbuffer_utils)


def coordination_client() -> Any:
    """Return JAX's client of the coordination service, through which the processes of a program exchange values.

    Missing in public: the key-value store; `multihost_utils` moves arrays through the accelerators, all at once.
    Without the name: no training in several processes.

    Returns:
        The client; `None` before `jax.distributed.initialize`.

    Raises:
        MissingInternalError: `jax._src.distributed.global_state` is gone.
    """
    with _explain_missing_names():
        from jax._src import distributed

        return distributed.global_state.client


@contextmanager
def _explain_missing_names() -> Iterator[None]:
    try:
        yield
    except (AttributeError, ImportError) as error:
        raise MissingInternalError(
            f"{error}. keras_retinanet needs this private name, and Keras {keras.__version__} or the TensorFlow "
            "installed with it does not have it: install the versions that keras_retinanet's pyproject.toml allows."
        ) from error
