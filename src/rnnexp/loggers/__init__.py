"""Lightning loggers that write into the run directory, with W&B as a mirror."""
