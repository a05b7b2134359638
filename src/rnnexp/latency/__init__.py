"""Measurement of what inference with finished runs costs."""
