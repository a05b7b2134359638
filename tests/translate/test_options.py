"""Options are checked before anything is read."""

from pathlib import Path

import pytest

from rnnexp.translate import __main__ as translate
from support.programs import call
from support.translating import Translate


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["beam_size=0"], "search: beam_size must be a whole number of at least 1, not 0"),
        (
            ["beam_size=5", "n_best=6"],
            "search: a beam of 5 cannot return 6 hypotheses: raise beam_size or lower n_best",
        ),
        (["n_best=0"], "search: n_best must be a whole number of at least 1, not 0"),
        (["length_penalty=-0.5"], "search: length_penalty must be a number of at least 0, not -0.5"),
        (["length_penalty=much"], "search: length_penalty must be a number of at least 0, not 'much'"),
        (["batch_size=0"], "search: batch_size must be a whole number of at least 1, not 0"),
        (["max_length=0"], "search: max_length must be a whole number of at least 1, not 0"),
        (["attention=maybe"], "search: attention must be true or false, not 'maybe'"),
        (["accelerator=tpu"], "unknown accelerator 'tpu': choose one of auto, cpu, gpu"),
        (["output={tmp}/no/text.fr"], "no is not a directory"),
        (["output={tmp}"], "exists and is not a file"),
        (["input={tmp}/text.en", "output={tmp}/../{tmp.name}/text.en"], "is the input file and would overwrite it"),
        (["output=/dev/null"], "output /dev/null exists and is not a file"),
        (["run=[]"], "run names no run: give it one, run=..."),
        (["n_bets=2"], "unknown key 'n_bets'; did you mean 'n_best'?"),
    ],
)
def test_a_bad_value_is_a_one_line_error_before_anything_is_read(
    say: Translate, tmp_path: Path, overrides: list[str], message: str
) -> None:
    (tmp_path / "text.en").touch()
    outcome = say(*(override.format(tmp=tmp_path) for override in overrides), piped=b"The cat sleeps.\n")
    assert outcome.exit_code == 2
    assert message in outcome.line
    assert outcome.stdout == ""


def test_a_run_must_be_named(tmp_path: Path) -> None:
    outcome = call(translate.main, tmp_path, [])
    assert outcome.exit_code == 2
    assert "run has no value: " in outcome.line
