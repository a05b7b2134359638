"""Sentences are translated by finished runs, from their directories alone."""

import io
import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from rnnexp import train
from rnnexp.tasks.translation.translator import Candidate, TranslatedSentence
from rnnexp.translate import __main__ as translate
from rnnexp.translate import progress as sentence_progress
from rnnexp.translate.session import line, rows
from support.programs import Outcome, call

SENTENCES = [
    "The cat sleeps.",
    "The grandmother who invited the mothers in the inn will examine a bag.",
    "",
    "The ladies stayed.",
    "   ",
    "The mothers saw the sisters.",
    "A cat that the ladies admire stayed near the walls of the school.",
]
WORDS = [number for number, sentence in enumerate(SENTENCES, start=1) if sentence.strip()]

Translate = Callable[..., Outcome]


@pytest.fixture(scope="session")
def translator(translate_tiny: Callable[[str], list[str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has hardly learned to translate, and is not to be changed."""
    place = tmp_path_factory.mktemp("translator")
    small = ["task=translation", *translate_tiny("Phrasebook"), "data.cache=null", "model.hidden_size=16"]
    outcome = call(train.main, place, [*small, "trainer.max_epochs=1", f"paths.outputs_dir={place}/outputs"])
    assert outcome.exit_code == 0, outcome.stderr
    return outcome.directory


@pytest.fixture
def copied(translator: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Copies of that run, which may be changed."""
    return lambda name: Path(shutil.copytree(translator, tmp_path / name))


@pytest.fixture
def say(translator: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Translate:
    """Translates what is piped in, with that run unless others are named."""

    def call_with(*overrides: str, piped: bytes = b"") -> Outcome:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(piped)))
        named = [] if any(override.startswith("run=") for override in overrides) else [f"run={translator}"]
        return call(translate.main, tmp_path, [*named, "accelerator=cpu", *overrides])

    return call_with


def lines_of(outcome: Outcome) -> list[str]:
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.stdout.endswith("\n")
    return outcome.stdout.removesuffix("\n").split("\n")


def rows_of(outcome: Outcome) -> list[tuple[int, float, str]]:
    return [(int(number), float(score), text) for number, score, text in (row.split("\t") for row in lines_of(outcome))]


def piped(sentences: list[str], end: str = "\n") -> bytes:
    return "".join(f"{sentence}{end}" for sentence in sentences).encode()


def change_config(run: Path, change: Callable[[dict[str, Any]], None]) -> None:
    config = yaml.safe_load((run / "config.yaml").read_text())
    change(config)
    (run / "config.yaml").write_text(yaml.safe_dump(config))


def change_checkpoint(run: Path, change: Callable[[dict[str, Any]], None], file: str = "best.ckpt") -> Path:
    path = run / "checkpoints" / file
    checkpoint = torch.load(path, weights_only=True)
    change(checkpoint)
    torch.save(checkpoint, path)
    return path


def test_a_line_for_each_line_in_order(say: Translate) -> None:
    outcome = say(piped=piped(SENTENCES))
    lines = lines_of(outcome)
    assert len(lines) == len(SENTENCES)
    assert [number for number, text in enumerate(lines, start=1) if text] == WORDS
    assert outcome.stderr == ""
    alone = [lines_of(say(piped=piped([sentence])))[0] for sentence in SENTENCES]
    assert lines == alone
    assert len(set(lines)) > 2, "all alike would say nothing of their order"


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_the_size_of_the_batches_does_not_matter(say: Translate, batch_size: int) -> None:
    assert say(f"batch_size={batch_size}", piped=piped(SENTENCES)).stdout == say(piped=piped(SENTENCES)).stdout


@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
@pytest.mark.parametrize("finished_line", [True, False])
def test_a_file_is_translated_as_a_pipe_is(
    say: Translate, tmp_path: Path, end: str, mark: bytes, finished_line: bool
) -> None:
    content = mark + piped(SENTENCES, end)
    content = content if finished_line else content.removesuffix(end.encode())
    (tmp_path / "text.en").write_bytes(content)
    expected = say(piped=piped(SENTENCES)).stdout
    assert say(f"input={tmp_path}/text.en").stdout == expected
    assert say(piped=content).stdout == expected


def test_into_a_file(say: Translate, tmp_path: Path) -> None:
    (tmp_path / "text.en").write_bytes(piped(SENTENCES))
    outcome = say(f"input={tmp_path}/text.en", f"output={tmp_path}/text.fr")
    assert (outcome.exit_code, outcome.stdout, outcome.stderr) == (0, "", "")
    assert (tmp_path / "text.fr").read_bytes() == say(piped=piped(SENTENCES)).stdout.encode()


def test_a_file_is_written_whole_or_not_at_all(say: Translate, tmp_path: Path) -> None:
    (tmp_path / "text.fr").write_text("as it was")
    outcome = say(f"output={tmp_path}/text.fr", "batch_size=1", piped=piped(SENTENCES) + b"\xff\n")
    assert outcome.exit_code == 2
    assert "standard input: line 8: not UTF-8 (byte 0xff): convert it to UTF-8" in outcome.line
    assert [path.name for path in tmp_path.iterdir()] == ["text.fr"]
    assert (tmp_path / "text.fr").read_text() == "as it was"


def test_nothing_in_nothing_out(say: Translate, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    for outcome in (say(), say(f"input={tmp_path}/empty")):
        assert (outcome.exit_code, outcome.stdout, outcome.stderr) == (0, "", "")


def test_unknown_characters_and_words(say: Translate) -> None:
    strange = ["猫 😀", "e\u0301 \u200d\u2028\u0085", "<unk> <pad> <bos> <eos>", "\0 \x1b[31m", "The qwxz sleeps."]
    outcome = say(piped=piped(strange))
    assert len(lines_of(outcome)) == len(strange)
    assert outcome.line.startswith("rnnexp: warning: ")
    assert "sentences have no word that the vocabulary knows" in outcome.line


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


def test_what_would_break_a_row_is_a_space() -> None:
    translated = TranslatedSentence(["</s>"], 0, [Candidate("a\nb\tc\rd", -0.5, [])])
    assert line(translated) == "a b c d\n"
    assert rows(7, translated) == "7\t-0.5000\ta b c d\n"


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
    # Each word but the special ones, and none at all.
    assert len(texts) == len(set(texts)) == beam_size - 3 - 4 + 1


def test_long_sentences_are_translated_and_counted(say: Translate, copied: Callable[[str], Path]) -> None:
    run = copied("short")
    change_config(run, lambda config: config["data"].update(max_length=6))
    outcome = say(f"run={run}", piped=piped(SENTENCES))
    assert outcome.stdout == say(piped=piped(SENTENCES)).stdout
    assert "rnnexp: warning: 2 sentences have more than data.max_length=6 tokens" in outcome.line


def test_two_copies_of_a_run_are_that_run(say: Translate, copied: Callable[[str], Path], translator: Path) -> None:
    outcome = say(f"run=[{translator},{copied('twin')}]", piped=piped(SENTENCES))
    assert lines_of(outcome) == lines_of(say(piped=piped(SENTENCES)))


def test_two_runs_vote(say: Translate, copied: Callable[[str], Path], translator: Path) -> None:
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
def test_runs_of_different_vocabularies_cannot_vote(
    say: Translate, copied: Callable[[str], Path], translator: Path, side: str
) -> None:
    run = copied("other")

    def swap(checkpoint: dict[str, Any]) -> None:
        vocabulary = checkpoint["tokenizers"][f"{side}_tokenizer"]["vocabulary"]
        vocabulary[-1], vocabulary[-2] = vocabulary[-2], vocabulary[-1]

    change_checkpoint(run, swap)
    outcome = say(f"run=[{translator},{run}]")
    assert outcome.exit_code == 2
    assert f"{translator} and {run} cannot vote, as their {side} vocabularies differ" in outcome.line


def test_needs_the_run_directory_alone(
    say: Translate, copied: Callable[[str], Path], translator: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has been moved, where it stood is nothing, and neither its data nor its loggers can be made."""
    run = copied("moved")
    (run / "config.yaml").write_text((run / "config.yaml").read_text().replace(str(translator), "/nowhere"))
    change_config(run, lambda config: config["data"].update(_target_="nowhere.Nothing", root="/nowhere"))
    change_config(run, lambda config: config.update(logger={"csv": {"_target_": "nowhere.Nothing"}}))
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert lines_of(say("run=../moved", piped=piped(SENTENCES))) == lines_of(say(piped=piped(SENTENCES)))
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    assert list(Path().iterdir()) == []


def test_weights_are_those_the_run_tested(say: Translate, copied: Callable[[str], Path]) -> None:
    run = copied("averaged")

    def zero(checkpoint: dict[str, Any]) -> None:
        for tensor in checkpoint["state_dict"].values():
            tensor.zero_()

    shutil.copy(run / "checkpoints" / "best.ckpt", run / "checkpoints" / "average.ckpt")
    change_checkpoint(run, zero, "average.ckpt")
    best = say(f"run={run}", piped=piped(SENTENCES)).stdout
    change_config(run, lambda config: config.update(test_weights="average"))
    average = say(f"run={run}", piped=piped(SENTENCES)).stdout
    assert average != best
    assert say(f"run={run}", "weights=average", piped=piped(SENTENCES)).stdout == average
    assert say(f"run={run}", "weights=best", piped=piped(SENTENCES)).stdout == best


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


def test_a_run_without_attention_has_none_to_show(say: Translate, copied: Callable[[str], Path]) -> None:
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
    monkeypatch.setattr(sentence_progress, "EVERY_SECONDS", 0.0)
    (tmp_path / "text.en").write_bytes(piped(SENTENCES))
    outcome = say(f"input={tmp_path}/text.en", "batch_size=4")
    first, second = outcome.stderr.splitlines()
    assert first.startswith("translated 4 of 7 sentences, ")
    assert "/s, about 0:0" in first
    assert second.startswith("translated 7 of 7 sentences, ")
    assert second.endswith(" left")
    assert len(lines_of(outcome)) == len(SENTENCES)
    (only,) = say(piped=piped(SENTENCES)).stderr.splitlines()
    assert only.startswith("translated 7 sentences, ")


def test_progress_as_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen, out = Terminal(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(sys, "stdout", out)
    with sentence_progress.progress(total=3) as advance:
        print("a translation")
        advance(3)
    assert out.getvalue() == "a translation\n"
    assert "3/3" in screen.getvalue()
    assert "a translation" not in screen.getvalue()


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
        (["output={tmp}"], "is there and is no file"),
        (["input={tmp}/text.en", "output={tmp}/../{tmp.name}/text.en"], "is the input, which would be lost: name"),
        (["output=/dev/null"], "output /dev/null is there and is no file"),
        (["input={tmp}/text.e"], "text.e is missing; did you mean 'text.en'?"),
        (["input={tmp}"], "cannot be read (Is a directory)"),
        (["input={tmp}/bad.en"], "bad.en: line 3: not UTF-8 (byte 0xe9): convert the file to UTF-8"),
        (["run={tmp}"], "is not a run directory: it has no config.yaml"),
        (["run=[]"], "run names no run: give it one, run=..."),
        (["weights=bets"], "unknown weights 'bets': choose one of best, last, average; did you mean 'best'?"),
        (["weights=average"], "has no epochs to average: choose weights=best or weights=last"),
        (["n_bets=2"], "unknown key 'n_bets'; did you mean 'n_best'?"),
    ],
)
def test_bad_input(say: Translate, tmp_path: Path, overrides: list[str], message: str) -> None:
    (tmp_path / "text.en").write_text("The cat sleeps.\n")
    (tmp_path / "bad.en").write_bytes(b"a\nb\ncaf\xe9\n")
    outcome = say(*(override.format(tmp=tmp_path) for override in overrides), piped=b"The cat sleeps.\n")
    assert outcome.exit_code == 2
    assert message in outcome.line
    assert outcome.stdout == ""


def test_a_run_must_be_named(tmp_path: Path) -> None:
    outcome = call(translate.main, tmp_path, [])
    assert outcome.exit_code == 2
    assert "run has no value: give it one, run=..." in outcome.line


def test_a_standard_input_that_is_closed(tmp_path: Path, translator: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    outcome = call(translate.main, tmp_path, [f"run={translator}"])
    assert outcome.exit_code == 2
    assert "standard input is closed: give it sentences, or input=FILE" in outcome.line


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
    assert "cut short or damaged" in outcome.line


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


def test_a_vocabulary_that_is_none(say: Translate, copied: Callable[[str], Path]) -> None:
    run = copied("speechless")
    path = change_checkpoint(run, lambda checkpoint: checkpoint.update(tokenizers={"source_tokenizer": {}}))
    outcome = say(f"run={run}")
    assert outcome.exit_code == 2
    assert f"checkpoint {path} holds no sound vocabulary" in outcome.line


def command(run: Path, *overrides: str) -> list[str]:
    return [sys.executable, "-m", "rnnexp.translate", f"run={run}", "accelerator=cpu", *overrides]


needs_setsid = pytest.mark.skipif(shutil.which("setsid") is None, reason="gives a program its own terminal; of Linux")


class Terminal:
    """A program at a terminal."""

    def __init__(self, arguments: list[str]) -> None:
        self.master, slave = pty.openpty()
        # In a session of its own, with the terminal as its own, so that Ctrl-C reaches it.
        shell = ["setsid", "--ctty", "--wait", *arguments]
        self.process = subprocess.Popen(shell, stdin=slave, stdout=slave, stderr=slave)
        os.close(slave)

    def read_until(self, text: str) -> str:
        """What is on the screen up to the text; to the end if it does not come."""
        seen = b""
        while not seen.endswith(text.encode()) or not text:
            try:
                chunk = os.read(self.master, 1)
            except OSError:  # Linux's word for the end
                break
            if not chunk:
                break
            seen += chunk
        return seen.decode().replace("\r\n", "\n")

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def end(self) -> tuple[str, int]:
        """What is still shown, and the exit code."""
        rest = self.read_until("")
        os.close(self.master)
        return rest, self.process.wait(timeout=60)


@pytest.mark.slow
@needs_setsid
def test_at_a_terminal_each_line_is_answered(translator: Path, say: Translate) -> None:
    terminal = Terminal(command(translator))
    assert terminal.read_until("> ") == "en to fr, a sentence a line; Ctrl-D ends\n> "
    for sentence in ("The cat sleeps.", ""):
        (expected,) = lines_of(say(piped=piped([sentence])))
        terminal.type(f"{sentence}\n")
        assert terminal.read_until("> ") == f"{sentence}\n{expected}\n> "
    terminal.type("qwxzé 猫\n")
    assert "1 sentence has no word that the vocabulary knows" in terminal.read_until("> ")
    terminal.type("\x04")
    assert terminal.end() == ("\n", 0)


@pytest.mark.slow
@needs_setsid
def test_ctrl_c_at_the_prompt_ends_quietly(translator: Path) -> None:
    terminal = Terminal(command(translator))
    terminal.read_until("> ")
    terminal.type("\x03")
    assert terminal.end() == ("^C\n", 130)


@pytest.mark.slow
def test_a_slow_pipe_is_answered_batch_by_batch_and_in_utf8_whatever_the_locale(translator: Path) -> None:
    environment = os.environ | {"PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0", "LC_ALL": "C"}
    process = subprocess.Popen(
        command(translator, "batch_size=1", "attention=true"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("The été 猫 sleeps.\n".encode())
    process.stdin.flush()
    assert process.stdout.readline()
    rest, stderr = process.communicate()
    assert process.returncode == 0, stderr
    assert "│" in rest.decode("utf-8")
    shutil.rmtree(translator / "translations")


@pytest.mark.slow
def test_a_reader_that_has_had_enough_ends_it_quietly(translator: Path, tmp_path: Path) -> None:
    (tmp_path / "text.en").write_bytes(piped(SENTENCES * 30))
    process = subprocess.Popen(
        command(translator, f"input={tmp_path}/text.en", "batch_size=1"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(timeout=60) == 141
    process.stderr.close()
