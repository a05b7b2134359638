"""The files and commands of docs/extending.md work as printed, on small datasets."""

import re
import runpy
import shlex
import sys
from collections.abc import Iterator
from functools import partial
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pytest
import torch

from rnnexp import evaluate, train
from rnnexp.core.files.atomic import read_json
from rnnexp.translate import __main__ as translate
from support import ROOT
from support.programs import NUM_VAL, Outcome, call, write_dataset
from support.wheel import python, unpack_wheel

PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
FILES: dict[str, str] = dict(re.findall(r"`([\w/]+\.(?:py|yaml))`:\n\n```\w+\n(.*?)```", PAGE, re.DOTALL))
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
NOTEBOOK = re.findall(r"```python\n(import torch\n\nfrom my_cells.*?)```", PAGE, re.DOTALL)
MODULES = [path.removesuffix(".py") for path in FILES if path.endswith(".py")]
TRAIN = [command for command in COMMANDS if "rnnexp.train" in command]
SMALL = ["trainer=cpu", "trainer.max_epochs=1", "trainer.log_every_n_steps=1", "model.hidden_size=6", "logger=csv"]
IMAGES = ["data.root=sets", "data.name=Mine", f"data.val_size={NUM_VAL}", "data.batch_size=50", "data.download_from=[]"]
PHRASES = ["data.num_pairs=600", "data.unit=word", "data.min_frequency=1", "task.network.embedding_size=8"]


def small(*arguments: str) -> list[str]:
    """Return the arguments, preceded by overrides that make an experiment take a second."""
    given = {argument.partition("=")[0] for argument in arguments}
    data = PHRASES if "task=translation" in arguments else [] if "data=arrays" in arguments else IMAGES
    settings = [*SMALL, *data]
    return [*arguments, *(each for each in settings if each.partition("=")[0] not in given)]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory with the files of the page and a small dataset `Mine`, as the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content, encoding="utf-8")
    write_dataset(tmp_path / "sets" / "Mine" / "raw", seed=0)
    runpy.run_path("my_arrays.py")
    yield tmp_path
    for module in MODULES:
        sys.modules.pop(module, None)


def finish(place: Path, *arguments: str, figures: bool = False) -> Outcome:
    outcome = call(train.main, place, small(*arguments), figures=figures)
    assert outcome.exit_code == 0, outcome.stdout + outcome.stderr
    return outcome


def test_the_page_has_files_and_commands() -> None:
    assert set(FILES) == {
        "my_cells.py",
        "my_other_cells.py",
        "my_module_cells.py",
        "my_data.py",
        "my_arrays.py",
        "my_conf/data/arrays.yaml",
        "my_metrics.py",
        "my_start.py",
        "my_conf/model/my_mgu.yaml",
        "my_conf/experiment/mine.yaml",
        "my_conf/cells.yaml",
    }
    assert len(FILES["my_cells.py"].split("\n")) - FILES["my_cells.py"].count("\n\n") <= 15
    assert len(TRAIN) >= 10
    assert len(NOTEBOOK) == 1


# Sweeps start processes, which is slow: other tests run one of each kind.
@pytest.mark.parametrize(
    "command", [command for command in TRAIN if "-m model" not in command and "cells sw" not in command]
)
def test_a_command_trains(place: Path, command: str) -> None:
    _python, _m, _program, *arguments = shlex.split(command)
    finish(place, *arguments)


def test_the_notebook_runs(place: Path) -> None:  # noqa: ARG001
    sys.path.insert(0, "")
    variables: dict[str, Any] = {}
    exec(NOTEBOOK[0], variables)
    assert variables["outputs"].shape == (5, 7, 8)


DEEP = ["model.cell=my_cells.mgu", "model.num_layers=2", "model.bidirectional=true"]


def test_train_evaluate_resume_and_refuse(place: Path) -> None:
    first = finish(place, *DEEP, "callbacks=gradient_flow", "scheduler=constant")
    model, metrics = first.result["model"], first.result["metrics"]
    assert (model["cell"], model["backend"]) == ("my_cells.mgu", "reference")
    # Two gates of six units in two directions: a layer over 28 pixels, a layer over both directions, and the head.
    assert model["num_parameters"] == 2 * 12 * (28 + 6 + 2) + 2 * 12 * (12 + 6 + 2) + 10 * (12 + 1)
    assert {"gradient_flow/gradient_ratio", "gradient_flow/spectral_radius"} <= set(metrics)

    scored = call(evaluate.main, place, [f"run={first.directory}", "trust=[my_cells]"])
    assert scored.exit_code == 0, scored.stderr
    (evaluation,) = (first.directory / "evaluations").glob("*.json")
    assert read_json(evaluation)["metrics"]["test/acc"] == metrics["test/acc"]

    longer = ["scheduler=constant", "callbacks=gradient_flow", "trainer.max_epochs=2"]
    resume = [*longer, f"ckpt_path={first.directory}/checkpoints/last.ckpt"]
    resumed, whole = finish(place, *DEEP, *resume), finish(place, *DEEP, *longer)
    assert resumed.result["metrics"]["test/loss"] == whole.result["metrics"]["test/loss"]
    refused = call(train.main, place, small(*DEEP[1:], *resume, "model.cell=gru"))
    assert refused.exit_code == 2
    assert "cell=my_cells.mgu, here gru" in refused.line


def test_training_starts_from_the_weights_of_another_run(place: Path) -> None:
    first = finish(place, "model=gru", "trainer.max_epochs=1", "seed=1", "paths.output_dir=first")
    start = "+callbacks.start={_target_:my_start.StartFrom,path:first/checkpoints/best.ckpt}"
    options = ["model=gru", "seed=2", "optimizer.lr=1e-12", "trainer.max_epochs=2", start]
    outcome = finish(place, *options, "paths.output_dir=second")
    weights, others = (
        torch.load(run.directory / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
        for run in (first, outcome)
    )
    for name, tensor in weights.items():
        torch.testing.assert_close(others[name], tensor, msg=name)
    assert outcome.result["config_hash"] != finish(place, *options[:-1]).result["config_hash"]


@pytest.mark.parametrize("decoder", ["fused", "stepwise"])
def test_encode_and_decode(place: Path, monkeypatch: pytest.MonkeyPatch, decoder: str) -> None:
    trained = finish(place, "task=translation", *DEEP, f"task.network.decoder={decoder}")
    assert trained.result["model"]["cell"] == "my_cells.mgu"
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(b"the cat sleeps .\n"), encoding="utf-8"))
    translated = call(translate.main, place, [f"run={trained.directory}", "trust=[my_cells]"])
    assert translated.exit_code == 0, translated.stderr
    assert translated.stdout.count("\n") == 1


def test_a_sweep_and_its_report(place: Path) -> None:
    arguments = small("-m", "model.cell=gru,my_cells.mgu", "seed=1", "sweep_dir=sweep")
    outcome = call(train.main, place, arguments)
    assert outcome.exit_code == 0, outcome.stdout + outcome.stderr
    models = [read_json(path)["model"] for path in (place / "sweep" / "jobs").glob("*/result.json")]
    backends = {model["cell"]: model["backend"] for model in models}
    assert backends["gru"] in ("fused", "batched")
    assert backends["my_cells.mgu"] == "reference"
    assert "my_cells.mgu" in (place / "sweep" / "report" / "results.csv").read_text(encoding="utf-8")


def test_an_option_of_the_package_hides_one_of_the_same_name(place: Path) -> None:
    (place / "my_conf" / "model" / "gru.yaml").write_text("cell: nonsense\n", encoding="utf-8")
    assert finish(place, "--config-dir", "my_conf", "model=gru").result["model"]["cell"] == "gru"


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("my_cell.mgu", "model: unknown cell 'my_cell.mgu': there is no module my_cell"),
        ("my_cells.mug", "choose one of mgu; did you mean 'mgu'?"),
        ("my_cells.torch", "model: unknown cell 'my_cells.torch'"),
        ("my_cells.mgu_step", "model: cell 'my_cells.mgu_step' is a function of x, state, recur without defaults"),
        ("broken.mgu", "rnnexp: broken.py:1: ZeroDivisionError: division by zero"),
        ("needy.mgu", "rnnexp: needy.py:1: ModuleNotFoundError: No module named 'nohow'"),
        ("gruu", "model: unknown cell 'gruu': choose one of srn, lstm, gru, peephole_lstm, "),
    ],
)
def test_a_cell_that_does_not_exist(place: Path, cell: str, message: str) -> None:
    (place / "broken.py").write_text("1 / 0\n", encoding="utf-8")
    (place / "needy.py").write_text("import nohow\n", encoding="utf-8")
    outcome = call(train.main, place, small(f"model.cell={cell}"))
    assert outcome.exit_code == 2
    assert message in outcome.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model.cell_options.std=1"], "cell 'gru' has no option 'std': choose one of reset"),
        (
            ["model.cell=my_other_cells.peephole_lstm", "model.cell_options.sdt=1"],
            "cell 'my_other_cells.peephole_lstm' has no option 'sdt': choose one of std; did you mean 'std'?",
        ),
        (["model.cell=my_other_cells.peephole_lstm", "model.cell_options.std=wide"], "std must be float, not 'wide'"),
        (["model.cell=my_cells.mgu", "model.backend=fused"], "cell 'my_cells.mgu' has no fused kernel"),
        (["model.cell_options.reset=before", "model.backend=fused"], "cell 'gru' reset=before has no fused kernel"),
    ],
)
def test_an_option_that_does_not_exist(place: Path, overrides: list[str], message: str) -> None:
    outcome = call(train.main, place, small(*overrides))
    assert outcome.exit_code == 2
    assert message in outcome.line


def test_parameters_of_a_cell_are_counted_and_saved(place: Path) -> None:
    minimal = finish(place, "model.cell=my_other_cells.min_gru", "model.num_layers=1", "callbacks=gradient_flow")
    assert minimal.result["model"]["num_parameters"] == 2 * 6 * (28 + 1) + 10 * (6 + 1)
    options = ["model.cell=my_other_cells.peephole_lstm", "model.cell_options.std=0.5", "model.num_layers=1"]
    peephole = finish(place, *options)
    model = peephole.result["model"]
    assert model["num_parameters"] == 4 * 6 * (28 + 6 + 2) + 3 * 6 + 10 * (6 + 1)
    assert model["std"] == 0.5
    saved = torch.load(peephole.directory / "checkpoints" / "last.ckpt", weights_only=True)
    assert saved["state_dict"]["model.stack.p_f_l0"].shape == (6,)


def test_a_dataset_of_arrays(place: Path) -> None:
    """It trains, has the figures of a classification, and is scored again from its directory."""
    arguments = ["--config-dir", "my_conf", "data=arrays", "trainer.max_epochs=3", "size_budget=flops:60k"]
    trained = finish(place, *arguments, figures=True)
    data, metrics = trained.result["data"], trained.result["metrics"]
    assert (data["name"], data["num_classes"], data["num_test"]) == ("waves", 3, 100)
    figures = {path.stem for path in (trained.directory / "figures").iterdir()}
    assert {"learning_curves", "confusion_matrix", "class_scores"} <= figures
    assert "left out" not in trained.stdout + trained.stderr
    scored = call(evaluate.main, place, [f"run={trained.directory}", "trust=[my_data]"])
    assert scored.exit_code == 0, scored.stderr
    (evaluation,) = (trained.directory / "evaluations").glob("*.json")
    assert read_json(evaluation)["metrics"]["test/acc"] == metrics["test/acc"]
    outcome = call(
        train.main, place, small("-m", "--config-dir", "my_conf", "data=arrays", "seed=1,2", "sweep_dir=sweep")
    )
    assert outcome.exit_code == 0, outcome.stdout + outcome.stderr
    report = (place / "sweep" / "report" / "report.md").read_text(encoding="utf-8")
    assert "waves" in report


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    wheels, unpacked = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("site")
    unpack_wheel(wheels, unpacked)
    return unpacked


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_from_an_installed_wheel(place: Path, site: Path) -> None:
    """The page works in separate processes with only the wheel and the working directory on the path."""

    def program(name: str, *arguments: str) -> None:
        python("-m", f"rnnexp.{name}", *arguments, cwd=place, path=site)

    where = python("-c", "import rnnexp; print(rnnexp.__file__)", cwd=place, path=site)
    assert Path(where.strip()) == site / "rnnexp" / "__init__.py"
    train_here = partial(program, "train")
    train_here(*small(*DEEP, "paths.output_dir=run", "scheduler=constant"))
    program("evaluate", "run=run")
    resume = ["trainer.max_epochs=2", "ckpt_path=run/checkpoints/last.ckpt", "paths.output_dir=resumed"]
    train_here(*small(*DEEP, *resume, "scheduler=constant"))
    assert read_json(place / "resumed" / "result.json")["num_epochs"] == 2
    train_here(*small("task=translation", *DEEP, "paths.output_dir=translation"))
    train_here(*small("--config-dir", "my_conf", "--config-name", "cells", "seed=1", "sweep_dir=sweep"))
    cells = [read_json(path)["model"]["cell"] for path in (place / "sweep" / "jobs").glob("*/result.json")]
    assert sorted(cells) == ["lstm", "my_cells.mgu"]
    program("report", "sweep", "run", "--output", "page")
    assert "my_cells.mgu" in (place / "page" / "results.csv").read_text(encoding="utf-8")
