"""A corpus is encoded and cached in a file."""

import logging
import os
import random
import subprocess
import sys
import zipfile
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
import torch

from rnnexp.core.errors import UserError
from rnnexp.data.text.encoding import EncodedCorpus, Units, load_or_encode
from rnnexp.data.text.parallel_text import CorpusContent, ParallelText
from rnnexp.text.vocabulary import BOS, EOS

UNITS = Units("bpe", vocab_size=275, min_frequency=2, joint=True)


def make_text(count: int, seed: int) -> ParallelText:
    generator = random.Random(seed)
    words = ["one", "two", "three", "four,"]
    sources = [" ".join(generator.choices(words, k=generator.randint(0, 7))) for _ in range(count)]
    return ParallelText(sources, [sentence.upper() + " !" for sentence in sources])


@pytest.fixture
def content() -> CorpusContent:
    return CorpusContent({"train": make_text(80, 0), "val": make_text(9, 1), "test": make_text(7, 2)}, {})


def files(cache: Path) -> list[Path]:
    return sorted(path for path in cache.rglob("*") if path.is_file() and path.name != ".lock")


def assert_same(first: EncodedCorpus, second: EncodedCorpus) -> None:
    assert first.tokenizers.source.digest == second.tokenizers.source.digest
    assert first.tokenizers.target.digest == second.tokenizers.target.digest
    assert list(first.splits) == list(second.splits) == ["train", "val", "test"]
    for split, pairs in first.splits.items():
        for side, other in zip(pairs, second.splits[split], strict=True):
            assert torch.equal(side.tokens, other.tokens)
            assert torch.equal(side.offsets, other.offsets)
            assert (side.tokens.dtype, side.offsets.dtype) == (other.tokens.dtype, other.offsets.dtype)


@pytest.mark.parametrize("joint", [True, False])
@pytest.mark.parametrize("unit", ["bpe", "word", "char"])
def test_every_sentence_is_encoded(content: CorpusContent, unit: str, joint: bool) -> None:
    encoded = load_or_encode(content, replace(UNITS, unit=unit, joint=joint, vocab_size=270), None)
    assert (encoded.tokenizers.source is encoded.tokenizers.target) == joint
    for split, text in content.splits.items():
        source, target = encoded.splits[split]
        for side, sentences, tokenizer, begin in (
            (source, text.sources, encoded.tokenizers.source, []),
            (target, text.targets, encoded.tokenizers.target, [BOS]),
        ):
            assert side.tokens.dtype == torch.int32
            assert len(side.lengths) == len(sentences)
            ids = [part.tolist() for part in torch.split(side.tokens, side.lengths.tolist())]
            assert ids == [[*begin, *tokenizer.encode(sentence), EOS] for sentence in sentences]


def test_tokenizers_are_trained_on_the_training_split_only(content: CorpusContent) -> None:
    strange = ParallelText(["quetzal quetzal"], ["quetzal quetzal"])
    other = CorpusContent({**content.splits, "val": strange, "test": strange}, {})
    units = replace(UNITS, unit="word")
    first, second = (load_or_encode(each, units, None) for each in (content, other))
    assert first.tokenizers.source.digest == second.tokenizers.source.digest


@pytest.mark.parametrize("joint", [True, False])
def test_the_cache_returns_the_encoded_corpus(content: CorpusContent, tmp_path: Path, joint: bool) -> None:
    units = replace(UNITS, joint=joint)
    first = load_or_encode(content, units, tmp_path)
    (path,) = files(tmp_path)
    written = path.stat().st_mtime_ns
    second = load_or_encode(content, units, tmp_path)
    assert_same(first, second)
    assert (second.tokenizers.source is second.tokenizers.target) == joint
    assert path.stat().st_mtime_ns == written
    assert isinstance(torch.load(path, weights_only=True), dict)


def test_another_text_or_another_unit_is_another_file(content: CorpusContent, tmp_path: Path) -> None:
    text = content.splits["train"]
    changed = ParallelText([*text.sources[:-1], "four"], text.targets)
    corpora = [content, CorpusContent({**content.splits, "train": changed}, {})]
    units = [UNITS, replace(UNITS, vocab_size=270), replace(UNITS, joint=False), replace(UNITS, unit="char")]
    for corpus in corpora:
        for unit in units:
            load_or_encode(corpus, unit, tmp_path)
    assert len(files(tmp_path)) == len(corpora) * len(units)


def test_the_digest_depends_on_where_sentences_end() -> None:
    texts = [ParallelText(["a", "b c"], ["x", "y"]), ParallelText(["a b", "c"], ["x", "y"]), ParallelText(["a"], ["b"])]
    moved = [CorpusContent({"train": text, "val": texts[0], "test": texts[0]}, {}).digest() for text in texts]
    assert len(set(moved)) == 3


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flip(content: bytes) -> bytes:
    with zipfile.ZipFile(BytesIO(content)) as archive:
        tensor = archive.read(next(name for name in archive.namelist() if name.endswith("/data/0")))
    place = content.index(tensor) + 9
    return content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :]


def empty(_content: bytes) -> bytes:
    return b""


def other_tensors(content: bytes) -> bytes:  # noqa: ARG001
    return b"PK\x05\x06" + bytes(18)  # an empty but valid archive


@pytest.mark.parametrize("damage", [cut, flip, empty, other_tensors])
def test_a_damaged_file_is_rebuilt(
    content: CorpusContent, tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: object
) -> None:
    first = load_or_encode(content, UNITS, tmp_path)
    (path,) = files(tmp_path)
    sound = path.read_bytes()
    assert callable(damage)
    path.write_bytes(damage(sound))
    with caplog.at_level(logging.WARNING):
        assert_same(load_or_encode(content, UNITS, tmp_path), first)
    (line,) = caplog.messages
    assert line.startswith(f"{path} is damaged (")
    assert line.endswith("): encoding the corpus again")
    assert "\n" not in line
    assert_same(load_or_encode(content, UNITS, tmp_path), first)
    assert len(caplog.messages) == 1


def test_a_file_with_fewer_sentences_is_rebuilt(
    content: CorpusContent, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = load_or_encode(content, UNITS, tmp_path)
    (path,) = files(tmp_path)
    state = torch.load(path, weights_only=True)
    tokens, offsets = state["val"]["target"]
    torch.save(state | {"val": state["val"] | {"target": (tokens, offsets[:-1])}}, path)
    with caplog.at_level(logging.WARNING):
        assert_same(load_or_encode(content, UNITS, tmp_path), first)
    assert "is damaged (its val split is incomplete)" in caplog.text


def test_a_cache_of_somebody_else_is_read(content: CorpusContent, tmp_path: Path) -> None:
    first = load_or_encode(content, UNITS, tmp_path)
    (path,) = files(tmp_path)
    lock = path.parent / ".lock"
    lock.unlink()
    # In place of a lock file that only its owner may write.
    lock.mkdir()
    assert_same(load_or_encode(content, UNITS, tmp_path), first)


def test_a_cache_that_cannot_be_written(content: CorpusContent, tmp_path: Path) -> None:
    (tmp_path / "a-file").write_text("", encoding="utf-8")
    with pytest.raises(UserError, match=r"a-file/.*: cannot be written to \(.*\): name another place with data.cache="):
        load_or_encode(content, UNITS, tmp_path / "a-file")


ENCODE = """
import logging, sys
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
from pathlib import Path
from rnnexp.data.text.encoding import Units, load_or_encode
from rnnexp.data.text.parallel_text import CorpusContent, ParallelText
words = [f"word{number % 977}" for number in range(40_000)]
text = ParallelText([" ".join(words[start:start + 10]) for start in range(0, 40_000, 10)], words[:4000])
print("ready", flush=True)
sys.stdin.read(1)
content = CorpusContent({"train": text, "val": text, "test": text}, {})
load_or_encode(content, Units("bpe", 500, 2, True), Path(sys.argv[1]))
"""


def test_two_processes_encode_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", ENCODE, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    processes = [
        subprocess.Popen(command, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, **pipes) for _ in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("g")
        process.stdin.flush()
    outputs = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert [error for _output, error in outputs] == ["", ""]
    assert sum("encoded the corpus in" in output for output, _error in outputs) == 1
    assert any("another process is encoding this corpus; waiting for it" in output for output, _error in outputs)
    assert len(files(tmp_path)) == 1
