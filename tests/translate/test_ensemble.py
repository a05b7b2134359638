"""Runs are loaded from their directories, and several runs translate together."""

import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from rnnexp.core.files.atomic import read_json, write_json
from rnnexp.text.tokenizer_pair import TokenizerPair
from support.foreign_runs import change_config
from support.programs import Outcome
from support.translating import SENTENCES, Translate, change_checkpoint, lines_of, piped


def test_two_copies_of_a_run_translate_like_the_run(
    say: Translate, copied: Callable[[str], Path], translator: Path
) -> None:
    outcome = say(f"run=[{translator},{copied('twin')}]", piped=piped(SENTENCES))
    assert lines_of(outcome) == lines_of(say(piped=piped(SENTENCES)))


def test_two_runs_average_their_probabilities(say: Translate, copied: Callable[[str], Path], translator: Path) -> None:
    run = copied("other")
    generator = torch.Generator().manual_seed(0)

    def disturb(checkpoint: dict[str, Any]) -> None:
        for tensor in checkpoint["state_dict"].values():
            tensor += torch.randn(tensor.shape, generator=generator)

    change_checkpoint(run, disturb)
    first, second, together = (
        say(f"run={given}", "scores=true", piped=piped(SENTENCES[:2]))
        for given in (translator, run, f"[{translator},{run}]")
    )
    assert len({first.stdout, second.stdout, together.stdout}) == 3


@pytest.mark.parametrize("side", ["source", "target"])
def test_runs_of_different_vocabularies_cannot_translate_together(
    say: Translate, copied: Callable[[str], Path], translator: Path, side: str
) -> None:
    run = copied("other")

    digests = []

    def swap(checkpoint: dict[str, Any]) -> None:
        vocabulary = checkpoint["tokenizers"][f"{side}_tokenizer"]["vocabulary"]
        vocabulary[-1], vocabulary[-2] = vocabulary[-2], vocabulary[-1]
        digests.append(getattr(TokenizerPair.from_plain(checkpoint["tokenizers"]), side).digest[:12])
        checkpoint["rnnexp"][f"{side}_tokenizer"] = digests[0]

    change_checkpoint(run, swap)
    # The record of the run agrees with its checkpoint.
    result = read_json(run / "result.json")
    result["model"][f"{side}_tokenizer"] = digests[0]
    write_json(run / "result.json", result)
    outcome = say(f"run=[{translator},{run}]")
    assert outcome.exit_code == 2
    assert f"{translator} and {run} cannot translate together, as their {side} vocabularies differ" in outcome.line


def test_only_the_run_directory_is_needed(
    say: Translate, copied: Callable[[str], Path], translator: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run was moved, and its data, loggers, optimizer and schedule cannot be made."""
    run = copied("moved")
    (run / "config.yaml").write_text(
        (run / "config.yaml").read_text(encoding="utf-8").replace(str(translator), "/nowhere"), encoding="utf-8"
    )
    change_config(run, lambda config: config["data"].update(_target_="nowhere.Nothing", root="/nowhere"))
    change_config(run, lambda config: config.update(logger={"csv": {"_target_": "nowhere.Nothing"}}))
    for group in ("optimizer", "scheduler"):
        change_config(run, lambda config, group=group: config.update({group: {"_target_": "nowhere.Nothing"}}))
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert lines_of(say("run=../moved", piped=piped(SENTENCES))) == lines_of(say(piped=piped(SENTENCES)))
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    assert list(Path().iterdir()) == []


@pytest.mark.skipif(find_spec("MeCab") is not None, reason="the package of the tokenizer must be missing")
def test_a_package_for_scores_is_not_needed(say: Translate, copied: Callable[[str], Path]) -> None:
    run = copied("scored")
    change_config(run, lambda config: config["task"].update(bleu_tokenizer="ja-mecab"))
    assert lines_of(say(f"run={run}", piped=piped(SENTENCES))) == lines_of(say(piped=piped(SENTENCES)))


def test_the_tested_weights_of_the_run_are_used(say: Translate, copied: Callable[[str], Path]) -> None:
    run = copied("averaged")

    def zero(checkpoint: dict[str, Any]) -> None:
        for tensor in checkpoint["state_dict"].values():
            tensor.zero_()

    shutil.copy(run / "checkpoints" / "best.ckpt", run / "checkpoints" / "average.ckpt")
    change_checkpoint(run, zero, "average.ckpt")
    best = say(f"run={run}", piped=piped(SENTENCES)).stdout
    kept = {"kept_checkpoints": {"_target_": "rnnexp.callbacks.checkpoints.KeptCheckpoints"}}
    change_config(run, lambda config: config.update(test_weights="average", callbacks=kept))
    average = say(f"run={run}", piped=piped(SENTENCES)).stdout
    assert average != best
    assert say(f"run={run}", "weights=average", piped=piped(SENTENCES)).stdout == average
    assert say(f"run={run}", "weights=best", piped=piped(SENTENCES)).stdout == best


def test_a_run_of_another_task(say: Translate, finished: Outcome) -> None:
    outcome = say(f"run={finished.directory}")
    assert outcome.exit_code == 2
    assert (
        f"{finished.directory} does not translate: its task is ClassificationTask; name a run of task=translation"
        in outcome.line
    )


def test_a_damaged_checkpoint(say: Translate, copied: Callable[[str], Path]) -> None:
    run = copied("damaged")
    path = run / "checkpoints" / "best.ckpt"
    path.write_bytes(path.read_bytes()[:1000])
    outcome = say(f"run={run}")
    assert outcome.exit_code == 2
    assert f"checkpoint {path}" in outcome.line
    assert "truncated or damaged" in outcome.line


def test_weights_of_a_run_that_diverged(say: Translate, copied: Callable[[str], Path]) -> None:
    run = copied("diverged")

    def diverge(checkpoint: dict[str, Any]) -> None:
        next(iter(checkpoint["state_dict"].values()))[0] = float("nan")

    path = change_checkpoint(run, diverge)
    outcome = say(f"run={run}")
    assert outcome.exit_code == 2
    assert f"{path} holds weights that are NaN or infinite: that run diverged; use another" in outcome.line


def test_weights_that_do_not_fit(say: Translate, copied: Callable[[str], Path]) -> None:
    run = copied("wider")
    change_config(run, lambda config: config["model"].update(hidden_size=24))
    outcome = say(f"run={run}")
    assert outcome.exit_code == 2
    assert f"best.ckpt does not fit {run}/config.yaml: size mismatch for model." in outcome.line


def test_a_damaged_vocabulary(say: Translate, copied: Callable[[str], Path]) -> None:
    run = copied("speechless")
    path = change_checkpoint(run, lambda checkpoint: checkpoint.update(tokenizers={"source_tokenizer": {}}))
    outcome = say(f"run={run}")
    assert outcome.exit_code == 2
    assert f"checkpoint {path} holds no valid vocabulary" in outcome.line


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("run={tmp}", "is not a run directory: "),
        ("weights=bets", "unknown weights 'bets': "),
        ("weights=average", "has no epochs to average: choose weights=best or weights=last"),
    ],
)
def test_a_bad_run_or_bad_weights_are_named(say: Translate, tmp_path: Path, override: str, message: str) -> None:
    outcome = say(override.format(tmp=tmp_path), piped=b"The cat sleeps.\n")
    assert outcome.exit_code == 2
    assert message in outcome.line
    assert outcome.stdout == ""


@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize("is_recorded", [False, True])
def test_a_shuffled_vocabulary_is_refused(
    say: Translate, copied: Callable[[str], Path], side: str, is_recorded: bool
) -> None:
    run = copied("shuffled")

    def shuffle(checkpoint: dict[str, Any]) -> None:
        vocabulary = checkpoint["tokenizers"][f"{side}_tokenizer"]["vocabulary"]
        vocabulary[4:] = reversed(vocabulary[4:])
        if is_recorded:
            digest = getattr(TokenizerPair.from_plain(checkpoint["tokenizers"]), side).digest
            checkpoint["rnnexp"][f"{side}_tokenizer"] = digest[:12]

    change_checkpoint(run, shuffle)
    outcome = say(f"run={run}", piped=b"A cat.\n")
    assert outcome.exit_code == 2
    assert "best.ckpt" in outcome.line
    assert ("is not of this run" if is_recorded else f"its {side} vocabulary is not the one") in outcome.line
