"""Candidates train for the same time, in turns, and are scored in the same way."""

from collections.abc import Callable
from pathlib import Path

import pytest

from support.benchmarks import Measure, read_report

SAME_WORK = ["model.bidirectional=true", "task.network.tied_embeddings=none"]
PEER = """
import torch
sys.path.append({support!r})
from support.joeynmt_network import JoeyNetwork
from pathlib import Path
directory = Path(sys.argv[3])
task = json.loads((directory / "task.json").read_text())
learning, asked, sentences = task.get("learning"), [], 0
print(json.dumps({{"version": "1.0"}}), flush=True)

def write(name, split):
    references = task["sentences"][f"{{split}}.target"]
    values = {{"steps": 7, "sentences": 1200, "translations": references}}
    (directory / name).write_text(json.dumps(values))
    return len(references)

for line in sys.stdin:
    request = line.strip()
    asked.append(request)
    amount = 1
    if request == "score":
        assert asked == ["learn"] * learning["slices"] + ["score"]
        assert (learning["rates"] is None) == (task["recipe"] == "own")
        sizes = task["vocab_sizes"]
        torch.save(JoeyNetwork(sizes["source"], sizes["target"], 8, 1).state_dict(), directory / "weights.pt")
        amount = write("validation.json", "dev")
    elif request in ("beam", "greedy"):
        assert len(task["test"]["longest"]) == len(task["test"]["batches"])
        amount = write("translations.json", "test")
    loss = 3 if task.get("recipe") == "own" else 2
    print(json.dumps({{"seconds": 2, "amount": amount, "loss": loss}}), flush=True)
"""


@pytest.mark.slow
def test_all_candidates_train_for_the_same_time(
    measure_translation: Measure, make_python: Callable[[str], str], tmp_path: Path
) -> None:
    python = make_python(PEER.format(support=str(Path(__file__).parents[3])))
    outcome = measure_translation("repetitions=1", *SAME_WORK, f"peers.joeynmt={python}", "train_minutes=0.02")
    assert outcome.exit_code == 0, outcome.stderr
    learning = read_report(tmp_path / "outputs")["speed"]["learning"]
    assert learning["not_measured"] == {}
    ours, theirs = ["rnnexp, fused", "rnnexp, stepwise"], ["joeynmt, its recipe", "joeynmt, rnnexp's recipe"]
    rows = learning["candidates"]
    assert list(rows) == [*ours, *theirs]
    for name in ours:
        row = rows[name]
        assert row["seconds"] >= 1.2
        assert row["epochs"] == pytest.approx(row["steps"] * 24.5 / 490, rel=0.1)
        assert 0 < row["loss"] < 8
        assert 0 <= row["bleu"] <= 100
    for name in theirs:
        assert rows[name]["seconds"] == 2 * 10
        assert rows[name]["steps"] == 7
        assert rows[name]["bleu"] > 50, "its translations were the references, with unknown words"
    assert [rows[name]["loss"] for name in theirs] == [3, 2]
    same = learning["same_weights"]
    assert same["weights"] == "joeynmt, rnnexp's recipe", "the lower loss"
    assert same["num_sentences"] == 20
    for search in ("beam 5", "greedy"):
        measured = same["searches"][search]
        speeds = measured["sentences_per_second"]
        assert measured["ratio"]["median"] == pytest.approx(speeds["rnnexp"][0] / speeds["joeynmt, rnnexp's recipe"][0])
        assert 0 <= measured["equal"] <= 20
    assert "joeynmt, its recipe" in outcome.stdout


@pytest.mark.slow
def test_the_decoders_are_compared_without_peers(measure_translation: Measure, tmp_path: Path) -> None:
    outcome = measure_translation(
        "repetitions=1", "train_minutes=0.01", "model.cell=lstm", "peers.joeynmt=/none/python"
    )
    assert outcome.exit_code == 0, outcome.stderr
    learning = read_report(tmp_path / "outputs")["speed"]["learning"]
    assert list(learning["candidates"]) == ["rnnexp, fused", "rnnexp, stepwise"]
    assert list(learning["not_measured"]) == ["joeynmt, its recipe", "joeynmt, rnnexp's recipe"]
    assert learning["same_weights"] is None
    assert "not measured" in outcome.stdout
