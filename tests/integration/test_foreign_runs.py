"""A run directory of another person executes nothing, writes nothing elsewhere and sends nothing, in any program."""

import functools
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from rnnexp import train
from rnnexp.cli.conf_dir import config_root
from rnnexp.core.errors import UserError
from rnnexp.core.files.atomic import read_json, write_json
from rnnexp.report.records.runs import read_run
from rnnexp.runs.evaluation import load_finished
from rnnexp.runs.frozen.resume import resumed_config, run_to_resume
from rnnexp.sweeps.devices import ResourceRequest
from rnnexp.sweeps.jobs import Job, finalize, load_statuses, prepare_all
from rnnexp.tracking.identity import config_hash
from rnnexp.tracking.run_directory import RunDirectory
from rnnexp.translate.ensemble import load_member
from support.foreign_runs import change_config
from support.mirror import serving
from support.payloads import MODULE, PLACES, make_files, payloads, put
from support.programs import Outcome, Run, call


@pytest.fixture
def foreign(finished: Outcome, tmp_path: Path) -> Path:
    """A copy of a finished run, as it was sent by another person."""
    return Path(shutil.copytree(finished.directory, tmp_path / "foreign"))


@pytest.fixture
def interrupted(foreign: Path) -> Path:
    """The same, of a run that was interrupted before its end."""
    status = read_json(foreign / "status.json")
    write_json(foreign / "status.json", status | {"status": "interrupted", "reason": "a signal"})
    return foreign


def program(place: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a directory, with the modules that lie there."""
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=place,
        input="A cat.\n",
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


@pytest.mark.parametrize(
    ("name", "place", "kind"),
    [
        ("train", "data.transform", "numpy.savetxt"),
        pytest.param("train", "callbacks.mine", "torch.hub", marks=pytest.mark.slow),
        pytest.param("evaluate", "data.transform", "torch.save", marks=pytest.mark.slow),
        pytest.param("evaluate", "model.hidden_size", "torch.load", marks=pytest.mark.slow),
    ],
)
def test_a_program_refuses_a_payload_in_one_line(
    interrupted: Path, tmp_path: Path, name: str, place: str, kind: str
) -> None:
    make_files(tmp_path, tmp_path / "canary")
    payload = payloads(tmp_path, tmp_path / "canary")[kind]
    change_config(interrupted, lambda config: put(config, place, payload))
    key = "resume" if name == "train" else "run"
    done = program(tmp_path, f"rnnexp.{name}", f"{key}={interrupted}")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"rnnexp: {interrupted}/config.yaml: {place}._target_='{payload['_target_']}' is refused: ")
    assert not (tmp_path / "canary").exists()


@pytest.mark.slow
def test_a_cell_beside_the_command_is_not_imported(foreign: Path, tmp_path: Path) -> None:
    make_files(tmp_path, tmp_path / "canary")
    change_config(foreign, lambda config: put(config, "model.cell", f"{MODULE}.run"))
    done = program(tmp_path, "rnnexp.evaluate", f"run={foreign}")
    assert done.returncode == 2
    assert f"model.cell='{MODULE}.run' is refused: " in done.stderr
    assert f"trust=[{MODULE}]" in done.stderr
    assert not (tmp_path / "canary").exists()


@functools.cache
def composed() -> DictConfig:
    with initialize_config_dir(str(config_root()), version_base="1.3"):
        config = compose("train", return_hydra_config=True)
    HydraConfig.instance().set_config(config)
    return config


def continue_here(directory: Path) -> None:
    """Do what `resume=` does before it trains, without composing the config again."""
    config = composed()
    config.resume = str(directory)
    resumed_config(config, run_to_resume(config))


def continue_in_sweep(directory: Path) -> None:
    """Do what the command of a sweep does with a job before and after its process."""
    run = RunDirectory(directory)
    job = Job("seed=1", ["seed=1"], OWN_CONFIG, run, ResourceRequest())
    write_json(run.status_file, run.read_status() | {"config_hash": config_hash(OWN_CONFIG)})
    load_statuses([job])
    assert not job.status.is_final
    assert prepare_all([job], {}, print) == [job]
    assert run.read_config() == OWN_CONFIG
    assert finalize(job, "killed by SIGKILL") == "killed by SIGKILL"
    read_run(directory)


OWN_CONFIG: dict[str, Any] = {
    **{group: {"_target_": "rnnexp.Mine"} for group in ("task", "data", "model", "trainer")},
    "callbacks": None,
    "seed": 1,
}
"""The config of a job of the user's sweep."""
Execute = Callable[[Path], object]
PROGRAMS: dict[str, Execute] = {
    "evaluate": lambda run: load_finished(RunDirectory(run), None, {"data": {"root": "/nowhere"}}),
    "translate": lambda run: load_member(run, None),
    "report": read_run,
    "resume": continue_here,
    "sweep": continue_in_sweep,
}


def execute(program: Execute, run: Path) -> None:
    with suppress(UserError):
        program(run)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", PROGRAMS)
def test_no_program_executes_any_payload_at_any_place(
    interrupted: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    canary = tmp_path / "canary"
    make_files(tmp_path, canary)
    monkeypatch.syspath_prepend(tmp_path)
    original, status = ((interrupted / file).read_bytes() for file in ("config.yaml", "status.json"))
    num_tried = 0
    for kind, node in payloads(tmp_path, canary).items():
        for place in PLACES:
            (interrupted / "config.yaml").write_bytes(original)
            (interrupted / "status.json").write_bytes(status)
            change_config(interrupted, lambda config, place=place, node=node: put(config, place, node))
            execute(PROGRAMS[name], interrupted)
            assert not canary.exists(), (kind, place)
            num_tried += 1
    assert num_tried >= 20 * len(PLACES)


@pytest.mark.slow
def test_a_sweep_executes_no_file_of_its_directory(run: Run, tmp_path: Path) -> None:
    """All files that rnnexp, Hydra, Optuna or Python might read are put there, and the same command runs again."""
    sweep, canary, place = tmp_path / "sweep", tmp_path / "canary", tmp_path / "payloads"
    command = ["model.hidden_size=4", "trainer.max_steps=2", f"sweep_dir={sweep}", "report=true", "-m"]
    assert run("seed=1,2,3", *command).exit_code == 0
    place.mkdir()
    make_files(place, canary)
    option = {"_target_": "hydra._internal.core_plugins.basic_launcher.BasicLauncher"}
    hydra = {"hydra": {"callbacks": {"mine": payloads(place, canary)["open"]}}}
    for number, job in enumerate(sorted((sweep / "jobs").iterdir())):
        status = read_json(job / "status.json")
        write_json(job / "status.json", status | {"status": ("failed", "interrupted", "done")[number]})
        for directory in (job, sweep, sweep / "study", job / "hydra", job / "hydra" / "launcher"):
            directory.mkdir(exist_ok=True)
            for file in ("sitecustomize.py", "usercustomize.py", "torch.py", "rnnexp.py", "hubconf.py"):
                shutil.copy(place / "script.py", directory / file)
        for file in ("best.ckpt", "last.ckpt", "previous.ckpt", "epoch-1.ckpt"):
            shutil.copy(place / "object.pt", job / "checkpoints" / file)
        for file in ("test_predictions.pt", "result.json", "metrics.csv", "environment.json", "overrides.yaml"):
            shutil.copy(place / "object.pt", job / file)
        for directory in (job, job / ".hydra", sweep / ".hydra"):
            directory.mkdir(exist_ok=True)
            for file in (
                "config.yaml",
                "hydra.yaml",
                "train.yaml",
                "multirun.yaml",
                "beside.yaml",
                "hydra/config.yaml",
            ):
                (directory / file).parent.mkdir(exist_ok=True)
                (directory / file).write_text(yaml.safe_dump(hydra), encoding="utf-8")
        for group in ("launcher/basic", "sweeper/basic", "launcher/pool", "job_logging/none"):
            (job / "hydra" / group).parent.mkdir(exist_ok=True)
            content = yaml.safe_dump({"defaults": ["/beside@_global_"], **option}, sort_keys=False)
            (job / "hydra" / f"{group}.yaml").write_text(content, encoding="utf-8")
    outcome = run("seed=1,2,3", *command)
    assert outcome.exit_code == 0, outcome.stderr
    assert {read_json(file)["status"] for file in sweep.glob("jobs/*/status.json")} == {"done"}
    assert not canary.exists()


def test_no_address_and_no_variable_of_a_config_is_used(
    foreign: Path, score: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "value-of-the-key")
    with serving({}) as mirror:
        address = mirror.url("${oc.env:WANDB_API_KEY}")
        change = {"mirrors": [address], "name": "${oc.env:WANDB_API_KEY}", "download_from": ["mirrors"]}
        change_config(foreign, lambda config: config["data"].update(change, root=str(tmp_path / "empty"), val_size=0))
        for overrides in ([], ["data.batch_size=5"], [f"data.root={tmp_path}/other"]):
            outcome = score(f"run={foreign}", *overrides)
            assert outcome.exit_code == 2
            assert "value-of-the-key" not in outcome.stderr + outcome.stdout
            assert mirror.asked == []
    assert not (tmp_path / "empty").exists()


@pytest.mark.parametrize("name", ["evaluate.log", "evaluations"])
def test_an_evaluation_follows_no_link_out_of_the_directory(foreign: Path, score: Run, name: str) -> None:
    elsewhere = foreign.parent / "elsewhere"
    if name == "evaluations":
        elsewhere.mkdir()
    else:
        elsewhere.write_text("# mine\n", encoding="utf-8")
    (foreign / name).symlink_to(elsewhere)
    outcome = score(f"run={foreign}")
    assert outcome.exit_code == 2
    assert f"{foreign / name} is a link to {elsewhere}" in outcome.line
    assert (
        list(elsewhere.iterdir()) == [] if elsewhere.is_dir() else elsewhere.read_text(encoding="utf-8") == "# mine\n"
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("callbacks.predictions.path", "/tmp/elsewhere.pt"),
        ("callbacks.predictions.path", "predictions.pt"),
        ("callbacks.last_checkpoint.dirpath", "{run}/../checkpoints"),
        ("callbacks.interruption.checkpoint", "~/last.ckpt"),
        ("logger.csv.save_dir", "/nowhere"),
        ("trainer.default_root_dir", "/nowhere"),
        ("trainer.profiler", {"_target_": "rnnexp.callbacks.profiler.PartProfiler", "dirpath": "/nowhere"}),
    ],
)
def test_a_continued_run_writes_only_into_its_directory(interrupted: Path, key: str, value: Any) -> None:
    content = value.format(run=interrupted) if isinstance(value, str) else value
    change_config(interrupted, lambda config: put(config, key, content))
    outcome = call(train.main, interrupted.parent, [f"resume={interrupted}"])
    assert outcome.exit_code == 2
    assert f"{key}" in outcome.line
    assert "is refused: it is outside the run directory" in outcome.line


def test_a_continued_run_follows_no_link(interrupted: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("# mine\n", encoding="utf-8")
    (interrupted / "train.log").unlink()
    (interrupted / "train.log").symlink_to(tmp_path / "elsewhere")
    outcome = call(train.main, interrupted.parent, [f"resume={interrupted}"])
    assert outcome.exit_code == 2
    assert "train.log is a link to" in outcome.line
    assert (tmp_path / "elsewhere").read_text(encoding="utf-8") == "# mine\n"


@pytest.mark.parametrize("name", ["evaluate", "train"])
def test_a_config_that_was_edited_afterwards(interrupted: Path, score: Run, name: str) -> None:
    file = interrupted / "config.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("hidden_size: 32", "hidden_size: 64"), encoding="utf-8")
    if name == "evaluate":
        outcome = score(f"run={interrupted}")
    else:
        outcome = call(train.main, interrupted.parent, [f"resume={interrupted}"])
    assert outcome.exit_code == 2
    assert "config.yaml is not the config of this run (config_hash " in outcome.line
