"""Boxes and captions drawn on images."""
