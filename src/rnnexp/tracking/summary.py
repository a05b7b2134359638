"""The panel at the start of a run, and the table at its end."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from rnnexp.core.printable import shown


def plain(text: str) -> Text:
    """Return a text for a table as it is: without secrets, control characters and rich's markup."""
    return Text(shown(text))


def start_panel(title: str, facts: Mapping[str, str]) -> Panel:
    """Return a compact panel with the name and value of each fact about a run."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold")
    grid.add_column(overflow="fold")  # show the path of a run completely
    for name, fact in facts.items():
        grid.add_row(name, plain(fact))
    return Panel(grid, title=plain(title), title_align="left", expand=False)


def result_table(result: Mapping[str, Any]) -> Group:
    """Return the metrics and the times of a result."""
    table = _metric_table(result["metrics"])
    for name, seconds in result["timing"].items():
        if name.endswith("_seconds") and seconds is not None:
            table.add_row(name, f"{seconds:.1f}")
    return Group(plain(f"{result['name']}, seed {result['seed']}"), table)


def evaluation_table(evaluation: Mapping[str, Any]) -> Group:
    """Return the metrics of an evaluation of a finished run."""
    data = evaluation["data"]
    title = f"{evaluation['name']}, {evaluation['weights']}, on {evaluation['num_test_samples']:,} of {data['name']}"
    # A line above the table: rich wraps the title of a table at the width of the table.
    return Group(plain(title), _metric_table(evaluation["metrics"]))


def _metric_table(metrics: Mapping[str, float]) -> Table:
    table = Table()
    table.add_column("metric")
    table.add_column("value", justify="right")
    members = Counter(group for name in metrics if (group := _group_of(name)))
    for name, value in sorted(metrics.items()):
        # Metrics of single classes or groups of sentences would hide the others; result.json has them.
        if members[_group_of(name)] <= 1:
            table.add_row(plain(name), f"{value:,.0f}" if name.endswith("_per_second") else format_number(value))
    return table


def _group_of(name: str) -> str:
    """Return `test/acc_class` for `test/acc_class/7`, a metric of a part of the samples; empty for other names."""
    return name.rpartition("/")[0] if name.count("/") > 1 else ""


def format_number(value: float) -> str:
    """Return a number with four digits after the point, or three significant ones if it is small."""
    # Four decimals show few digits of a small value, such as a learning rate.
    return f"{value:.4f}" if value == 0 or abs(value) >= 0.01 else f"{value:.3g}"
