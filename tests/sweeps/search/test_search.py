"""A search over real runs: trials run as jobs, and the study gets their results."""

import re
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.trial import TrialState

from hydra_plugins.rnnexp.sweeper import SAMPLERS
from rnnexp.core.errors import UserError
from rnnexp.core.files.atomic import read_json
from rnnexp.sweeps.jobs import Job
from rnnexp.sweeps.search import study as study_module
from rnnexp.sweeps.search.pruning import Pruning
from rnnexp.sweeps.search.search import Search
from rnnexp.sweeps.search.space import corners, distributions, num_points, split
from rnnexp.sweeps.search.storage import open_storage
from rnnexp.sweeps.search.study import SearchSettings, Study, open_study
from rnnexp.sweeps.sweep import JobOutcome, Points, SweepSettings
from rnnexp.tracking.status import Status
from support.cells import MODELS
from support.programs import Run, run_directories
from support.sweeps import BARE, FAULT, SEARCH, start, uninstall, wait_for

GRID = [*SEARCH, "hydra/sweeper/sampler=grid"]
BAD_OR_GOOD = "optimizer.lr=0.00001,0.03"
PRUNE_BAD = ["hydra/sweeper/pruner=threshold", "hydra.sweeper.pruner.lower=0.5"]


def load(storage: Path) -> optuna.Study:
    """Return the study that a search keeps in a file or in the directory of its sweep."""
    place = storage / "study" / "journal.log" if storage.is_dir() else storage
    return optuna.load_study(study_name="train", storage=open_storage(str(place)))


def states(storage: Path) -> Counter[str]:
    return Counter(trial.state.name for trial in load(storage).trials)


def test_finds_the_best_and_stops_at_the_end_of_a_grid(run: Run, tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    asked = [*GRID, f"sweep_dir={sweep}", BAD_OR_GOOD, *BARE, "-m"]
    outcome = run(*asked)
    assert outcome.exit_code == 0, outcome.stderr
    assert load(sweep).best_value > 0.5
    best = next(path for path in outcome.directories if "optimizer.lr-0.03" in path.name)
    assert f"best of 2 trials: val/acc_best {load(sweep).best_value:.6g} with optimizer.lr=0.03 in {best}" in (
        outcome.stdout.splitlines()
    )
    written = yaml.safe_load((sweep / "optimization_results.yaml").read_text(encoding="utf-8"))
    assert written["name"] == "optuna"
    assert written["best_params"] == {"optimizer.lr": 0.03}
    assert written["best_value"] == read_json(best / "result.json")["metrics"]["val/acc_best"]
    numbers = {
        yaml.safe_load((path / "config.yaml").read_text(encoding="utf-8"))["trial_number"]
        for path in outcome.directories
    }
    assert numbers == {0, 1}
    assert all(re.match(r"trial_number-[01]_optimizer\.lr-", path.name) for path in outcome.directories)

    again = run(*asked)
    assert again.exit_code == 0
    assert [line.partition(":")[0] for line in again.stdout.splitlines()] == ["best of 2 trials"], (
        "no other line is printed"
    )
    moved = tmp_path / "moved"
    sweep.rename(moved)
    outcome = run(*GRID, f"sweep_dir={moved}", BAD_OR_GOOD, *BARE, "-m")
    assert outcome.stdout.splitlines()[-1].endswith(f" in {moved / 'jobs' / best.name}")
    moved.rename(sweep)
    by_chance = [*SEARCH, "hydra/sweeper/sampler=random", "hydra.sweeper.n_trials=3", *asked[len(GRID) :]]
    assert "1 job, 0 to run" in run(*by_chance).stdout, "the same experiment as another trial is not run again"
    assert states(sweep) == {"COMPLETE": 3}


def test_a_failed_trial_does_not_end_the_search(run: Run, tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    asked = [*GRID, f"sweep_dir={sweep}", "seed=1,2,3", *BARE]
    outcome = run(*asked, FAULT % "1:raise,2:diverge", "-m")
    assert outcome.exit_code == 1
    assert outcome.line == f"rnnexp: 1 failed of 3 trials, see output.log in {sweep}/jobs"
    assert "best of 3 trials" in outcome.stdout
    trials = {trial.user_attrs["status"]: trial.state for trial in load(sweep).trials}
    assert trials == {"done": TrialState.COMPLETE, "failed": TrialState.FAIL, "diverged": TrialState.PRUNED}
    assert run(*asked, "-m").exit_code == 0, "what failed has ended"
    assert len(load(sweep).trials) == 3, "three points in batches of two"


def test_a_search_that_stopped_at_a_failure_continues_with_the_rest(run: Run, tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    asked = [*GRID, f"sweep_dir={sweep}", "seed=1,2", *BARE, "hydra.launcher.jobs=1"]
    outcome = run(*asked, FAULT % "1:raise,2:raise", "hydra.launcher.on_error=stop", "-m")
    assert outcome.exit_code == 1
    assert outcome.line == (
        f"rnnexp: 1 failed and 1 waiting of 2 trials, see output.log in {sweep}/jobs; the same command with "
        f"sweep_dir={sweep} continues"
    )
    assert states(sweep) == {"FAIL": 1, "RUNNING": 1}
    assert "of other processes" not in outcome.stdout
    assert run(*asked, "-m").exit_code == 0
    assert states(sweep)["COMPLETE"] >= 1
    assert not states(sweep)["RUNNING"]


def test_pruning_ends_worse_trials(run: Run, tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    asked = [f"sweep_dir={sweep}", BAD_OR_GOOD, *BARE, "callbacks=pruning", *PRUNE_BAD, "trainer.max_epochs=2", "-m"]
    outcome = run(*GRID, *asked)
    assert outcome.exit_code == 0, outcome.stderr
    status = {
        path.name.partition("lr-")[2].split("_")[0]: read_json(path / "status.json") for path in outcome.directories
    }
    assert {lr: record["status"] for lr, record in status.items()} == {"1e-05": "pruned", "0.03": "done"}
    assert re.fullmatch(r"pruned after epoch 1: other trials are better than val/acc 0\.\d+", status["1e-05"]["reason"])
    assert states(sweep) == {"COMPLETE": 1, "PRUNED": 1}
    assert {len(trial.intermediate_values) for trial in load(sweep).trials} == {1, 2}
    more = run(*SEARCH, "hydra/sweeper/sampler=random", "hydra.sweeper.n_trials=4", *asked)
    assert " to run" in more.stdout
    assert not re.search(r"[1-9] to run", more.stdout), "pruned is final"


def test_pruning_is_for_searches(run: Run) -> None:
    line = "rnnexp: callbacks: pruning ends trials of a search: add -m hydra/sweeper=optuna, or leave it out"
    assert run("callbacks=pruning").line == line


def test_a_search_whose_trials_all_fail_ends(run: Run, tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    asked = [*GRID, f"sweep_dir={sweep}", "seed=1,2,3,4,5,6", *BARE]
    outcome = run(*asked, "+callbacks.mine={_target_:support.probing_callbacks.Bug}", "-m")
    assert outcome.exit_code == 1
    assert outcome.line == f"rnnexp: 4 failed of 4 trials, see output.log in {sweep}/jobs"
    again = run(*asked, "hydra.sweeper.n_trials=4", "-m")
    assert again.exit_code == 2
    assert again.line.startswith("rnnexp: all hydra.sweeper.n_trials=4 trials have failed: see output.log ")


def test_pruning_with_another_direction_makes_no_trial(run: Run, tmp_path: Path) -> None:
    asked = [f"sweep_dir={tmp_path}/sweep", BAD_OR_GOOD, "callbacks=pruning", "optimized_metric=val/loss", "-m"]
    outcome = run("hydra/sweeper=optuna", "hydra.sweeper.direction=minimize", *asked)
    assert outcome.exit_code == 2
    assert outcome.line.startswith("rnnexp: callbacks: the pruner needs a metric to minimize ")
    assert not (tmp_path / "sweep" / "study").exists()


def test_two_searches_create_the_tables_of_one_database(tmp_path: Path) -> None:
    place = f"sqlite:///{tmp_path}/studies.db"
    code = f"from rnnexp.sweeps.search.storage import open_storage; open_storage({place!r}).get_all_studies()"
    makers = [subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True) for _ in range(4)]
    assert [(maker.communicate()[1], maker.returncode) for maker in makers] == [("", 0)] * 4


def test_a_metric_that_is_not_measured(run: Run, tmp_path: Path) -> None:
    asked = [*GRID, f"sweep_dir={tmp_path}/sweep", BAD_OR_GOOD, *BARE, "hydra.sweeper.n_trials=2"]
    outcome = run(*asked, "optimized_metric=val/acc_bst", "-m")
    assert outcome.exit_code == 2
    assert "optimized_metric=val/acc_bst is not measured: " in outcome.line
    assert outcome.line.endswith("val/acc, val/acc_best, val/loss, val/macro_f1; did you mean 'val/acc_best'?")
    mended = run(*asked, "-m")
    assert mended.exit_code == 0
    assert "2 jobs, 0 to run" in mended.stdout
    assert states(tmp_path / "sweep") == {"COMPLETE": 2}


def test_a_dry_run_lists_the_first_trials_and_makes_no_study(run: Run, tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    outcome = run(*SEARCH, f"sweep_dir={sweep}", "optimizer.lr=interval(0.1,0.2)", "dry_run=true", "-m")
    assert outcome.exit_code == 0, outcome.stderr
    assert len(re.findall(r"^trial_number=[01] optimizer\.lr=0\.1\d+ .*to run", outcome.stdout, re.MULTILINE)) == 2
    assert not sweep.exists()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["optimized_metric=null"], "a search needs optimized_metric=, a metric of result.json: val/acc_best, or "),
        (["optimized_metric=val/acc_average"], "val/acc_average is measured with test_weights=average alone: set it"),
        (["hydra.sweeper.direction=null"], "unknown hydra.sweeper.direction 'None': choose one of maximize, minimize"),
        (["hydra.sweeper.direction=maximise"], "; did you mean 'maximize'?"),
        (["hydra.sweeper.n_trials=0"], "hydra.sweeper.n_trials must be a whole number of at least 1, not 0"),
        (["hydra.sweeper.n_jobs=0"], "hydra.sweeper.n_jobs must be a whole number of at least 1, not 0"),
        (["hydra.sweeper.sampler.seed=one"], "hydra.sweeper.sampler.seed must be a whole number or null, not 'one'"),
        (["hydra.sweeper.storage=null"], "hydra.sweeper.storage must be the name of a file or the URL of a database"),
        (["hydra.sweeper.storage=5"], "hydra.sweeper.storage must be the name of a file or the URL of a database, n"),
        (["hydra.sweeper.storage=mysqli://host/db"], "hydra.sweeper.storage cannot be used: Can't load plugin: "),
        (
            ["hydra.sweeper.study_name=null"],
            "hydra.sweeper.study_name must be the name of a study in the storage, not N",
        ),
        (["hydra/launcher=basic"], "hydra/launcher=basic does not return the metrics of its jobs"),
        (["optimizer.lr=0.1"], "the search space is empty: give a key some values, "),
        (["model=glob(*)"], "model=glob(*): a search supports choice(), range() and interval(), but not glob(): list"),
        (["optimizer.lr=tag(lgo,interval(1,2))"], ": a search supports only the tag log, not lgo"),
        (["optimizer.lr=tag(log,interval(0,1))"], "optimizer.lr=tag(log,interval(0,1)): "),
        (["model=tag(log,choice(gru,lstm))"], "the tag log is for ranges and intervals"),
        (["seed=range(3,3)"], "seed=range(3,3): the range is empty"),
        (["hydra/sweeper/sampler=tpo"], "did you mean 'tpe'?"),
        (["hydra/sweeper/sampler=grid"], "sampler=grid: optimizer.lr is continuous: give it a range()"),
        (["model=gru,lsmt"], f"unknown model 'lsmt': choose one of {MODELS}; did you mean 'lstm'?"),
        (["model.hiden_size=1,2"], "unknown key 'hiden_size' in model"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_bad_search_is_a_one_line_error(run: Run, tmp_path: Path, wrong: list[str], message: str) -> None:
    axis = [] if "optimizer.lr" in wrong[0] else ["optimizer.lr=interval(0.1,1)"]
    outcome = run(*SEARCH, f"sweep_dir={tmp_path}/sweep", *axis, *wrong, "-m")
    assert outcome.exit_code == 2
    assert message in outcome.line
    assert outcome.directories == []
    assert not list(tmp_path.glob("sweep/study/journal.log")), "no trial that would count"


@pytest.mark.parametrize(
    "place",
    [
        "postgresql://me:S3cret@host/db",
        "postgresql+psycopg://me:S3cret%40@host:5432/db",
        "postgresql://me@host/db?password=S3cret",
        "postgresql://me:S3cret@host:port/db",
        "post gres://me:S3cret@host/db",
        "sqlite://:S3cret@/db",
    ],
)
def test_a_password_in_a_url_is_refused_and_neither_shown_nor_recorded(run: Run, tmp_path: Path, place: str) -> None:
    asked = ["optimizer.lr=interval(0.1,1)", f"sweep_dir={tmp_path}/sweep", "-m"]
    outcome = run(*SEARCH, f"hydra.sweeper.storage='{place}'", *asked)
    assert outcome.exit_code == 2
    assert outcome.line.startswith("rnnexp: hydra.sweeper.storage ")
    assert "S3cret" not in outcome.stdout + outcome.stderr
    assert not [file for file in tmp_path.rglob("*") if file.is_file() and b"S3cret" in file.read_bytes()]
    outcome = run("callbacks=pruning", f"callbacks.pruning.storage='{place}'", "+callbacks.pruning.trial_number=0")
    assert outcome.exit_code == 2
    assert "S3cret" not in outcome.stdout + outcome.stderr


def test_without_optuna_the_extra_is_named(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uninstall(monkeypatch, "optuna")
    outcome = run(*SEARCH, f"sweep_dir={tmp_path}/sweep", BAD_OR_GOOD, "-m")
    assert outcome.exit_code == 2
    assert outcome.line.startswith("rnnexp: a search needs optuna, ")


def test_hydra_starts_without_it(tmp_path: Path) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "rnnexp.train", *SEARCH, "--cfg", "hydra"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    modules = set(re.findall(r"\| +([\w.]+)$", done.stderr, re.MULTILINE))
    assert "hydra_plugins.rnnexp.sweeper.OptunaSweeper" in done.stdout
    assert not {module.partition(".")[0] for module in modules} & {"torch", "optuna", "sqlalchemy", "numpy"}


def settings(storage: Path | str, **changed: Any) -> SearchSettings:
    sampler, pruner = {"_target_": "optuna.samplers.TPESampler", "seed": 1}, {"_target_": "optuna.pruners.NopPruner"}
    given = {"direction": "maximize", "storage": str(storage), "study_name": "train", "n_trials": 20, "n_jobs": 2}
    return SearchSettings(**{"sampler": sampler, "pruner": pruner, **given, **changed})


def open_test_study(chosen: SearchSettings, metric: str, axes: dict[str, Any]) -> Study:
    return open_study(chosen, metric, axes, owner="me", fixed="")


def space(*overrides: str) -> dict[str, Any]:
    return distributions(split(OverridesParser.create().parse_overrides(list(overrides)))[0])


def test_a_seeded_search_is_repeatable_also_if_it_is_continued(tmp_path: Path) -> None:
    axes = space("optimizer.lr=tag(log,interval(1e-4,1e-1))", "model=gru,lstm")

    def ask(name: str, **changed: Any) -> list[dict[str, Any]]:
        study = open_test_study(settings(tmp_path / name, **changed), "val/acc_best", axes).study
        return [study.ask(axes).params for _ in range(3)]

    first = ask("a")
    assert ask("b") == first
    assert ask("c", sampler={"_target_": "optuna.samplers.TPESampler", "seed": 2}) != first
    assert not [params for params in ask("a") if params in first]


@pytest.mark.parametrize("place", ["study.log", "sqlite:///{}/study.db"])
def test_a_trial_of_a_process_that_died_is_taken_over(tmp_path: Path, place: str) -> None:
    storage: Any = place.format(tmp_path) if "://" in place else tmp_path / place
    chosen = settings(storage, n_trials=2, n_jobs=2)
    dead = open_study(chosen, "val/acc", space("optimizer.lr=interval(0.1,1)"), owner="another", fixed="")
    lost, alive = dead.ask_for_missing()
    mine = open_test_study(chosen, "val/acc", space("optimizer.lr=interval(0.1,1)"))
    assert mine.unfinished_trials() == []
    assert mine.ask_for_missing() == [], "trials that others run count"
    lost.set_user_attr("heartbeat", 0.0)
    (taken,) = mine.unfinished_trials()
    assert (taken.number, taken.params) == (lost.number, lost.params)
    assert [trial.number for trial in mine.unfinished_trials()] == [lost.number], "it is claimed"
    mine.tell(taken, JobOutcome(Status.DONE, tmp_path, value=0.75))
    dead.tell(lost, JobOutcome(Status.DONE, tmp_path / "late", value=0.25))
    dead.tell(alive, JobOutcome(Status.DONE, tmp_path, value=0.5))
    trials = {trial.number: trial for trial in mine.study.get_trials()}
    assert trials[lost.number].value == 0.75, "the process that wakes up changes nothing"
    assert trials[lost.number].user_attrs["run_directory"] == str(tmp_path)


def test_trials_left_running_come_in_batches_and_first_those_of_this_search(tmp_path: Path) -> None:
    axes = space("optimizer.lr=interval(0.1,1)")
    chosen = settings(tmp_path / "study.log", n_trials=5, n_jobs=5)
    asked = open_study(chosen, "val/acc", axes, owner="another", fixed="").ask_for_missing()
    for trial, owner in zip(asked, ("another", "another", "me", "another", "me"), strict=True):
        trial.set_user_attr("owner", owner)
        trial.set_user_attr("heartbeat", 0.0)

    def unfinished(owner: str) -> list[int]:
        study = open_study(replace(chosen, n_jobs=1), "val/acc", axes, owner, fixed="")
        return [trial.number for trial in study.unfinished_trials()]

    assert unfinished("me") == [2]
    assert unfinished("me") == [2], "until it has ended"
    assert unfinished("another") == [0]
    assert unfinished("third") == [1], "those of the others have a heartbeat again"
    both = open_study(replace(chosen, n_jobs=3), "val/acc", axes, owner="me", fixed="")
    assert [trial.number for trial in both.unfinished_trials()] == [2, 4, 3]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs the list of open files of Linux")
def test_a_database_is_not_kept_open(tmp_path: Path) -> None:
    study = open_test_study(
        settings(f"sqlite:///{tmp_path}/study.db", n_trials=1), "val/acc", space("optimizer.lr=interval(0.1,1)")
    )
    (trial,) = study.ask_for_missing()
    study.tell(trial, JobOutcome(Status.DONE, tmp_path, value=0.5))
    opened = [str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    assert opened
    assert (tmp_path / "study.db").is_file()
    assert not [file for file in opened if file.startswith(str(tmp_path))]


def test_a_search_records_that_it_runs_its_trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study_module, "HEARTBEAT_SECONDS", 0.01)
    study = open_test_study(settings(tmp_path / "study.log"), "val/acc", space("optimizer.lr=interval(0.1,1)"))
    trials = study.ask_for_missing()
    before = trials[0].user_attrs["heartbeat"]
    with study.heartbeat(trials):
        wait_for(lambda: study.study.get_trials()[0].user_attrs["heartbeat"] > before)


def test_a_study_of_another_search_is_refused(tmp_path: Path) -> None:
    axes = space("optimizer.lr=interval(0,1)", "model=gru,lstm")
    study = open_test_study(settings(tmp_path / "study"), "val/acc_best", axes).study
    study.tell(study.ask(axes), 0.5)
    for changed, metric, there in (
        ({"direction": "minimize"}, "val/acc_best", axes),
        ({}, "val/loss", axes),
        ({}, "val/acc_best", space("model=gru,srn")),
    ):
        with pytest.raises(UserError, match=r"the study 'train' .* name another with hydra\.sweeper\.study_name="):
            open_test_study(settings(tmp_path / "study", **changed), metric, there)
    open_test_study(settings(tmp_path / "study"), "val/acc_best", space("optimizer.lr=interval(0,2)"))


def test_a_study_with_other_fixed_settings_is_refused(run: Run, tmp_path: Path) -> None:
    asked = [*GRID, f"sweep_dir={tmp_path}/sweep", *BARE, "-m"]
    assert run(*asked, "model=gru", "model.hidden_size=4,8").exit_code == 0
    for other in (["model=srn", "model.hidden_size=4,8"], ["model=gru", "model.hidden_size=4", "model.num_layers=1,2"]):
        refused = run(*asked, *other)
        assert refused.exit_code == 2
        assert "the study 'train' has trials with other settings outside its space: name another with " in refused.line
    again = run(*asked, "model=gru", "model.hidden_size=4,8", "data.eval_batch_size=7")
    assert again.exit_code == 0, "the results are the same"
    assert states(tmp_path / "sweep") == {"COMPLETE": 2}


def test_trials_of_other_processes_that_still_run_are_said(run: Run, tmp_path: Path) -> None:
    asked = [*GRID, f"sweep_dir={tmp_path}/sweep", "model.hidden_size=4,8", *BARE, "-m"]
    assert "still run" not in run(*asked).stdout
    trial = load(tmp_path / "sweep").ask(space("model.hidden_size=4,8"))
    trial.set_user_attr("owner", "another")
    trial.set_user_attr("heartbeat", time.time())
    said = "1 of other processes still run: the same command shows the result when they have ended"
    assert said in run(*asked).stdout


def test_what_the_pruner_of_another_study_ended_is_run(run: Run, tmp_path: Path) -> None:
    asked = [*GRID, f"sweep_dir={tmp_path}/sweep", "model.hidden_size=4,8", *BARE, "-m"]
    prune_all = ["callbacks=pruning", PRUNE_BAD[0], "hydra.sweeper.pruner.lower=2"]
    assert "2 pruned" in run(*asked, *prune_all).stdout
    assert "to run" not in run(*asked, *prune_all).stdout, "the same study has its result"
    assert "2 to run" in run(*asked, "hydra.sweeper.study_name=other").stdout
    assert states(tmp_path / "sweep") == {"PRUNED": 2}


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_every_sampler_continues_from_its_earlier_trials(name: str, tmp_path: Path) -> None:
    axes = space("optimizer.lr=range(0.01,0.1,0.01)", "model.hidden_size=range(1,9)")
    sampler = {"_target_": f"optuna.samplers.{SAMPLERS[name]}", "seed": 1}
    study = open_test_study(settings(tmp_path / "study", sampler=sampler), "val/acc_best", axes).study
    for _ in range(12):
        trial = study.ask(axes)
        study.tell(trial, trial.params["optimizer.lr"])
    assert len({tuple(trial.params.values()) for trial in study.trials}) > 6


class EndingLauncher:
    """A launcher whose jobs all end with the same status."""

    def __init__(self, status: Status) -> None:
        self.status, self.batches = status, list[Points]()

    def check(self, points: Points) -> list[Job]:  # noqa: ARG002
        return []

    def run_batch(self, points: Points) -> list[JobOutcome]:
        self.batches.append(points)
        return [JobOutcome(self.status, Path("run")) for _ in points]


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (Status.FAILED, TrialState.FAIL),
        (Status.UNSUPPORTED, TrialState.FAIL),
        (Status.DIVERGED, TrialState.PRUNED),
        (Status.PRUNED, TrialState.PRUNED),
        (Status.INTERRUPTED, TrialState.RUNNING),
        (Status.WAITING, TrialState.RUNNING),
    ],
)
def test_a_study_records_the_status_of_each_job(tmp_path: Path, status: Status, state: TrialState) -> None:
    chosen = settings(tmp_path / "study", n_trials=2)
    overrides = OverridesParser.create().parse_overrides(["model=gru,lstm", "seed=3"])
    launcher = EndingLauncher(status)
    sweep = SweepSettings(tmp_path / "sweep", "train", optimized_metric="val/acc_best")
    search = Search(chosen, sweep, overrides, launcher)
    study = open_test_study(chosen, "val/acc_best", search.space)
    assert search.run_trials(study) == {status: 2}
    assert [trial.state for trial in study.study.trials] == [state] * 2
    ((first, second),) = launcher.batches
    assert (first[:2], second[:2]) == (["seed=3", "trial_number=0"], ["seed=3", "trial_number=1"])


def pruning(storage: Path, **changed: Any) -> Pruning:
    given = {"monitor": "val/acc", "mode": "max", "trial_number": 0, "storage": str(storage), "study_name": "train"}
    return Pruning(**{**given, "pruner": None, **changed})


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"trial_number": 1}, r"the study 'train' has no trial 1: a search sets trial_number= itself"),
        ({"trial_number": -1}, r"the study 'train' has no trial -1"),
        ({"study_name": "other"}, r"study does not contain the study 'other' of this trial"),
        (
            {"monitor": "val/loss", "mode": "min"},
            r"the pruner needs a metric to maximize like the study, but the mode of val/loss is min: set "
            r"callbacks\.pruning\.monitor= and callbacks\.pruning\.mode=",
        ),
    ],
    ids=str,
)
def test_pruning_of_another_metric_is_refused(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    axes = space("optimizer.lr=interval(0,1)")
    open_test_study(settings(tmp_path / "study"), "val/acc_best", axes).study.ask(axes)
    assert pruning(tmp_path / "study").trial.number == 0
    with pytest.raises(ValueError, match=r"unknown callbacks\.pruning\.mode 'm': choose one of max, min"):
        pruning(tmp_path / "study", mode="m")
    with pytest.raises(UserError, match=message):
        pruning(tmp_path / "study", **changed)


def test_a_damaged_study_is_a_one_line_error(tmp_path: Path) -> None:
    journal = tmp_path / "journal.log"
    for content in ('not json\n{"op_code": 0}\n', '{"worker_id": "other"}\n'):
        journal.write_text(content, encoding="utf-8")
        with pytest.raises(UserError, match=r"log is not a journal of Optuna, or is damaged \(.*: name another"):
            open_storage(str(journal))
    with pytest.raises(UserError, match=r"below cannot be opened: Not a directory; name another"):
        open_storage(str(journal / "further" / "below"))


@pytest.mark.parametrize("prefix", ["cma:", "sepcma:", "cmawm:"])
def test_a_study_with_pickles_is_refused(tmp_path: Path, prefix: str) -> None:
    chosen, axes = settings(tmp_path / "study"), space("optimizer.lr=interval(0.1,1)")
    (trial,) = open_test_study(chosen, "val/acc", axes).ask_for_missing()[:1]
    trial.storage.set_trial_system_attr(trial._trial_id, f"{prefix}optimizer:0", "80")
    with pytest.raises(
        UserError, match=r"a pickle, which executes code .*: name another with hydra.sweeper.study_name"
    ):
        open_test_study(chosen, "val/acc", axes)


def test_a_heartbeat_of_another_kind_is_none(tmp_path: Path) -> None:
    chosen, axes = settings(tmp_path / "study"), space("optimizer.lr=interval(0.1,1)")
    (trial,) = open_study(chosen, "val/acc", axes, owner="another", fixed="").ask_for_missing()[:1]
    trial.set_user_attr("heartbeat", "now")
    assert open_test_study(chosen, "val/acc", axes).unfinished_trials() == []


def test_hydras_grammar_becomes_a_space() -> None:
    parsed = OverridesParser.create().parse_overrides(
        [
            *("a=choice(x,'y z',3)", "b=x,null", "c=range(1,8,2)", "d=range(0.1,0.35,0.1)", "e=int(interval(1,8))"),
            *("f=interval(1,8)", "g=tag(log,interval(1e-4,1e-1))", "h=range(5,0,-1)", "+i=[1,2],[3]"),
            *("seed=1,2", "seed=3", "~logger", "data.download_from=[]", "k='v=w'"),
        ]
    )
    axes, fixed = split(parsed)
    assert fixed == ["seed=3", "~logger", "data.download_from=[]", "k='v=w'"]
    number, whole, choice = (
        optuna.distributions.FloatDistribution,
        optuna.distributions.IntDistribution,
        optuna.distributions.CategoricalDistribution,
    )
    assert distributions(axes) == {
        "a": choice(["x", "y\\ z", "3"]),
        "b": choice(["x", "null"]),
        "c": whole(1, 7, step=2),
        "d": number(0.1, 0.3, step=0.1),
        "e": whole(1, 8),
        "f": number(1, 8),
        "g": number(1e-4, 1e-1, log=True),
        "h": whole(1, 5),
        "+i": choice(["[1,2]", "[3]"]),
    }


def test_corners_contain_every_choice_and_a_grid_is_counted() -> None:
    axes = space("model=gru,lstm,srn", "seed=1,2", "optimizer.lr=range(0.1,0.35,0.1)", "model.num_layers=range(1,8,2)")
    assert corners(axes) == [
        {"model": model, "seed": seed, "optimizer.lr": rate, "model.num_layers": layers}
        for model, seed, rate, layers in (("gru", "1", 0.1, 1), ("lstm", "2", 0.3, 7), ("srn", "1", 0.1, 1))
    ]
    assert num_points(axes) == 3 * 2 * 3 * 4


def test_a_value_that_no_config_accepts_is_found_before_the_first_trial(run: Run, tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    outcome = run(*SEARCH, f"sweep_dir={sweep}", *BARE, "model.dropout=interval(0.1,1.5)", "-m")
    assert outcome.exit_code == 2
    assert re.search(r"model\.dropout .* 1\.5 \(a search tries both ends of model\.dropout first\)$", outcome.line)
    assert not (sweep / "study").exists()


def test_a_trial_that_cannot_run_fails_and_the_next_command_goes_on(run: Run, tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    # Each value is accepted with another one, so that only the combination is not.
    axes = ["model.zoneout=0.0,0.1", "model.backend=fused,reference"]
    asked = [*GRID, f"sweep_dir={sweep}", *BARE, *axes, "hydra.sweeper.n_jobs=2", "-m"]
    outcomes = [run(*asked) for _ in range(3)]
    assert sorted(outcome.exit_code for outcome in outcomes) == [0, 0, 2]
    assert "zoneout" in next(outcome.line for outcome in outcomes if outcome.exit_code == 2)
    assert states(sweep) == {"COMPLETE": 3, "FAIL": 1}


@pytest.mark.slow
def test_trials_of_a_killed_search_are_continued(tiny: list[str], run: Run, tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    asked = [*GRID, f"sweep_dir={sweep}", "seed=1,2", *BARE, "hydra.sweeper.n_trials=2"]
    long = ["trainer.max_epochs=2000", "callbacks.early_stopping=null"]
    parent = start(tiny, *asked, *long)
    wait_for(lambda: len(list(sweep.glob("jobs/*/checkpoints/last.ckpt"))) == 2)
    parent.kill()
    parent.communicate()
    wait_for(lambda: [read_json(path)["status"] for path in sweep.glob("jobs/*/status.json")] == ["interrupted"] * 2)
    assert states(sweep) == {"RUNNING": 2}
    stop = "+callbacks.stop={_target_:support.probing_callbacks.StopAfterEpoch}"
    outcome = run(*asked, *long, stop, "-m")
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.stdout.count(", continued") == 2
    assert states(sweep) == {"COMPLETE": 2}


@pytest.mark.slow
def test_two_processes_search_one_study(tiny: list[str], tmp_path: Path) -> None:
    shared = tmp_path / "shared.log"
    asked = [*SEARCH, f"hydra.sweeper.storage={shared}", "hydra.sweeper.n_trials=6", "hydra.sweeper.n_jobs=1", *BARE]
    places = [tmp_path / "a", tmp_path / "b"]
    axis = "optimizer.lr=tag(log,interval(1e-3,1e-1))"
    searches = [start(tiny, *asked, axis, f"sweep_dir={place}") for place in places]
    for process in searches:
        stdout, stderr = process.communicate(timeout=240)
        assert process.returncode == 0, stdout + stderr
    runs = [run_directories(place) for place in places]
    assert all(runs), "both took part"
    # A process that asks at the same time as another does not see the other's trial.
    assert 6 <= len(load(shared).trials) == sum(map(len, runs)) <= 7
    assert states(shared)["COMPLETE"] == len(load(shared).trials)


@pytest.mark.slow
def test_several_processes_of_one_trial_are_pruned_together(run: Run, tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    outcome = run(
        *(*GRID, f"sweep_dir={sweep}", "optimizer.lr=1e-5,1e-6", *BARE, "callbacks=pruning", *PRUNE_BAD),
        *("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "data.batch_size=25", "-m"),
    )
    assert outcome.exit_code == 0, outcome.stdout + outcome.stderr
    assert states(sweep) == {"PRUNED": 2}
    assert [read_json(path / "status.json")["status"] for path in outcome.directories] == ["pruned"] * 2
    assert "none of 2 trials has a result" in outcome.stdout
