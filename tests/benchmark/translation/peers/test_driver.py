"""A driver measures what its toolkit does, whichever toolkit it is."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from rnnexp.benchmark.translation.peers.driver import Driver, SetRate, Watch
from rnnexp.benchmark.translation.peers.registry import PEERS
from rnnexp.benchmark.translation.peers.turns import Turns
from support.benchmarks import Measure, read_report

TASK: dict[str, Any] = {
    "cpu_time": False,
    "threads": torch.get_num_threads(),
    "beam_size": 5,
    "vocab_sizes": {"source": 6, "target": 7},
    "sentences": {"dev.source": [[4, 1]], "dev.target": [[5, 6]]},
    "steps": [1, 3],
    "dev": {"batches": [[2, 0], [1]], "longest": [6, 3]},
    "test": {"batches": [[1, 0], [2]], "longest": [4, 5], "lengths": [7, 8]},
    "learning": {"seconds": 4, "slices": 2, "rates": [0.5, 0.25]},
}


class SlowSteps:
    """A toolkit whose steps take a second of two sentences and ten tokens, at a loss of 3 per token."""

    version, penalty = "1.0", 0.6

    def __init__(self, task: dict[str, Any], directory: Path) -> None:  # noqa: ARG002
        self.words = (directory / "vocabulary.target").read_text(encoding="utf-8").split()
        self.time = 0.0
        self.given: list[list[list[int]] | None] = []
        self.searches: list[tuple[int, tuple[int, int], float]] = []
        self.groups = [{"lr": 0.1}]
        self.rates: list[float] = []

    def build_model(self) -> nn.Module:
        return nn.Linear(1, 1)

    def fit(
        self,
        model: nn.Module,  # noqa: ARG002
        watch: Watch,
        note_loss: Callable[[torch.Tensor], None],
        given: list[list[int]] | None,
        set_rate: SetRate,
    ) -> None:
        self.given.append(given)
        while watch(2, 10):
            set_rate(self.groups)
            self.rates.append(self.groups[0]["lr"])
            self.time += 1
            note_loss(torch.tensor(30.0))

    def gather(self, split: str, indices: list[int]) -> list[int]:  # noqa: ARG002
        return indices

    def loss(self, model: nn.Module, batch: list[int]) -> tuple[float, int]:  # noqa: ARG002
        return 8.0 * len(batch), 4 * len(batch)

    def search(
        self, model: nn.Module, batch: list[int], beam_size: int, lengths: tuple[int, int], penalty: float
    ) -> list[list[str]]:
        assert not model.training
        self.time += 1
        self.searches.append((beam_size, lengths, penalty))
        return [[self.words[index], "</s>"] for index in batch]


@pytest.fixture
def driver(tmp_path: Path) -> Driver:
    """The driver of that toolkit, with its clock."""
    (tmp_path / "task.json").write_text(json.dumps(TASK), encoding="utf-8")
    made = Driver(tmp_path, SlowSteps)
    made.read = lambda: made.toolkit.time  # type: ignore[attr-defined]
    return made


def test_the_timed_steps_are_counted(driver: Driver) -> None:
    assert driver.train([[0, 1]]) == {"seconds": 2, "amount": 20, "loss": 3}
    assert driver.train() == {"seconds": 2, "amount": 20, "loss": 3}
    assert driver.toolkit.given == [[[0, 1]], None]  # type: ignore[attr-defined]
    assert driver.toolkit.rates == [0.1] * 6, "that of the toolkit"  # type: ignore[attr-defined]


def test_a_training_ends_with_its_time_and_is_scored(driver: Driver, tmp_path: Path) -> None:
    toolkit: Any = driver.toolkit
    answers: list[dict[str, Any]] = []
    turns = Turns(TASK, answers.append, iter(["learn", "score"]), driver.read)
    driver.learn(turns)
    assert turns.request == "score"
    assert answers == [{"seconds": 2, "amount": 20, "loss": 3}] * 2
    assert toolkit.rates == [0.5, 0.5, 0.25, 0.25]
    assert driver.score() == {"seconds": 2, "amount": 3, "loss": 2}
    assert toolkit.searches == [(5, (1, 6), 0.6), (5, (1, 3), 0.6)]
    written = json.loads((tmp_path / "validation.json").read_text(encoding="utf-8"))
    assert written == {"steps": 4, "sentences": 8, "translations": [[4], [5], [6]]}
    assert set(torch.load(tmp_path / "weights.pt", weights_only=True)) == {"weight", "bias"}
    toolkit.searches.clear()
    assert driver.search(beam_size=1) == {"seconds": 2, "amount": 3}
    assert toolkit.searches == [(1, (1, 4), 0.0), (1, (1, 5), 0.0)]


def test_a_training_that_ends_before_its_time_is_an_error(driver: Driver) -> None:
    turns = Turns(TASK, lambda _values: None, iter([]), driver.read)
    driver.toolkit.fit = lambda *_arguments: None  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="before its time"):
        driver.learn(turns)


def test_all_translations_of_a_batch_have_one_length(driver: Driver) -> None:
    assert driver.decode() == {"seconds": 2, "amount": 3}
    searches = driver.toolkit.searches  # type: ignore[attr-defined]
    assert searches == [(5, (1, 2), 0.6), (5, (7, 8), 0.6), (5, (8, 9), 0.6)]


def test_unknown_words_of_the_sentences_have_a_name(driver: Driver, tmp_path: Path) -> None:
    assert (tmp_path / "dev.source").read_text(encoding="utf-8") == "4 <unk>\n"
    assert driver.toolkit.words == ["4", "5", "6"]  # type: ignore[attr-defined]


@pytest.mark.slow
@pytest.mark.timeout(900)  # two processes of a toolkit, each of which imports for many seconds
@pytest.mark.parametrize("name", PEERS)
def test_the_toolkit_itself_is_measured(name: str, measure_translation: Measure, tmp_path: Path) -> None:
    python = Path("/opt", name, "bin", "python")  # as in docs/results/speed.md
    if not python.exists():
        pytest.skip(f"{name} needs an older PyTorch, so an environment of its own: {python} (docs/results/speed.md)")
    same_work = ["model.bidirectional=true", "task.network.tied_embeddings=none"]
    outcome = measure_translation("repetitions=1", *same_work, f"peers.{name}={python}", "train_minutes=0.1")
    assert outcome.exit_code == 0, outcome.stderr
    speed = read_report(tmp_path / "outputs")["speed"]
    peers, learning = speed["peers"], speed["learning"]
    assert peers["not_measured"] == learning["not_measured"] == {}
    for form in ("own batches", "rnnexp's batches"):
        assert peers["tokens_per_second"][f"{name}, {form}"][0] > 0
        assert peers["final_loss"][f"{name}, {form}"] == pytest.approx(peers["final_loss"]["rnnexp, stepwise"], rel=0.3)
    assert peers["sentences_per_second"][name][0] > 0
    for form in ("its recipe", "rnnexp's recipe"):
        row = learning["candidates"][f"{name}, {form}"]
        assert row["steps"] > 1
        assert 0 < row["loss"] < 8
    same_weights = learning["same_weights"]
    assert (same_weights is not None) == (PEERS[name].take_weights is not None)
