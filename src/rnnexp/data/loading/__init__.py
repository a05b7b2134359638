"""Orders and loaders that depend on the seed and the epoch alone, so that training resumes within an epoch."""
