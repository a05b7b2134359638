"""Downloads and locks of data files."""
