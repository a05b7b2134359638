"""Private names of other libraries that cannot be avoided, one module per library.

Each docstring names the public way that was tried. `tests/compat/` has a test for each name, which fails with an
explanation if a new version of the library changes it.
"""
