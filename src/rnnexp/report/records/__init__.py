"""Runs read from their files and grouped for comparison."""
