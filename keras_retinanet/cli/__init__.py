"""The commands, one per file, each with `main(argv=None)`. Keras is imported after parsing, so `--help` is fast."""
