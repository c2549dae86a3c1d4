"""Augmentations of training images, by kind; `data.augment` lists them by name."""
