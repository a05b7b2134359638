"""The list of all runs of a group, with their commands."""

from pathlib import Path

from rnnexp.report.records.groups import ComparisonGroup
from rnnexp.report.render.document import Table
from rnnexp.report.tables import NOTHING, relative_to


def runs_table(group: ComparisonGroup, root: Path) -> Table:
    """Return a row for every run of a group, with the command that trains it once more.

    Args:
        group: the group.
        root: the directory to which the shown paths are relative.
    """
    rows, anchors, kinds = [], [], []
    for setting in group.settings:
        for run in setting.runs:
            value = run.metric(group.main.name)
            score = NOTHING if value is None else group.main.show(group.main.scale * value)
            row = [relative_to(root, run.path), setting.label, run.seed, run.status, score, run.since or NOTHING]
            rows.append([*row, run.command or NOTHING])
            anchors.append(run.anchor)
            kinds.append("bad" if run.status.is_failure else "")
    columns = ["run", "setting", "seed", "status", group.main.title, "since", "command"]
    return Table(columns, rows, frozenset({group.main.title}), kinds, anchors=anchors)
