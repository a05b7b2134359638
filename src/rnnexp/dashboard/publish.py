"""A dashboard's way to a file, and to W&B."""

import re
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from rnnexp.core.atomic_files import write_json
from rnnexp.core.errors import UserError

if TYPE_CHECKING:
    from rnnexp.dashboard.panels import Dashboard


def design(config: DictConfig) -> "Dashboard":
    """Raises UserError if the extra that it needs is not installed."""
    try:
        with warnings.catch_warnings():
            # Its use of an older pydantic is not for those to mend who look at runs.
            warnings.simplefilter("ignore")
            from rnnexp.dashboard.panels import make_dashboard
    except ModuleNotFoundError as error:
        if not str(error.name).startswith("wandb_workspaces"):
            raise
        raise UserError(
            'dashboards need wandb-workspaces, which is not installed: pip install "rnnexp[dashboard]"'
        ) from None
    return make_dashboard(
        project=config.project,
        # Whose account it is, is known only where there is one.
        entity=config.entity or "",
        sweep=config.sweep and Path(config.sweep).name,
        dataset=config.dataset,
        metric=config.metric,
    )


def write_specification(config: DictConfig, dashboard: "Dashboard") -> Path:
    """Writes both as W&B would be sent them to `<outputs_dir>/dashboard/<title>.json`, and returns that path."""
    directory = Path(config.paths.outputs_dir).absolute() / "dashboard"
    directory.mkdir(parents=True, exist_ok=True)
    slug = re.sub(r"[^\w.+-]+", "-", dashboard.workspace.name)
    path = directory / f"{slug}.json"
    models = {name: view._to_model() for name, view in dashboard._asdict().items()}
    write_json(path, {name: model.model_dump(by_alias=True, exclude_none=True) for name, model in models.items()})
    return path


def publish(config: DictConfig, dashboard: "Dashboard") -> None:
    """Saves both at W&B and says where they are, or why they are not: whatever goes wrong there is no failure here."""
    import wandb

    from rnnexp.loggers.wandb_connection import choose_mode

    mode, reason = choose_mode("auto", config.timeout_seconds)
    if mode != "online":
        print(f"W&B: not published, because {reason}")
        return
    left = list(dashboard._fields)
    try:
        entity = config.entity or wandb.Api().default_entity
        for name, view in dashboard._asdict().items():
            view.entity = entity
            view.save()
            left.remove(name)
            print(f"W&B: {name} {view.url}")
    except Exception as error:
        # Of several libraries, none of which tells what it raises. What is ours is done: both are made and written.
        reason = " ".join(str(error).split())
        print(f"rnnexp: warning: W&B: {' and '.join(left)} not published, because {reason}", file=sys.stderr)
