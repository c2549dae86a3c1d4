"""What several formats share: the reader class, lists of images, shapes, splits, texts and names."""
