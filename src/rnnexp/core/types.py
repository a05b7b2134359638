"""Types that several packages share."""

Primitive = str | int | float | bool | None
"""A value that JSON, YAML and W&B represent alike: the records of a run are flat dicts of these."""
