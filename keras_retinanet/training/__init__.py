"""Training runs: prepare one from its settings, fit, measure, save."""
