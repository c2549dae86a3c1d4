"""Lists, changes and reads nested settings by dotted names.

Command lines (`--anchor-sizes`) and files (`config.yaml`) both address settings this way; defaults, types and
descriptions are those of the dataclasses.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

FLAG_PREFIXES = {"anchors": "anchor-", "resize": "image-", "default_boxes": "default-box-"}
FLAG_NAMES = {
    "data.train_set": "set",
    "data.keep_classes": "classes",
    "data.classes": "class-file",
    "loss.classification": "loss",
    "loss.box": "box-loss",
    "loss.box_weight": "box-loss-weight",
    "loss.alpha": "focal-alpha",
    "loss.gamma": "focal-gamma",
    "loss.beta": "smooth-l1-beta",
    "loss.shift": "focal-shift",
    "model.has_quality": "quality-branch",
    "assigner.nearest_cells": "atss-nearest-cells",
    "assigner.aligned_top_k": "tal-top-k",
    "assigner.alignment_alpha": "tal-alpha",
    "assigner.alignment_beta": "tal-beta",
}
WITHOUT_FLAG = (
    "resize.exif", "resize.bit_depth", "model.activation", "model.norm_momentum", "model.fpn_norm",
    "model.fpn_norm_epsilon", "model.has_fpn_bias", "model.has_fpn_activation", "model.fpn_carried",
    "model.has_top_output", "model.extra_input", "model.is_fpn_separable", "model.is_head_separable",
    "model.has_shared_tower", "anchors.offset_rule", "anchors.is_clipped", "filter.clip_frame", "filter.temperature",
    "filter.score_bias", "filter.counts_empty", "default_boxes.ratios", "default_boxes.strides",
)  # fmt: skip
"""Settings that images decide: those of training (the flags are those of `data.exif` and `data.bit_depth`), or those of
an evaluation after it. And settings that only detectors of other libraries have."""

ConfigT = TypeVar("ConfigT")


@dataclass(frozen=True)
class Setting:
    """One leaf of a config.

    Attributes:
        name: Dotted name, such as `"anchors.sizes"`.
        kind: Type annotation.
        default: Default value.
        description: Its text in the docstring of its class.
    """

    name: str
    kind: Any
    default: Any
    description: str

    @property
    def choices(self) -> tuple[str, ...] | None:
        """The allowed names, if its type is a `Literal`."""
        for kind in (self.kind, *get_args(self.kind)):
            if get_origin(kind) is Literal:
                return get_args(kind)
        return None

    @property
    def is_tuple(self) -> bool:
        """Whether it has several values."""
        return any(get_origin(kind) is tuple for kind in (self.kind, *get_args(self.kind)))

    @property
    def is_flag(self) -> bool:
        """Whether it is on or off."""
        return self.kind is bool

    @property
    def scalar(self) -> type:
        """`int`, `float` or `str`: the type of the value or of its elements."""
        return _find_scalar(self.kind)


def flag_name(name: str) -> str:
    """The flag of a setting.

    Args:
        name: Dotted name, such as `"anchors.sizes"`.

    Returns:
        The flag, such as `"--anchor-sizes"`.
    """
    group, _, leaf = name.rpartition(".")
    leaf = re.sub(r"^(is|has|use)_", "", leaf)
    return "--" + FLAG_NAMES.get(name, FLAG_PREFIXES.get(group, "") + leaf).replace("_", "-")


def settings(config_class: type, prefix: str = "") -> Iterator[Setting]:
    """Lists the leaves of a config class in the order of its fields.

    Args:
        config_class: A dataclass whose fields are plain values or dataclasses.
        prefix: Prefix of each name.

    Yields:
        One `Setting` per leaf.
    """
    hints, described = get_type_hints(config_class), descriptions(config_class)
    for field in dataclasses.fields(config_class):
        kind, name = hints[field.name], prefix + field.name
        if dataclasses.is_dataclass(kind):
            yield from settings(kind, name + ".")  # type: ignore[arg-type]
        else:
            yield Setting(name, kind, field.default, described.get(field.name, ""))


def descriptions(config_class: type) -> dict[str, str]:
    """Reads the `Attributes:` in the docstrings of a class and its bases.

    Args:
        config_class: A class with docstrings in Google form.

    Returns:
        Attribute name → its sentences on one line; empty if Python stripped the docstrings.
    """
    found: dict[str, str] = {}
    for each in reversed(config_class.__mro__):
        _, _, section = inspect.cleandoc(each.__doc__ or "").partition("Attributes:\n")
        found |= re.findall(r"^ {4}(\w+): (.*(?:\n {5,}.*)*)", section, flags=re.MULTILINE)
    return {name: re.sub(r"\s+", " ", text) for name, text in found.items()}


def changed(config: ConfigT, values: Mapping[str, Any]) -> ConfigT:
    """Copies a config with some settings replaced.

    Args:
        config: Any config dataclass.
        values: Dotted name → new value.

    Returns:
        A config of the same class.

    Raises:
        ValueError: If a name is not one of the config's settings.
    """
    direct: dict[str, Any] = {}
    nested: dict[str, dict[str, Any]] = {}
    names = {field.name for field in dataclasses.fields(config)}  # type: ignore[arg-type]
    for name, value in values.items():
        head, _, rest = name.partition(".")
        if head not in names or (rest and not dataclasses.is_dataclass(getattr(config, head))):
            raise ValueError(
                f"Unknown setting {name!r} of {type(config).__name__}; known are {', '.join(sorted(names))}."
            )
        if rest:
            nested.setdefault(head, {})[rest] = value
        else:
            direct[head] = value
    direct |= {head: changed(getattr(config, head), inner) for head, inner in nested.items()}
    return dataclasses.replace(config, **direct)  # type: ignore[type-var]


def to_dict(config: Any) -> dict[str, Any]:
    """Converts a config dataclass to nested dicts with lists for tuples, for YAML or JSON."""
    plain: dict[str, Any] = _tuples_to_lists(dataclasses.asdict(config))
    return plain


def from_dict(config_class: type[ConfigT], plain: Mapping[str, Any], prefix: str = "") -> ConfigT:
    """The inverse of `to_dict`; missing settings keep their defaults.

    Args:
        config_class: The config dataclass.
        plain: Nested plain values, with lists for tuples.
        prefix: Prefix of names in messages. Defaults to `""`.

    Returns:
        An instance of `config_class`.

    Raises:
        ValueError: A name is unknown, a group is not a mapping, or a value has another type.
    """
    if not isinstance(plain, Mapping):
        raise ValueError(f"{config_class.__name__} needs names and values, got {plain!r}.")
    hints = get_type_hints(config_class)
    if unknown := sorted(set(plain) - set(hints)):
        raise ValueError(f"Unknown setting {unknown[0]!r} of {config_class.__name__}; known are {', '.join(hints)}.")
    values = {
        name: from_dict(hints[name], value, f"{prefix}{name}.")
        if dataclasses.is_dataclass(hints[name])
        else _convert_value(prefix + name, hints[name], value)
        for name, value in plain.items()
    }
    return config_class(**values)


def flattened(config: Any) -> dict[str, Any]:
    """Dotted name → value of every setting of a config instance."""
    flat: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            flat |= {f"{field.name}.{name}": inner for name, inner in flattened(value).items()}
        else:
            flat[field.name] = value
    return flat


def _find_scalar(kind: Any) -> type:
    if get_origin(kind) in (Union, types.UnionType, tuple):
        return _find_scalar(next(part for part in get_args(kind) if part not in (type(None), Ellipsis)))
    if get_origin(kind) is Literal:
        return str
    result: type = kind
    return result


def _convert_value(name: str, kind: Any, value: Any) -> Any:
    """Converts a value from a file, which has lists for tuples and may have numbers as text (`1e-3` in YAML)."""
    for allowed in get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,):
        try:
            return _convert_to_kind(allowed, value)
        except (TypeError, ValueError):
            continue
    raise ValueError(f"{name} is {value!r}, which is not {_describe_kind(kind)}.")


def _convert_to_kind(kind: Any, value: Any) -> Any:
    if kind is Any or (kind is type(None) and value is None):
        return value
    if get_origin(kind) is tuple and isinstance(value, list | tuple):
        first, *others = get_args(kind)  # all of one type, in any number or in that of the types
        if others != [Ellipsis] and len(value) != 1 + len(others):
            raise ValueError
        return tuple(_convert_to_kind(first, item) for item in value)
    if get_origin(kind) is Literal or kind is str:
        kind = str
    if kind is bool or isinstance(value, bool):
        if kind is bool and isinstance(value, bool):
            return value
        raise TypeError
    if kind is float and isinstance(value, str | int | float):
        return float(value)
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(kind, type) and isinstance(value, kind):
        return value
    raise TypeError


def _describe_kind(kind: Any) -> str:
    if get_origin(kind) in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_describe_kind(part) for part in get_args(kind)))
    if get_origin(kind) is tuple:
        return f"a list of {_describe_kind(get_args(kind)[0]).removeprefix('a ')}s"
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", type(None): "null"}
    return "a text" if get_origin(kind) is Literal else names.get(kind, str(kind))


def _tuples_to_lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _tuples_to_lists(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_tuples_to_lists(item) for item in value]
    return value
