"""What a reader is: it finds its layout in a folder, names its splits, and reads one of them."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from keras_retinanet.data.datasets.shared.annotated_images import AnnotatedImages
from keras_retinanet.data.datasets.shared.annotations import Annotations
from keras_retinanet.data.datasets.shared.frames import FrameRule
from keras_retinanet.data.datasets.shared.text_files import no_garbage_collection
from keras_retinanet.data.error_collector import ErrorCollector, Item, OnError, Parsed, parse_each, report_or_raise
from keras_retinanet.data.errors import DataError
from keras_retinanet.data.image_files import near_name_hint


@dataclass(frozen=True)
class Layout:
    """A data set that a reader recognised.

    Attributes:
        format: Word of the reader.
        path: The folder or file.
        evidence: What the reader recognised, as `"annotations/instances_train.json"`.
        certainty: 3: files that only this format has; 2: its folders; 1: names that other formats use, too.
        tool: Name of the tool that wrote the files, if they show it. Defaults to `""`.
        settings: `DataConfig` fields to set in place of the reader's first argument, such as the annotation files of a
            format without named sets. Defaults to none: the first argument is `path`.
        others: Less certain readings of other files at the same path, set by `recognise`. Defaults to none.
    """

    format: str
    path: Path
    evidence: str
    certainty: int
    tool: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    others: tuple[Layout, ...] = ()


class Reader(AnnotatedImages):
    """Base class of the readers: one file per format, which owns its layouts, its words and its flags.

    A reader defines `word`, `summary` and `read`. The keyword arguments of `read` are its flags: fields of `DataConfig`
    that other formats do not have. `read` raises `DataError` for whatever is broken. What it parses with `parse_each`
    is left out if it is broken: with a note by default, recorded if errors are collected (as `retinanet-doctor` does).
    With `on_error="error"`, or if nothing remains, the first error is raised.

    Args:
        path: Folder or file of the data set.
        set_name: Which split. Defaults to the first of `default_sets`.
        class_names: Names in the order of the labels wanted, for evaluating a model on its own classes. Defaults to the
            classes of the data set.
        on_error: What to do with broken annotations, and boxes outside their image or without area; see `OnError`.
            Defaults to `"skip"`.
        frame: Which pictures the boxes refer to, and the range of 16-bit values. Defaults to what the data show.
        **flags: The keyword arguments of `read`.

    Attributes:
        word: Name of the format on the command line.
        summary: One line for `--help`.
        arguments: `DataConfig` fields set by the positional arguments after `word`, in order.
        optional_arguments: Fields that may follow.
        path_metavar: What `--help` calls `path`.
        default_path: Path if none is given. Defaults to `""`: one must be given.
        has_sets: Whether splits have names; otherwise each split has an annotation file of its own.
        usual_validation: Name of the validation set, for the message that it is missing.
        signs: Patterns of files in a folder of this format, with `Layout.certainty`; the surest first.
        file_signs: Patterns of the names of single files of this format.
        path: Argument.
        set_name: Argument, or the default.
        wanted_classes: `class_names` as given.
        on_error: Argument.
        tolerance: `on_error`, with a collector of its own in place of `"skip"`: for functions that leave out and record
            what is broken.

    Raises:
        DataError: The files are broken; the message names file, line or annotation.
    """

    word: ClassVar[str]
    summary: ClassVar[str]
    arguments: ClassVar[tuple[str, ...]] = ("path",)
    optional_arguments: ClassVar[tuple[str, ...]] = ()
    path_metavar: ClassVar[str] = "PATH"
    default_path: ClassVar[str] = ""
    has_sets: ClassVar[bool] = True
    usual_validation: ClassVar[str] = "val"
    signs: ClassVar[tuple[tuple[str, int], ...]] = ()
    file_signs: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        path: str | os.PathLike[str],
        set_name: str | None = None,
        *,
        class_names: Sequence[str] | None = None,
        on_error: OnError = "skip",
        frame: FrameRule | None = None,
        **flags: Any,
    ) -> None:
        self.path, self.on_error = Path(path), on_error
        self.tolerance: OnError = ErrorCollector() if on_error == "skip" else on_error
        self.set_name = set_name or self.default_sets(path)[0]
        if (image_dir := flags.get("image_dir")) is not None and not os.path.isdir(image_dir):
            fix = near_name_hint(image_dir) + "correct --image-dir"
            raise DataError(str(image_dir), "is not a folder", "the folder of the images", fix)
        self.wanted_classes = None if class_names is None else tuple(class_names)
        read: Callable[..., Annotations] = self.read
        with no_garbage_collection():
            annotations = read(**flags)
        if on_error == "skip" and isinstance(self.tolerance, ErrorCollector) and self.tolerance.errors:
            if annotations.num_boxes == 0:
                raise self.tolerance.errors[0]
            annotations.notes += self.tolerance.describe_left_out()
        super().__init__(annotations, class_names=class_names, on_error=on_error, frame=frame)

    def read(self) -> Annotations:
        """Read the split `set_name` of `path`.

        Returns:
            Images and boxes as annotated.

        Raises:
            DataError: The files are broken.
        """
        raise NotImplementedError

    @classmethod
    def flags(cls) -> tuple[str, ...]:
        """`DataConfig` fields that `read` takes as keyword arguments."""
        parameters = inspect.signature(cls.read).parameters.values()
        return tuple(parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY)

    @classmethod
    def find_layout(cls, path: str | os.PathLike[str]) -> Layout | None:
        """Recognise a data set of this format.

        Args:
            path: A folder or file, which need not exist.

        Returns:
            What was recognised, or `None`.
        """
        place = Path(path)
        if not place.is_dir():
            sign = next((sign for sign in cls.file_signs if _matches(place, sign)), None)
            return None if sign is None else Layout(cls.word, place, place.name, 1)
        for sign, certainty in cls.signs:
            if (found := next(place.glob(sign), None)) is not None:
                return Layout(cls.word, place, str(found.relative_to(place)), certainty)
        return None

    @classmethod
    def default_sets(cls, path: str | os.PathLike[str]) -> tuple[str, str | None]:
        """Names of the training set and, if there is one, of the validation set."""
        del path
        return "train", None

    @classmethod
    def prepare(cls, path: str | os.PathLike[str]) -> None:
        """Create missing files of the data set at `path`. Does nothing unless this package generates the format."""

    def report_error(self, error: DataError) -> None:
        """Record an error, so that what it is about is left out; with `on_error="error"` raise it.

        Raises:
            DataError: `error`.
        """
        report_or_raise(self.tolerance, error)

    def parse_each(self, items: Iterable[Item], parse: Callable[[Item], Parsed]) -> Iterator[Parsed]:
        """Parse items one by one; broken items are recorded and left out unless `on_error` is `"error"`.

        Args:
            items: Lines, files or annotations.
            parse: Function of one item that raises `DataError` if the item is broken.

        Yields:
            The result of `parse` for each item that is not broken.
        """
        return parse_each(items, parse, self.tolerance)


def _matches(place: Path, sign: str) -> bool:
    return Path(place.name.lower()).match(sign)
