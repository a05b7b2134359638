"""MNIST and other images in IDX format, read as sequences."""
