"""Which anchor learns which box."""
