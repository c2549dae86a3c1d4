"""The resize rule of images, which a snapshot holds."""

from __future__ import annotations

from dataclasses import dataclass

from keras_retinanet.config.names import ExifFrame, ResizeMethod, Rounding, ShapeMode


@dataclass(frozen=True)
class ResizeConfig:
    """How an image becomes network input; training, detection and export share it.

    Attributes:
        min_side: Target length of the shorter side in pixels.
        max_side: Upper limit for the longer side in pixels; it overrides the target for the shorter side.
        is_square: Scale the longer side to `max_side` and pad to a `max_side` square: one shape for every image.
        antialias: Low-pass before shrinking. Defaults to `False`, as cv2, torchvision and fizyr do.
        pad_multiple: Pad images on the right and at the bottom to a multiple of this.
        rounding: How a scaled side becomes whole pixels: nearest (halves up), nearest with halves to even (OpenCV
            given a scale), or down (torchvision).
        method: Arithmetic: bilinear, rounded once; float, not rounded (torchvision); cv2, whose weights have 11 bits;
            pillow, antialiased and rounded after each axis (Detectron2); tf1, not rounded and without half-pixel
            centres (TensorFlow 1).
        has_one_scale: Pixels and boxes follow the unrounded scale, the same on both axes, as in fizyr.
        exif: Whether an EXIF orientation is applied before anything else, so that images are seen as people see them.
        bit_depth: Bits of the values in 16-bit images; the largest of so many bits becomes white.
        shape: Height and width in pixels that every image is resized for, in place of the rule for the sides.
        shape_mode: Whether images keep their proportions and fit into `shape`, or are stretched to it.
    """

    min_side: int = 800
    max_side: int = 1333
    is_square: bool = False
    antialias: bool = False
    pad_multiple: int = 32
    rounding: Rounding = "nearest"
    method: ResizeMethod = "bilinear"
    has_one_scale: bool = False
    exif: ExifFrame = "apply"
    bit_depth: int = 16
    shape: tuple[int, ...] = ()
    shape_mode: ShapeMode = "fit"

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(int(side) for side in self.shape))  # JSON has lists
        if len(self.shape) not in (0, 2) or any(side < 1 for side in self.shape):
            raise ValueError(f"`shape` is a height and a width of at least 1 pixel, or empty; received {self.shape}.")
        if self.has_one_scale and self.shape and self.shape_mode == "stretch":
            raise ValueError("Images stretched to a `shape` have a scale for each axis; `has_one_scale` must be off.")

    def __str__(self) -> str:
        if self.shape:
            return (
                f"{'stretched to' if self.shape_mode == 'stretch' else 'within'} {self.shape[1]} × {self.shape[0]} px"
            )
        if self.is_square:
            return f"{self.max_side} px square"
        return f"sides {self.min_side} to {self.max_side} px"
