"""Sentences are translated in order, with rows, warnings, maps and progress."""

import io
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from rnnexp.tasks.translation.translator import Candidate, TranslatedSentence
from rnnexp.translate import session
from rnnexp.translate.io import Sentences
from rnnexp.translate.session import format_line, format_rows
from support.foreign_runs import change_config
from support.translating import SENTENCES, WORDS, Translate, change_checkpoint, lines_of, piped, rows_of


def test_a_line_for_each_line_in_order(say: Translate) -> None:
    outcome = say(piped=piped(SENTENCES))
    lines = lines_of(outcome)
    assert len(lines) == len(SENTENCES)
    assert [number for number, text in enumerate(lines, start=1) if text] == WORDS
    assert outcome.stderr == ""
    alone = [lines_of(say(piped=piped([sentence])))[0] for sentence in SENTENCES]
    assert lines == alone
    assert len(set(lines)) > 2, "equal translations cannot show the order"


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_the_size_of_the_batches_does_not_matter(say: Translate, batch_size: int) -> None:
    assert say(f"batch_size={batch_size}", piped=piped(SENTENCES)).stdout == say(piped=piped(SENTENCES)).stdout


def test_unknown_characters_and_words(say: Translate) -> None:
    strange = ["猫 😀", "e\u0301 \u200d\u2028\u0085", "<unk> <pad> <bos> <eos>", "\0 \x1b[31m", "The qwxz sleeps."]
    outcome = say(piped=piped(strange))
    assert len(lines_of(outcome)) == len(strange)
    assert outcome.line.startswith("rnnexp: warning: ")
    assert "sentences have no word of the vocabulary" in outcome.line


def test_a_sentence_of_20_000_words_is_cut_and_counted(say: Translate) -> None:
    start = time.monotonic()
    outcome = say("max_length=5", piped=piped(["the cat " * 10_000, SENTENCES[0]]))
    assert len(lines_of(outcome)) == 2
    assert "rnnexp: warning: 1 sentence has more than 2,000 tokens, of which only" in outcome.stderr
    assert time.monotonic() - start < 60


def test_rows_of_several_candidates(say: Translate) -> None:
    found = rows_of(say("n_best=3", piped=piped(SENTENCES)))
    for number in range(1, len(SENTENCES) + 1):
        scores = [score for other, score, _ in found if other == number]
        texts = [text for other, _, text in found if other == number]
        if number in WORDS:
            assert len(set(texts)) == 3
            assert scores == sorted(scores, reverse=True)
            assert all(score < 0 for score in scores)
        else:
            assert (scores, texts) == ([0.0], [""])
    assert [number for number, _, _ in found] == sorted(number for number, _, _ in found)
    best = {number: text for number, _, text in reversed(found)}
    assert [best[number] for number in sorted(best)] == lines_of(say(piped=piped(SENTENCES)))


def test_tabs_and_line_ends_in_a_row_become_spaces() -> None:
    translated = TranslatedSentence(["</s>"], 0, [Candidate("a\nb\tc\rd", -0.5, [])])
    assert format_line(translated) == "a b c d\n"
    assert format_rows(7, translated) == "7\t-0.5000\ta b c d\n"


def test_scores_depend_on_the_length_penalty(say: Translate) -> None:
    ((_, mean, text),) = rows_of(say("scores=true", "beam_size=1", piped=piped(SENTENCES[:1])))
    ((_, total, same),) = rows_of(say("scores=true", "beam_size=1", "length_penalty=0", piped=piped(SENTENCES[:1])))
    assert text == same, "a beam of one has no choice"
    assert total < 2 * mean


def test_a_beam_larger_than_the_vocabulary_and_short_translations(say: Translate, translator: Path) -> None:
    checkpoint = torch.load(translator / "checkpoints" / "best.ckpt", weights_only=True)
    beam_size = checkpoint["rnnexp"]["target_vocab_size"] + 3
    outcome = say(f"beam_size={beam_size}", f"n_best={beam_size}", "max_length=1", piped=b"The cat sleeps.\n")
    texts = [text for _, _, text in rows_of(outcome)]
    # Each word except the special tokens, and the empty translation.
    assert len(texts) == len(set(texts)) == beam_size - 3 - 4 + 1


def test_long_sentences_are_translated_and_counted(say: Translate, copied: Callable[[str], Path]) -> None:
    run = copied("short")
    change_config(run, lambda config: config["data"].update(max_length=6))
    outcome = say(f"run={run}", piped=piped(SENTENCES))
    assert outcome.stdout == say(piped=piped(SENTENCES)).stdout
    assert "rnnexp: warning: 2 sentences have more than data.max_length=6 tokens" in outcome.line


def test_attention_as_text_and_as_pictures(say: Translate, copied: Callable[[str], Path]) -> None:
    run = copied("drawn")
    outcome = say(f"run={run}", "attention=true", piped=piped(SENTENCES))
    plain = lines_of(say(piped=piped(SENTENCES)))
    lines = lines_of(outcome)
    (directory,) = (run / "translations").iterdir()
    assert sorted(path.name for path in directory.iterdir()) == [f"{number:03d}.png" for number in WORDS]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in directory.iterdir())
    assert outcome.stderr == f"attention maps of each sentence: {directory}\n"
    assert lines[0] == plain[0]
    assert sum("█ 75 %" in each for each in lines) == len(WORDS)
    assert any(each.startswith("</s>") for each in lines)
    assert [each for each in lines if each in plain and each] == [each for each in plain if each]


def test_a_run_without_attention_cannot_show_it(say: Translate, copied: Callable[[str], Path]) -> None:
    run = copied("fixed")
    change_config(run, lambda config: config["task"]["network"].update(attention="none"))

    def forget(checkpoint: dict[str, Any]) -> None:
        state = checkpoint["state_dict"]
        for name in [name for name in state if ".attention." in name]:
            del state[name]

    change_checkpoint(run, forget)
    assert len(lines_of(say(f"run={run}", piped=piped(SENTENCES)))) == len(SENTENCES)
    outcome = say(f"run={run}", "attention=true")
    assert outcome.exit_code == 2
    assert f"attention: {run} has none to show: it was trained with task.network.attention=none" in outcome.line
    assert not (run / "translations").exists()


def test_progress_as_lines(say: Translate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "SECONDS_BETWEEN_LINES", 0.0)
    (tmp_path / "text.en").write_bytes(piped(SENTENCES))
    outcome = say(f"input={tmp_path}/text.en", "batch_size=4")
    first, second = outcome.stderr.splitlines()
    assert first.startswith("translating: 4 of 7 sentences (57%), ")
    assert " sentences/s, about 0:0" in first
    assert second.startswith("translating: 7 of 7 sentences (100%), ")
    assert second.endswith(" left")
    assert len(lines_of(outcome)) == len(SENTENCES)
    (only,) = say(piped=piped(SENTENCES)).stderr.splitlines()
    assert only.startswith("translating: 7 sentences, ")


def test_progress_as_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen, out = Terminal(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(sys, "stdout", out)
    with session.show_progress(Sentences(iter([]), total=3), io.StringIO()) as advance:
        print("a translation")
        advance(3)
    assert out.getvalue() == "a translation\n"
    assert "3 sentences" in screen.getvalue()
    assert "a translation" not in screen.getvalue()


@pytest.mark.gpu
def test_a_gpu_finds_translations_of_the_same_scores(say: Translate) -> None:
    torch.cuda.init()
    before = torch.cuda.memory_stats()["allocation.all.allocated"]
    on_gpu = rows_of(say("accelerator=gpu", "scores=true", piped=piped(SENTENCES)))
    assert torch.cuda.memory_stats()["allocation.all.allocated"] > before, "it ran on the CPU"
    on_cpu = rows_of(say("scores=true", piped=piped(SENTENCES)))
    assert [number for number, _, _ in on_gpu] == [number for number, _, _ in on_cpu]
    # A GPU may break a tie in another way, but not find a worse translation.
    assert [score for _, score, _ in on_gpu] == pytest.approx([score for _, score, _ in on_cpu], abs=0.02)
    assert say("accelerator=gpu", "attention=true", piped=piped(SENTENCES)).exit_code == 0
