"""The command line: Hydra's entry point, the location of conf/ and one-line error messages."""
