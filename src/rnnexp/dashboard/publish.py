"""The specification of a dashboard as a file, and its publication at W&B."""

import re
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from rnnexp.compat.wandb_workspaces import specification
from rnnexp.core.errors import missing_extra_errors
from rnnexp.core.files.atomic import write_json
from rnnexp.dashboard.options import Options

if TYPE_CHECKING:
    from rnnexp.dashboard.panels import Views


def make_views(options: Options) -> "Views":
    """Return the workspace and the report, without a request to W&B.

    Raises:
        UserError: if wandb-workspaces is not installed.
    """
    with missing_extra_errors("a dashboard", "dashboard"), warnings.catch_warnings():
        # The package uses a deprecated interface of pydantic.
        warnings.simplefilter("ignore")
        from rnnexp.dashboard.panels import make_panels
    return make_panels(options)


def write_specification(views: "Views", outputs_dir: Path) -> Path:
    """Write both views in W&B's format to `<outputs_dir>/dashboard/<title>.json`, and return that path."""
    directory = outputs_dir / "dashboard"
    directory.mkdir(parents=True, exist_ok=True)
    slug = re.sub(r"[^\w.+-]+", "-", views.workspace.name)
    path = directory / f"{slug}.json"
    write_json(path, {name: specification(view) for name, view in views._asdict().items()})
    return path


def publish(views: "Views", entity: str | None, timeout_seconds: float) -> None:
    """Save both views at W&B and print their addresses, or print why they are not published.

    An error of W&B is only a warning, since the specification has been written.
    """
    import wandb

    from rnnexp.loggers.wandb_connection import choose_mode

    mode, reason = choose_mode("auto", timeout_seconds)
    if mode != "online":
        print(f"W&B: not published, because {reason}")
        return
    unpublished = list(views._fields)
    try:
        entity = entity or wandb.Api().default_entity
        for name, view in views._asdict().items():
            view.entity = entity
            view.save()
            unpublished.remove(name)
            print(f"W&B: {name} {view.url}")
    except Exception as error:
        # Several libraries are involved, and none of them documents its exceptions.
        reason = " ".join(str(error).split())
        print(f"rnnexp: warning: W&B: {' and '.join(unpublished)} not published, because {reason}", file=sys.stderr)
