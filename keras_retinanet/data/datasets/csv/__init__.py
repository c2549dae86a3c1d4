"""CSV in the dialects of many tools."""
