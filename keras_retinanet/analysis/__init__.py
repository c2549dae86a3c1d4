"""What the numbers of an evaluation mean: where a detector fails, what to deploy, and which of several is better."""
