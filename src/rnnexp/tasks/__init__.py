"""LightningModules: the loss, the metrics and the logging of what a model is trained to do."""
