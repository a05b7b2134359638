"""Classification of each step of sequences."""
