"""The panels of a W&B workspace and of a report over the same runs.

Panels are grouped by keys of the runs' config. The `group` of W&B is the sweep of a run, and is used only as a filter.
"""

from typing import Any, NamedTuple

import wandb_workspaces.reports.v2 as wr
import wandb_workspaces.workspaces as ws
from wandb_workspaces import expr

from rnnexp.dashboard.options import Options

MAX_RUNS = 500
"""The maximum number of runs in a chart; by default W&B shows the newest ten."""
AXES = ("cell", "num_layers", "bidirectional", "precision", "hidden_size")
"""Short keys that are often varied, in the order of the parallel coordinates."""
COLUMNS = (
    *(f"config:{key}.value" for key in ("dataset", *AXES, "num_parameters", "train_budget", "seed")),
    *("summary:timing.fit_seconds", "summary:peak_memory_bytes"),
)


class Views(NamedTuple):
    """Two views of the runs of a project, not yet published."""

    workspace: ws.Workspace
    report: wr.Report


def make_panels(options: Options) -> Views:
    """Return a workspace and a report, without a request to W&B."""
    metric, dataset = options.metric, f" on {options.dataset}" if options.dataset else ""
    title = f"{metric} of {options.sweep or options.project}{dataset}"[:128]
    filters = [expr.Metric("Group") == options.sweep] if options.sweep else []
    filters += [expr.Config("dataset") == options.dataset] if options.dataset else []
    columns = [f"summary:test/{metric}", *COLUMNS]
    # The default entity is known only with an account, see `publish`.
    owner = {"entity": options.entity or "", "project": options.project}
    workspace = ws.Workspace(
        **owner,
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
        # A run set without a project has the runs of the report's project. With one, W&B would be queried for it.
        runs = wr.Runset(filters=filters)
        blocks += [wr.H2(name), wr.PanelGrid(runsets=[runs], panels=_side_by_side(panels), hide_run_sets=True)]
    table = wr.Runset(
        filters=filters,
        groupby=[f"config.{key}" for key in ("cell", "num_layers", "bidirectional")],
        visible_columns=columns,
        lock_columns=True,
    )
    blocks += [wr.H2("Runs"), wr.PanelGrid(runsets=[table])]
    return Views(workspace, wr.Report(**owner, title=title, blocks=blocks, width="fluid"))


def sections(metric: str) -> dict[str, list[Any]]:
    """Return the panels by the title of their section."""
    return {
        "By cell": [learning_curves(metric), bars(metric)],
        "Costs": costs(metric),
        "All axes": [parallel_coordinates(metric)],
    }


def learning_curves(metric: str) -> wr.LinePlot:
    """Return a panel of the validation metric over epochs."""
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
    """Return a panel of the test metric by cell."""
    return wr.BarPlot(
        title=f"test/{metric}, mean and standard deviation",
        metrics=[f"test/{metric}"],
        groupby=wr.Config("cell"),
        groupby_aggfunc="mean",
        groupby_rangefunc="stddev",
        max_runs_to_show=MAX_RUNS,
    )


def costs(metric: str) -> list[wr.ScatterPlot]:
    """Return panels of the test metric of every run against its parameters, its time and its memory."""
    return [
        wr.ScatterPlot(title=f"test/{metric} by {name}", x=cost, y=wr.SummaryMetric(f"test/{metric}"), log_x=True)
        for name, cost in {
            "number of parameters": wr.Config("num_parameters"),
            "seconds of training": wr.SummaryMetric("timing.fit_seconds"),
            "peak memory in bytes (CPU: of the process)": wr.SummaryMetric("peak_memory_bytes"),
        }.items()
    ]


def parallel_coordinates(metric: str) -> wr.ParallelCoordinatesPlot:
    """Return a panel with one line per run over the axes and the test metric."""
    axes = [*map(wr.Config, AXES), wr.SummaryMetric(f"test/{metric}")]
    return wr.ParallelCoordinatesPlot(
        title=f"test/{metric}", columns=[wr.ParallelCoordinatesPlotColumn(metric=axis) for axis in axes]
    )


def _side_by_side(panels: list[Any]) -> list[Any]:
    """Place panels in one row of a report, which is 24 units wide."""
    width = 24 // len(panels)
    for index, panel in enumerate(panels):
        panel.layout = wr.Layout(x=index * width, y=0, w=width, h=9)
    return panels
