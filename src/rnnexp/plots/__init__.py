"""Matplotlib figures of one run, in one style."""
