"""Sequences of a user: files of arrays, tables and the UEA/UCR archive."""
