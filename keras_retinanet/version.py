"""The version, alone so that the build can read it without importing anything."""

__version__ = "2.0.0.dev0"
