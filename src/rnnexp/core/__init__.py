"""Errors, validation, atomic files, signals and progress: what every other package builds on. Imports no torch."""
