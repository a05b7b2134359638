"""Statistical tests and rankings."""
