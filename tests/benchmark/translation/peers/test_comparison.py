"""Peers are measured in turns with rnnexp, on the same sentences."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from rnnexp.benchmark.translation.peers.registry import PEERS
from support.benchmarks import Measure, read_report

SAME_WORK = ["model.bidirectional=true", "task.network.tied_embeddings=none"]


def test_a_peer_takes_turns_with_both_decoders(
    measure_translation: Measure, make_python: Callable[[str], str], tmp_path: Path
) -> None:
    python = make_python(
        f"""
shutil.copy(sys.argv[3] + "/task.json", {str(tmp_path)!r})
print(json.dumps({{"version": "1.0"}}), flush=True)
for line in sys.stdin:
    print(json.dumps({{"seconds": 2, "amount": len(line), "loss": 3}}), flush=True)
"""
    )
    outcome = measure_translation("repetitions=1", *SAME_WORK, f"peers.joeynmt={python}")
    assert outcome.exit_code == 0, outcome.stderr
    speed = read_report(tmp_path / "outputs")["speed"]
    peers = speed["peers"]
    assert peers["versions"] == {"joeynmt": "1.0"}
    assert peers["not_measured"] == {}
    ours = ["rnnexp, fused", "rnnexp, stepwise"]
    tokens, sentences = peers["tokens_per_second"], peers["sentences_per_second"]
    assert list(tokens) == [*ours, "joeynmt, own batches", "joeynmt, rnnexp's batches"]
    assert tokens["joeynmt, own batches"] == [len("train own\n") / 2]
    assert tokens["joeynmt, rnnexp's batches"] == [len("train given\n") / 2]
    assert list(sentences) == [*ours, "joeynmt"]
    assert peers["final_loss"]["joeynmt, own batches"] == 3
    assert peers["final_loss"]["rnnexp, fused"] == pytest.approx(speed["training"]["final_loss"]["rnnexp"])
    ratio = peers["ratios"]["sentences/s, rnnexp, stepwise / joeynmt"]
    assert ratio["median"] == pytest.approx(sentences["rnnexp, stepwise"][0] / sentences["joeynmt"][0])
    assert len(peers["ratios"]) == 2 * 3

    task = json.loads((tmp_path / "task.json").read_text(encoding="utf-8"))
    assert task["config"]["model"]["hidden_size"] == 8
    first, end = task["steps"]
    assert (first, end, len(task["batches"])) == (1, 5, 6)
    targets = task["sentences"]["train.target"]
    timed = [targets[index] for batch in task["batches"][first:end] for index in batch]
    assert sum(len(target) + 1 for target in timed) == speed["training"]["num_target_tokens"], "with EOS"
    assert len(task["sentences"]["train.source"]) == len(targets) == sum(map(len, task["batches"]))
    assert sorted(index for batch in task["test"]["batches"] for index in batch) == list(range(20))
    for side, name in (("source", "train.source"), ("source", "test.source"), ("target", "train.target")):
        words = {token for sentence in task["sentences"][name] for token in sentence}
        assert words - {1} <= set(range(4, task["vocab_sizes"][side])), "no BOS, EOS and padding"


@pytest.mark.slow
def test_a_peer_that_cannot_do_the_same_work_is_named(measure_translation: Measure, tmp_path: Path) -> None:
    outcome = measure_translation("repetitions=1", "model.bidirectional=true", "peers.joeynmt=/none/python")
    assert outcome.exit_code == 0, outcome.stderr
    peers = read_report(tmp_path / "outputs")["speed"]["peers"]
    reason = "task.network.tied_embeddings=output: it does the same work only with none"
    assert peers["not_measured"] == {"joeynmt": reason}
    assert peers["ratios"] == {}
    assert len(peers["tokens_per_second"]) == len(peers["sentences_per_second"]) == 2
    assert "not measured" in outcome.stdout


def test_every_supported_key_is_a_key_of_the_config(measure_translation: Measure) -> None:
    shown = measure_translation("--cfg=job", "--resolve").stdout
    for peer in PEERS.values():
        for key in peer.supported:
            assert f"{key.split('.')[-1]}: " in shown, key
