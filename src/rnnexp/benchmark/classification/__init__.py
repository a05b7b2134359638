"""The benchmark of classification, and the pipeline of torchvision for comparison."""
