"""Orders and loaders that depend only on the seed and the epoch, so that training can resume within an epoch."""
