"""Label Studio's JSON and JSON-MIN."""
