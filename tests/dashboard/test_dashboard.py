"""A dashboard shows the keys that runs log, and its specification is written also without W&B."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rnnexp.core.files.atomic import read_json
from support.programs import run_directories
from support.wandb_account import wandb_server, without_account
from support.wandb_file import WandbRun, read_run

pytest.importorskip("wandb_workspaces")

AXES = {"cell", "num_layers", "bidirectional", "precision", "hidden_size"}
Key = tuple[str, str]


@dataclass
class Called:
    process: subprocess.CompletedProcess[str]
    place: Path

    @property
    def specification(self) -> dict[str, Any]:
        (path,) = (self.place / "outputs" / "dashboard").iterdir()
        assert f"written to {path}\n" in self.process.stdout
        return read_json(path)


Call = Callable[..., Called]


@pytest.fixture
def call(tmp_path: Path) -> Call:
    """Run the program without a W&B account unless `account` is given."""

    def run(*arguments: str, account: dict[str, str] | None = None, before: str = "") -> Called:
        environment = without_account(tmp_path / "home") | (account or {})
        code = f"{before}\nimport sys; sys.argv[0] = 'rnnexp'; from rnnexp.dashboard.__main__ import main; main()"
        command = [sys.executable, "-c", code, *arguments]
        return Called(
            subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False),
            tmp_path,
        )

    return run


@pytest.fixture(scope="module", params=["classification", "translation"])
def logged(
    request: pytest.FixtureRequest,
    tiny: list[str],
    translate_tiny: Callable[[str], list[str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[str, WandbRun]:
    """A task, and the W&B run of an experiment on it."""
    place = tmp_path_factory.mktemp("logged")
    small = {
        "classification": tiny,
        "translation": ["task=translation", *translate_tiny("Phrasebook"), "trainer.max_epochs=1"],
    }[request.param]
    command = [sys.executable, "-m", "rnnexp.train", *small, f"paths.outputs_dir={place}", "logger=wandb"]
    subprocess.run(command, cwd=place, env=without_account(place / "home"), capture_output=True, check=True)
    (directory,) = run_directories(place)
    return request.param, read_run(directory)


def flat(node: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Return every key with dots, including keys of nested mappings."""
    for key, value in node.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")


def shown(node: Any) -> Iterator[Key]:  # noqa: C901 (a case for each kind of node)
    """Return the names of logged values in a specification, each with the place where W&B stores it."""
    if isinstance(node, dict):
        if set(node) >= {"section", "name"}:
            yield node["section"], node["name"].replace(".value", "", 1)
        if "groupBy" in node:
            yield "config", node["groupBy"].replace(".value", "", 1)
        for name in node.get("metrics") or []:
            yield "history", name
        for key, value in node.items():
            if key == "xAxis" and ":" not in value and value != "_step":
                yield "history", value
            yield from shown(key)
            yield from shown(value)
    elif isinstance(node, list):
        for item in node:
            yield from shown(item)
    elif isinstance(node, str):
        section, colon, name = node.partition(":")
        if colon and section in ("config", "summary", "run"):
            assert section != "config" or ".value" in name, name
            yield section, name.replace(".value", "", 1)


def test_every_shown_key_is_logged_by_runs(logged: tuple[str, WandbRun], call: Call) -> None:
    task, run = logged
    metric = {"classification": "acc", "translation": "bleu"}[task]
    called = call("project=rnnexp", f"task_name={task}", "sweep=outputs/sweeps/depth/", "dataset=MNIST-rows")
    assert called.process.returncode == 0, called.process.stderr
    history = {name for row in run.history for name in row}
    known = {("history", name) for name in history}
    # W&B's summary holds the last value of every key with a history.
    known |= {("summary", name) for name in [*history, *flat(run.summary)]}
    known |= {("config", name) for name in flat(run.config)}
    for view in called.specification.values():
        named = set(shown(view))
        assert named <= known | {("run", "displayName"), ("run", "createdAt"), ("run", "group")}
        assert named >= {("history", name) for name in ("epoch", f"val/{metric}", f"test/{metric}")}
        assert named >= {("summary", name) for name in (f"test/{metric}", "timing.fit_seconds", "peak_memory_bytes")}
        assert named >= {("config", name) for name in (*AXES, "num_parameters", "dataset", "seed")}


def panels(specification: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    workspace, report = specification["workspace"]["spec"], specification["report"]["spec"]
    grids = [block["metadata"] for block in report["blocks"] if block["type"] == "panel-grid"]
    return {
        "workspace": [p for s in workspace["section"]["panelBankConfig"]["sections"] for p in s["panels"]],
        "report": [panel for grid in grids for panel in grid["panelBankSectionConfig"]["panels"]],
    }


def test_workspace_and_report_have_comparison_panels_grouped_by_the_config(call: Call) -> None:
    specification = call("project=rnnexp").specification
    for found in panels(specification).values():
        kinds = [panel["viewType"] for panel in found]
        assert kinds == [
            "Run History Line Plot",
            "Bar Chart",
            *["Scatter Plot"] * 3,
            "Parallel Coordinates Plot",
        ]
        curves, bars, *scatters, parallel = (panel["config"] for panel in found)
        assert (curves["xAxis"], curves["metrics"], curves["groupBy"]) == ("epoch", ["val/acc"], "cell.value")
        assert (bars["metrics"], bars["groupBy"]) == (["test/acc"], "cell.value")
        assert curves["groupAgg"] == bars["groupAgg"] == "mean"
        assert curves["groupArea"] == bars["groupArea"] == "stddev"
        assert {scatter["yAxis"] for scatter in scatters} == {"summary:test/acc"}
        *axes, target = [column["accessor"] for column in parallel["columns"]]
        assert set(axes) == {f"config:{axis}.value" for axis in AXES}
        assert target == "summary:test/acc"
    *_, table = (b["metadata"] for b in specification["report"]["spec"]["blocks"] if b["type"] == "panel-grid")
    grouping = table["runSets"][0]["grouping"]
    assert [key["name"] for key in grouping] == ["cell.value", "num_layers.value", "bidirectional.value"]
    assert "config:num_parameters.value" in table["runSets"][0]["runFeed"]["columnOrder"]


def test_panels_of_a_report_do_not_overlap(call: Call) -> None:
    blocks = call("project=rnnexp").specification["report"]["spec"]["blocks"]
    for grid in (block["metadata"]["panelBankSectionConfig"] for block in blocks if block["type"] == "panel-grid"):
        cells = [
            (x, y)
            for place in (panel["layout"] for panel in grid["panels"])
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        ]
        assert len(cells) == len(set(cells))
        assert all(x < 24 for x, _ in cells)


def test_a_sweep_and_a_dataset_filter(call: Call) -> None:
    specification = call("project=rnnexp", "sweep=outputs/sweeps/depth", "dataset=Multi30k-en-de").specification
    (runs,) = specification["workspace"]["spec"]["section"]["runSets"]
    filters = {(item["key"]["section"], item["key"]["name"]): item["value"] for item in runs["filters"]["filters"]}
    assert filters == {
        ("run", "group"): "depth",
        ("config", "dataset"): "Multi30k-en-de",
    }
    for block in specification["report"]["spec"]["blocks"]:
        if block["type"] == "panel-grid":
            assert block["metadata"]["runSets"][0]["filters"] == runs["filters"]
    assert specification["report"]["displayName"] == "acc of depth on Multi30k-en-de"


def test_without_an_account_only_the_specification_is_written(call: Call) -> None:
    called = call("project=rnnexp", "entity=my-team")
    assert called.process.returncode == 0
    assert called.process.stderr == ""
    assert called.process.stdout.splitlines()[1] == "W&B: not published, because no W&B account is set up here"
    assert called.specification["workspace"]["entity"] == "my-team"


@pytest.mark.parametrize(("arguments", "entity"), [([], "me"), (["entity=my-team"], "my-team")], ids=["own", "team"])
def test_with_an_account_both_are_saved(call: Call, arguments: list[str], entity: str) -> None:
    """The server accepts any request; how W&B shows the result is not tested."""
    with wandb_server() as server:
        called = call("project=rnnexp", *arguments, account=server.account)
    assert called.process.returncode == 0
    assert "warning" not in called.process.stderr
    assert [(saved["type"], saved["entityName"], saved["projectName"]) for saved in server.saved] == [
        ("project-view", entity, "rnnexp"),
        ("runs", entity, "rnnexp"),
    ]
    for saved, written in zip(server.saved, called.specification.values(), strict=True):
        assert json.loads(saved["spec"]) == written["spec"]
    workspace, report = called.process.stdout.splitlines()[1:]
    assert workspace.startswith(f"W&B: workspace {server.account['WANDB_BASE_URL']}/{entity}/rnnexp?nw=")
    assert report.startswith(f"W&B: report {server.account['WANDB_BASE_URL']}/{entity}/rnnexp/reports/")


def test_a_refusal_is_a_warning(call: Call) -> None:
    with wandb_server(refuses=True) as server:
        called = call("project=rnnexp", account=server.account)
    assert called.process.returncode == 0
    assert server.saved == []
    assert called.specification
    (warning,) = [line for line in called.process.stderr.splitlines() if not line.startswith("wandb:")]
    assert warning.startswith("rnnexp: warning: W&B: workspace and report not published, because ")
    assert "permission denied" in warning


def test_an_unreachable_server_is_not_a_failure(call: Call) -> None:
    with wandb_server() as server:
        account = server.account
    called = call("project=rnnexp", account=account)
    assert called.process.returncode == 0
    assert "W&B: not published, because 127.0.0.1 cannot be reached (" in called.process.stdout
    assert called.specification


def test_a_missing_extra_is_a_one_line_error(call: Call) -> None:
    called = call("project=rnnexp", before="import sys; sys.modules['wandb_workspaces'] = None")
    assert called.process.returncode == 2
    assert called.process.stderr == (
        'rnnexp: a dashboard needs wandb-workspaces, which is not installed: pip install -e ".[dashboard]"\n'
    )
    assert not (called.place / "outputs").exists()


def test_a_project_must_be_named(call: Call) -> None:
    called = call()
    assert called.process.returncode == 2
    assert called.process.stderr == "rnnexp: project has no value: set project=...\n"
