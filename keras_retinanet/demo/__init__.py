"""The built-in data set: drawn scenes of shapes."""
