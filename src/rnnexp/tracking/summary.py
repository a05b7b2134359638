"""What a person reads at the start and at the end of a run."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group
from rich.panel import Panel
from rich.table import Table

GROUPS = ("/acc_class/", "_length/", "_phenomenon/", "_distance/")


def start_panel(title: str, facts: Mapping[str, str]) -> Panel:
    """One compact panel: what runs, on what."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold")
    grid.add_column(overflow="fold")  # the path of a run must be whole
    for name, fact in facts.items():
        grid.add_row(name, fact)
    return Panel(grid, title=title, title_align="left", expand=False)


def result_table(result: Mapping[str, Any]) -> Group:
    """The metrics of a result and its times."""
    table = _metric_table(result["metrics"])
    for name, seconds in result["timing"].items():
        if name.endswith("_seconds") and seconds is not None:
            table.add_row(name, f"{seconds:.1f}")
    return Group(f"{result['name']}, seed {result['seed']}", table)


def evaluation_table(evaluation: Mapping[str, Any]) -> Group:
    """The metrics of a finished run, scored anew."""
    data = evaluation["data"]
    title = f"{evaluation['name']}, {evaluation['weights']}, on {evaluation['num_test_samples']:,} of {data['name']}"
    # Above the table, not as its title: that would be folded to the table's width.
    return Group(title, _metric_table(evaluation["metrics"]))


def _metric_table(metrics: Mapping[str, float]) -> Table:
    table = Table()
    table.add_column("metric")
    table.add_column("value", justify="right")
    for name, value in sorted(metrics.items()):
        # Ten classes, or twenty groups of sentences, would hide what matters; result.json has them.
        if not any(group in name for group in GROUPS):
            table.add_row(name, _shown(name, value))
    return table


def _shown(name: str, value: float) -> str:
    if name.endswith("_per_second"):
        return f"{value:,.0f}"
    # A learning rate has often no digit left after four.
    return f"{value:.4f}" if value == 0 or abs(value) >= 0.01 else f"{value:.3g}"
