"""Finished runs read from their files and grouped for comparison."""
