"""Run folders and the snapshots in them."""
