"""A frozen run directory: the command that starts it, what its config may name, and how the run continues."""
