"""Small finished runs whose networks answer questions, one for each task."""

from collections.abc import Callable
from pathlib import Path

from rnnexp import train
from support.programs import Outcome, call
from support.sequence_files import waves, write_npz

SMALL = ["trainer=cpu", "trainer.max_epochs=1", "model.num_layers=1", "model.hidden_size=8", "logger=csv"]
SMALL += ["trainer.log_every_n_steps=1"]
MEMORY = ["data.num_train=64", "data.num_val=20", "data.num_test=30", "data.batch_size=16", "data.length=12"]


def finish(place: Path, *overrides: str) -> Path:
    """Train with small sizes, and return the directory of the run."""
    outcome: Outcome = call(train.main, place, [*SMALL, f"paths.outputs_dir={place}/outputs", *overrides])
    assert outcome.exit_code == 0, outcome.stderr
    return outcome.directory


def finish_waves(place: Path, *overrides: str) -> Path:
    """Return a run that classifies the waves of `support.sequence_files`, of different lengths."""
    file = write_npz(place / "waves.npz", waves())
    return finish(place, "data=sequences", f"data.train={file}", "data.batch_size=8", *overrides)


def finish_memory(place: Path, task: str, data: str, *overrides: str) -> Path:
    """Return a run of a memory task."""
    return finish(place, f"task={task}", f"data={data}", *MEMORY, *overrides)


def finish_phrasebook(place: Path, translate_tiny: Callable[[str], list[str]], *overrides: str) -> Path:
    """Return a run that translates a few sentences of the phrasebook."""
    small = [*translate_tiny("Phrasebook"), "data.cache=null"]
    return finish(place, "task=translation", *small, "model.hidden_size=16", *overrides)
