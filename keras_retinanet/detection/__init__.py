"""Detects objects in images of any form, and writes the boxes to files."""
