"""The benchmark of classification, and the pipeline of a template for comparison."""
