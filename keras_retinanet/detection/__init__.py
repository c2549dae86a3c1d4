"""From images in any form to boxes, and to files."""
