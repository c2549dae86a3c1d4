"""From files to batches: readers, decoding, augmentation and the tf.data pipeline (plain TensorFlow and NumPy)."""
