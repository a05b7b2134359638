"""Fixtures of all tests: tiny datasets, and programs that run on them in this process."""

import os
import signal

# Set before torch is imported: a second thread makes operations on small matrices slower.
os.environ["OMP_NUM_THREADS"] = "1"
# Read once, at the first product on a GPU, which may precede the first test with trainer.deterministic=true.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from rnnexp import evaluate, train
from rnnexp.cli.run_name import register_run_name
from rnnexp.core.signals import STOP_SIGNALS
from support import small_slurm
from support.programs import NUM_VAL, Outcome, Run, call, write_dataset, write_pairs

# nohup ignores SIGHUP, and a shell SIGINT and SIGQUIT of processes in the background. Programs leave that alone.
for number in STOP_SIGNALS:
    signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

# Tests that compose a config by themselves, without a program.
register_run_name()

pytest_plugins = ["support.launching"]


@pytest.fixture(scope="session")
def tiny_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root that holds `Tiny` and `Other`, two datasets of the same shape."""
    root = tmp_path_factory.mktemp("data")
    write_dataset(root / "Tiny" / "raw", seed=0)
    write_dataset(root / "Other" / "raw", seed=1)
    return root


@pytest.fixture(scope="session")
def tiny(tiny_root: Path) -> list[str]:
    """Overrides that make any experiment a small one: 10 training steps an epoch."""
    return [
        f"data.root={tiny_root}",
        "data.name=Tiny",
        f"data.val_size={NUM_VAL}",
        "data.batch_size=50",
        "data.download_from=[]",
        "trainer=cpu",
        "trainer.max_epochs=1",
        "trainer.log_every_n_steps=1",
        "model.hidden_size=8",
        "model.num_layers=1",
        "logger=csv",
    ]


@pytest.fixture(scope="session")
def translate_tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[str]]:
    """A function that returns overrides which replace a corpus by a few generated sentences in its format."""
    root = tmp_path_factory.mktemp("pairs")
    train, held_out = write_pairs(root / "train.tsv", 0, 100), write_pairs(root / "held_out.tsv", 100, 30)
    small = [
        "trainer=cpu",
        "trainer.log_every_n_steps=1",
        "model.hidden_size=8",
        "task.network.embedding_size=8",
        "logger=csv",
    ]
    small += [f"data.cache={root}/encoded", "data.min_frequency=1"]
    parallel = ["data=parallel", f"data.train={train}", f"data.val={held_out}", f"data.test={held_out}"]
    files = {
        # The published files are checked by their checksums, so other files replace them.
        "Multi30k": [*parallel, "data.vocab_size=290"],
        "Tatoeba": [f"data.path={train}", "data.val_share=0.2", "data.test_share=0.2"],
        "ParallelFiles": [*parallel, "data.vocab_size=290"],
        "Phrasebook": ["data.num_pairs=600"],
    }
    return lambda target: [*small, *files[target.rpartition(".")[2]]]


@pytest.fixture
def run(tiny: list[str], tmp_path: Path) -> Run:
    """A function that trains with further overrides, on `Tiny` or on the given data."""

    def train_on(*overrides: str, data: Sequence[str] = tiny, figures: bool = False) -> Outcome:
        # The report of a sweep takes seconds, so it is written only if a test asks for it.
        bare = ["report=false"] if "-m" in overrides and "report=true" not in overrides else []
        arguments = [*data, f"paths.outputs_dir={tmp_path}/outputs", *bare, *overrides]
        return call(train.main, tmp_path, arguments, figures=figures)

    return train_on


@pytest.fixture
def score(tmp_path: Path) -> Run:
    """A function that evaluates a finished run."""
    return lambda *overrides: call(evaluate.main, tmp_path, overrides)


@pytest.fixture(scope="session")
def finished(tiny: list[str], tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """A run that has learned most of its task; tests must not change it."""
    place = tmp_path_factory.mktemp("finished")
    learning = ["trainer.max_epochs=3", "model.hidden_size=32", "optimizer.lr=0.02", "tags=[small,tested]", "seed=7"]
    outcome = call(train.main, place, [*tiny, f"paths.outputs_dir={place}/outputs", *learning], figures=True)
    assert outcome.exit_code == 0, outcome.stderr
    return outcome


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of the commands of a small SLURM, which are found first."""
    small_slurm.install(tmp_path / "slurm")
    monkeypatch.setenv("PATH", f"{tmp_path}/slurm{os.pathsep}{os.environ['PATH']}")
    return tmp_path / "slurm"
