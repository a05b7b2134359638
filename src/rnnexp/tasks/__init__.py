"""Tasks: LightningModules with the loss, the metrics and the logging of a model, and the registry that lists them."""
