"""One run: its directory, the objects built from its config, and its stages. As a program: list and compare runs."""
