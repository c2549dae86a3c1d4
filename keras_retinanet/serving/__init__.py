"""Detection over the network: a client, a small server, and files for TensorFlow Serving."""
