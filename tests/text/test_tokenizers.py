import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from rnnexp.core.errors import UserError
from rnnexp.text.tokenizers import UNITS, Tokenizer, train_tokenizer
from rnnexp.text.vocabulary import BOS, EOS, PAD, SPECIAL_TOKENS, UNK

WORDS = ["Un", "homme", "l'eau", "été", "où", "Mädchen", "straße", "runs", "running", "it's", "a", "b", "(hé!)", "2,5"]


def sentences(count: int, seed: int) -> list[str]:
    generator = random.Random(seed)
    return [" ".join(generator.choices(WORDS, k=generator.randint(1, 12))) + "." for _ in range(count)]


TRAIN, OTHER = sentences(300, seed=0), sentences(50, seed=1)


@pytest.fixture(params=sorted(UNITS))
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return train_tokenizer(request.param, TRAIN, vocab_size=290, min_frequency=1)


def test_the_special_tokens_come_first(tokenizer: Tokenizer) -> None:
    assert tuple(tokenizer.vocabulary[:4]) == SPECIAL_TOKENS
    assert tokenizer.tokens([PAD, UNK, BOS, EOS]) == list(SPECIAL_TOKENS)
    assert len(set(tokenizer.vocabulary)) == len(tokenizer)


def test_raw_text_is_restored(tokenizer: Tokenizer) -> None:
    encoded = tokenizer.encode_batch(TRAIN + OTHER)
    assert [tokenizer.decode(ids) for ids in encoded] == TRAIN + OTHER
    assert [tokenizer.encode(sentence) for sentence in OTHER] == encoded[len(TRAIN) :]
    assert all(len(SPECIAL_TOKENS) <= index < len(tokenizer) for ids in encoded for index in ids)


def test_an_empty_line_has_no_tokens(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode_batch(["", "Un"])[0] == []
    assert tokenizer.decode([]) == ""


def test_decoding_ends_at_the_first_eos_and_skips_padding(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode("Un homme")
    assert tokenizer.decode([BOS, *ids, EOS, *ids, EOS, PAD, PAD]) == "Un homme"


def test_special_tokens_in_a_text_are_text(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode("<eos> <pad> <bos>")
    assert not {PAD, BOS, EOS} & set(ids)


def test_training_is_deterministic(tokenizer: Tokenizer) -> None:
    again = train_tokenizer(tokenizer.unit, TRAIN, vocab_size=290, min_frequency=1)
    assert again.digest == tokenizer.digest
    assert again.digest != train_tokenizer(tokenizer.unit, [*TRAIN, *["Neuzeit"] * 999], 290, 1).digest


def test_a_tokenizer_is_saved_as_plain_data(tokenizer: Tokenizer, tmp_path: Path) -> None:
    torch.save({"tokenizer": tokenizer.to_plain()}, tmp_path / "a.ckpt")
    plain = torch.load(tmp_path / "a.ckpt", weights_only=True)["tokenizer"]
    copy = Tokenizer.from_plain(plain)
    assert type(copy) is type(tokenizer)
    assert copy.digest == tokenizer.digest
    odd = [*OTHER, "何 🎉 unseen"]
    assert copy.encode_batch(odd) == tokenizer.encode_batch(odd)


def test_bpe_merges_frequent_pairs_and_encodes_every_character() -> None:
    tokenizer = train_tokenizer("bpe", TRAIN, vocab_size=320, min_frequency=1)
    assert len(tokenizer) == 320
    assert tokenizer.tokens(tokenizer.encode("Un homme.")) == [" Un", " homme", "."]
    for text in ("何 🎉\u202f!", "<unk> ￭ Ġ", " two  spaces ", "tab\tnbsp\xa0", "e\u0301"):
        ids = tokenizer.encode(text)
        assert UNK not in ids
        assert tokenizer.decode(ids) == text


def test_bpe_ids_that_are_not_utf8_decode_to_replacement_characters() -> None:
    tokenizer = train_tokenizer("bpe", TRAIN, vocab_size=280, min_frequency=1)
    first_byte = tokenizer.encode("何")[1]
    assert tokenizer.decode([*tokenizer.encode("a"), first_byte, UNK]) == "a\ufffd <unk>"


def test_a_text_that_supports_fewer_tokens() -> None:
    tokenizer = train_tokenizer("bpe", ["low low lower lowest"] * 3, vocab_size=9000, min_frequency=2)
    assert 260 < len(tokenizer) < 300
    assert tokenizer.decode(tokenizer.encode("low lower slow")) == "low lower slow"
    assert len(tokenizer.encode("lowest")) == 1


@pytest.mark.parametrize(
    "text",
    ["ab" * 50_000, "word " * 20_000, "我今天早上" * 20_000, "!" * 50_000, "l'" * 50_000, "a" + " " * 50_000 + "b"],
)
@pytest.mark.parametrize("unit", ["bpe", "word", "char"])
def test_long_words_and_lines_take_linear_time(unit: str, text: str) -> None:
    start = time.monotonic()
    tokenizer = train_tokenizer(unit, [*TRAIN, text.strip()], vocab_size=400, min_frequency=1)
    decoded = tokenizer.decode(tokenizer.encode(text.strip()))
    assert decoded == text.strip() or unit == "word"
    assert time.monotonic() - start < 20  # 0.5 s alone; quadratic time would be minutes


def test_bpe_vocabulary_without_room_for_bytes() -> None:
    with pytest.raises(UserError, match=r"data\.vocab_size=100 is too small: 256 bytes and 4 special tokens take 260"):
        train_tokenizer("bpe", TRAIN, vocab_size=100, min_frequency=2)
    assert len(train_tokenizer("bpe", TRAIN, vocab_size=260, min_frequency=2)) == 260


def test_rare_words_are_unknown() -> None:
    tokenizer = train_tokenizer("word", ["a b c", "a b"], vocab_size=0, min_frequency=2)
    assert tokenizer.vocabulary[4:] == ["a", "b"]
    assert tokenizer.encode("c b") == [UNK, 5]
    assert tokenizer.decode([UNK, 5]) == "<unk> b"
    with pytest.raises(UserError, match=r"no word of the training text occurs data\.min_frequency=3 times: lower it"):
        train_tokenizer("word", ["a b c", "a b"], vocab_size=0, min_frequency=3)


def test_only_unknown_text_is_encoded() -> None:
    for unit in ("word", "char"):
        tokenizer = train_tokenizer(unit, TRAIN, vocab_size=0, min_frequency=1)
        ids = tokenizer.encode("何何 何")
        assert set(ids) - set(tokenizer.encode(" ")) == {UNK}


def test_unknown_units_and_vocabularies_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"unknown data\.unit 'wrod': choose one of bpe, word, char; did you mean 'word"
    ):
        train_tokenizer("wrod", TRAIN, 300, 1)
    with pytest.raises(ValueError, match=r"unknown data\.unit 'syllable'"):
        Tokenizer.from_plain({"unit": "syllable", "vocabulary": []})
    with pytest.raises(ValueError, match="a vocabulary must begin with <pad>, <unk>, <bos>, <eos>"):
        Tokenizer.from_plain({"unit": "word", "vocabulary": ["a", "b"]})


def test_importing_leaves_the_environment_unchanged() -> None:
    code = """
import os
os.environ.pop("TOKENIZERS_PARALLELISM", None)  # a library may have set it in the parent
before = dict(os.environ)
import rnnexp.text.tokenizers
assert os.environ == before, set(os.environ.items()) ^ set(before.items())
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_process_that_has_encoded_can_fork_without_a_warning() -> None:
    """Older versions of the library warn on the terminal unless TOKENIZERS_PARALLELISM is set."""
    code = """
import os
import subprocess
from rnnexp.text.tokenizers import train_tokenizer
os.environ.pop("TOKENIZERS_PARALLELISM", None)
sentences = [f"the words of sentence {number}" for number in range(2000)]
train_tokenizer("bpe", sentences, 300, 2).encode_batch(sentences)
subprocess.run(["true"], check=True)
if not os.fork():
    os._exit(0)
os.wait()
"""
    # From Python 3.12 on, fork itself warns in a process with threads.
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code]
    done = subprocess.run(command, check=True, timeout=60, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("", "")
