"""Callbacks: one for each behavior beside training, each switched off by one override."""
