"""One run: its directory, the objects built from its config, and its stages."""
