"""Matplotlib figures of one run, attention as text, and the style that all figures share."""
