"""Regression on sequences."""
