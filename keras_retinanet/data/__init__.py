"""Readers and writers of data sets, decoding, augmentation and the tf.data pipeline (TensorFlow and NumPy)."""
