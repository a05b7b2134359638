"""Private names of wandb-workspaces, an optional package that this module does not import."""

from typing import Any


def specification(view: Any) -> dict[str, Any]:  # noqa: ANN401 (a Workspace or a Report, whose package is optional)
    """Return a workspace or a report as W&B receives it, as plain values.

    The public ways do not give it: `save()` sends it and keeps nothing, `to_html()` embeds a report that W&B has, and
    the fields of the objects are those of the Python interface.
    """
    plain: dict[str, Any] = view._to_model().model_dump(by_alias=True, exclude_none=True)
    return plain
