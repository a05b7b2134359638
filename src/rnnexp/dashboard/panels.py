"""What a W&B dashboard shows: the panels of a workspace, and of a report, over the same runs.

All is grouped by keys of the runs' config. W&B's own `group` names the sweep that a run belongs to, and filters alone.
"""

from typing import Any, NamedTuple

import wandb_workspaces.reports.v2 as wr
import wandb_workspaces.workspaces as ws
from wandb_workspaces import expr

MAX_RUNS = 500
"""In a chart, where W&B would show the newest ten."""
AXES = ("cell", "num_layers", "bidirectional", "precision", "hidden_size")
"""Short keys: what people vary, in the order of the parallel coordinates."""
COLUMNS = (
    *(f"config:{key}.value" for key in ("dataset", *AXES, "num_parameters", "budget", "seed")),
    *("summary:timing.fit_seconds", "summary:peak_memory_bytes"),
)


class Dashboard(NamedTuple):
    """Two views of the runs of a project, of which W&B knows nothing yet."""

    workspace: ws.Workspace
    report: wr.Report


def make_dashboard(project: str, entity: str, sweep: str | None, dataset: str | None, metric: str) -> Dashboard:
    """Panels that show `metric` as the runs log it, of the runs of one sweep and on one dataset if these are given.

    Asks W&B nothing.
    """
    title = f"{metric} of {sweep or project}{f' on {dataset}' if dataset else ''}"[:128]
    filters = [expr.Metric("Group") == sweep] if sweep else []
    filters += [expr.Config("dataset") == dataset] if dataset else []
    columns = [f"summary:test/{metric}", *COLUMNS]
    workspace = ws.Workspace(
        entity=entity,
        project=project,
        name=title,
        sections=[
            ws.Section(
                name=name,
                panels=panels,
                is_open=True,
                layout_settings=ws.SectionLayoutSettings(columns=len(panels), rows=1),
            )
            for name, panels in sections(metric).items()
        ],
        settings=ws.WorkspaceSettings(max_runs=MAX_RUNS),
        runset_settings=ws.RunsetSettings(filters=filters, pinned_columns=columns),
    )
    blocks: list[Any] = []
    for name, panels in sections(metric).items():
        # Runs of no project named are those of the report's own; of one named, W&B would be asked whether there is it.
        runs = wr.Runset(filters=filters)
        blocks += [wr.H2(name), wr.PanelGrid(runsets=[runs], panels=_side_by_side(panels), hide_run_sets=True)]
    table = wr.Runset(
        filters=filters,
        groupby=[f"config.{key}" for key in ("cell", "num_layers", "bidirectional")],
        visible_columns=columns,
        lock_columns=True,
    )
    blocks += [wr.H2("Runs"), wr.PanelGrid(runsets=[table])]
    return Dashboard(workspace, wr.Report(entity=entity, project=project, title=title, blocks=blocks, width="fluid"))


def sections(metric: str) -> dict[str, list[Any]]:
    return {
        "By cell": [learning_curves(metric), bars(metric)],
        "What it costs": costs(metric),
        "All choices at once": [parallel_coordinates(metric)],
    }


def learning_curves(metric: str) -> wr.LinePlot:
    return wr.LinePlot(
        title=f"val/{metric} by epoch, mean and standard deviation",
        x="epoch",
        y=[f"val/{metric}"],
        groupby=wr.Config("cell"),
        groupby_aggfunc="mean",
        groupby_rangefunc="stddev",
        max_runs_to_show=MAX_RUNS,
    )


def bars(metric: str) -> wr.BarPlot:
    return wr.BarPlot(
        title=f"test/{metric}, mean and standard deviation",
        metrics=[f"test/{metric}"],
        groupby=wr.Config("cell"),
        groupby_aggfunc="mean",
        groupby_rangefunc="stddev",
        max_runs_to_show=MAX_RUNS,
    )


def costs(metric: str) -> list[wr.ScatterPlot]:
    """The test metric of every run against what the run took."""
    return [
        wr.ScatterPlot(title=f"test/{metric} by {name}", x=cost, y=wr.SummaryMetric(f"test/{metric}"), log_x=True)
        for name, cost in {
            "number of parameters": wr.Config("num_parameters"),
            "seconds of training": wr.SummaryMetric("timing.fit_seconds"),
            "peak memory in bytes": wr.SummaryMetric("peak_memory_bytes"),
        }.items()
    ]


def parallel_coordinates(metric: str) -> wr.ParallelCoordinatesPlot:
    axes = [*map(wr.Config, AXES), wr.SummaryMetric(f"test/{metric}")]
    return wr.ParallelCoordinatesPlot(
        title=f"test/{metric}", columns=[wr.ParallelCoordinatesPlotColumn(metric=axis) for axis in axes]
    )


def _side_by_side(panels: list[Any]) -> list[Any]:
    """The same panels in one row of a report, which is 24 units wide."""
    width = 24 // len(panels)
    for index, panel in enumerate(panels):
        panel.layout = wr.Layout(x=index * width, y=0, w=width, h=9)
    return panels
