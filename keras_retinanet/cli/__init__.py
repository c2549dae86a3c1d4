"""The commands: one a file, `main(argv=None)` each. Keras is imported after parsing, so that `--help` answers."""
