"""VGG Image Annotator (VIA)."""
