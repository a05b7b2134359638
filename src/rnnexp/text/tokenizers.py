"""Text to token ids and back: byte-pair encoding, whole words, or characters.

A tokenizer is trained once, on the training split, and then travels as plain data inside the checkpoints of the models
that read its ids. The first four ids are those of rnnexp.text.vocabulary.
"""

import hashlib
import json
import os
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self

from rnnexp.core.errors import UserError
from rnnexp.core.validation import lookup
from rnnexp.text.vocabulary import BOS, EOS, PAD, SPECIAL_TOKENS, UNK
from rnnexp.text.word_pieces import JOINER, join_pieces, split_pieces

# Corpora are encoded once, and a process that forks after its threads were used is warned about on the terminal.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from tokenizers import Tokenizer as Engine
from tokenizers import decoders, models, pre_tokenizers, trainers

Plain = dict[str, Any]
"""Strings, numbers, lists and dicts: what `torch.load(..., weights_only=True)` admits."""


class Tokenizer(ABC):
    """A vocabulary, and the rule by which text becomes a sequence of its ids.

    Args:
        vocabulary: every token by its id, the special ones first.
    """

    unit: ClassVar[str]

    def __init__(self, vocabulary: Sequence[str]) -> None:
        if tuple(vocabulary[: len(SPECIAL_TOKENS)]) != SPECIAL_TOKENS:
            raise ValueError(f"a vocabulary must begin with {', '.join(SPECIAL_TOKENS)}, not {vocabulary[:4]}")
        self.vocabulary = list(vocabulary)

    @classmethod
    @abstractmethod
    def train(cls, sentences: Sequence[str], vocab_size: int, min_frequency: int) -> Self:
        """A tokenizer of those sentences; see `train_tokenizer`."""

    @staticmethod
    def from_plain(plain: Mapping[str, Any]) -> "Tokenizer":
        """The tokenizer of which this is the `to_plain`.

        Raises:
            ValueError: for a unit that does not exist, or a vocabulary that does not begin as it must.
        """
        return lookup("data.unit", plain["unit"], UNITS).restore(plain)

    @classmethod
    def restore(cls, plain: Mapping[str, Any]) -> Self:
        """The tokenizer of this class of which this is the `to_plain`."""
        return cls(plain["vocabulary"])

    def to_plain(self) -> Plain:
        """All of it as plain data."""
        return {"unit": self.unit, "vocabulary": self.vocabulary}

    def __len__(self) -> int:
        """Tokens in the vocabulary, the special ones included."""
        return len(self.vocabulary)

    @property
    def digest(self) -> str:
        """SHA-256 of its plain data: two tokenizers with the same digest give the same ids."""
        return hashlib.sha256(json.dumps(self.to_plain(), sort_keys=True).encode()).hexdigest()

    @abstractmethod
    def encode_batch(self, sentences: Sequence[str]) -> list[list[int]]:
        """The ids of each sentence, without BOS and EOS; UNK for what is not in the vocabulary."""

    def encode(self, sentence: str) -> list[int]:
        """The ids of one sentence, without BOS and EOS."""
        return self.encode_batch([sentence])[0]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of the ids up to the first EOS, without BOS and PAD; UNK shows as `<unk>`."""
        wanted: list[int] = []
        for index in ids:
            if index == EOS:
                break
            if index not in (PAD, BOS):
                wanted.append(index)
        return self.join(wanted)

    @abstractmethod
    def join(self, ids: Sequence[int]) -> str:
        """The text of ids among which are no PAD, BOS and EOS."""

    def tokens(self, ids: Iterable[int]) -> list[str]:
        """Each token as people can read it, special ones too, for the axes of a figure."""
        return [without_joiners(self.vocabulary[index]) for index in ids]


def without_joiners(token: str) -> str:
    """A token as it stands in text; where it is nothing but a joiner, the joiner."""
    return token.replace(f" {JOINER}", "").replace(JOINER, "") or token


class PieceTokenizer(Tokenizer):
    """A tokenizer whose tokens are pieces of the text itself."""

    def __init__(self, vocabulary: Sequence[str]) -> None:
        super().__init__(vocabulary)
        # Without the special tokens: a user's text that spells one out is text.
        self._ids = {token: index for index, token in enumerate(self.vocabulary) if index >= len(SPECIAL_TOKENS)}

    @staticmethod
    @abstractmethod
    def split(sentence: str) -> Iterable[str]:
        """The pieces of a text."""

    def encode_batch(self, sentences: Sequence[str]) -> list[list[int]]:
        return [[self._ids.get(piece, UNK) for piece in self.split(sentence)] for sentence in sentences]


class WordTokenizer(PieceTokenizer):
    """The words and marks of rnnexp.text.word_pieces: text of known words comes back, with single spaces."""

    unit = "word"

    @classmethod
    def train(cls, sentences: Sequence[str], vocab_size: int, min_frequency: int) -> Self:  # noqa: ARG003
        """Every word that occurs at least `min_frequency` times, the most frequent first."""
        counts = Counter(piece for sentence in sentences for piece in cls.split(sentence))
        frequent = sorted((-count, word) for word, count in counts.items() if count >= min_frequency)
        if not frequent:
            raise UserError(f"no word of the training text occurs data.min_frequency={min_frequency} times: lower it")
        return cls([*SPECIAL_TOKENS, *(word for _count, word in frequent)])

    @staticmethod
    def split(sentence: str) -> Iterable[str]:
        return filter(None, split_pieces(sentence))  # between two spaces is an empty piece

    def join(self, ids: Sequence[int]) -> str:
        return join_pieces(self.vocabulary[index] for index in ids)


class CharTokenizer(PieceTokenizer):
    """Characters: text of known characters comes back exactly."""

    unit = "char"

    @classmethod
    def train(cls, sentences: Sequence[str], vocab_size: int, min_frequency: int) -> Self:  # noqa: ARG003
        """Every character that occurs."""
        return cls([*SPECIAL_TOKENS, *sorted(set().union(*sentences))])

    @staticmethod
    def split(sentence: str) -> Iterable[str]:
        return sentence

    def join(self, ids: Sequence[int]) -> str:
        return "".join(self.vocabulary[index] for index in ids)


class BPETokenizer(Tokenizer):
    """Byte-pair encoding (Sennrich et al., 2016, P16-1162) of the UTF-8 bytes of words and marks.

    Every text comes back exactly, whatever its characters: a byte that was never merged is a token too, so nothing is
    unknown. The words and marks are those of rnnexp.text.word_pieces; a token that begins one begins with a space.

    Args:
        vocabulary: every token by its id. Bytes are written as the `tokenizers` library does: as printable characters.
        merges: the two tokens that each merge makes one of, in the order in which they were learned.
    """

    unit = "bpe"

    def __init__(self, vocabulary: Sequence[str], merges: Sequence[tuple[str, str]]) -> None:
        super().__init__(vocabulary)
        self.merges = [(left, right) for left, right in merges]
        ids = {token: index for index, token in enumerate(self.vocabulary)}
        # The special tokens are in the vocabulary only to hold their ids: as special tokens of the engine they would
        # be found in a user's text.
        self._engine = make_engine(models.BPE(vocab=ids, merges=self.merges))

    @classmethod
    def train(cls, sentences: Sequence[str], vocab_size: int, min_frequency: int) -> Self:
        """As many tokens as asked for; a pair that occurs less than `min_frequency` times is not merged."""
        engine = make_engine(models.BPE())
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size,
            min_frequency=min_frequency,
            special_tokens=list(SPECIAL_TOKENS),
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
        engine.train_from_iterator(map(mark, sentences), trainer)
        learned = json.loads(engine.to_str())["model"]
        vocabulary = sorted(learned["vocab"], key=learned["vocab"].__getitem__)
        if len(vocabulary) < vocab_size:
            raise UserError(
                f"data.vocab_size={vocab_size} is more than the training text supports: pairs that occur at least "
                f"data.min_frequency={min_frequency} times make {len(vocabulary)} tokens: "
                f"choose data.vocab_size={len(vocabulary)} or less"
            )
        if len(vocabulary) > vocab_size:
            raise UserError(
                f"data.vocab_size={vocab_size} is too small: 256 bytes and {len(SPECIAL_TOKENS)} special tokens "
                f"take {len(vocabulary)}: choose more, or data.unit=char"
            )
        return cls(vocabulary, learned["merges"])

    @classmethod
    def restore(cls, plain: Mapping[str, Any]) -> Self:
        return cls(plain["vocabulary"], plain["merges"])

    def to_plain(self) -> Plain:
        return super().to_plain() | {"merges": [list(merge) for merge in self.merges]}

    def encode_batch(self, sentences: Sequence[str]) -> list[list[int]]:
        encodings = self._engine.encode_batch_fast([mark(sentence) for sentence in sentences])
        return [encoding.ids for encoding in encodings]

    def join(self, ids: Sequence[int]) -> str:
        # An UNK that a model wrote is no bytes: it is a word of its own.
        tokens = [f"{SPACE}{SPECIAL_TOKENS[UNK]}" if index == UNK else self.vocabulary[index] for index in ids]
        text = BYTES.decode(tokens)
        return join_pieces(text.removeprefix(" ").split(" "))

    def tokens(self, ids: Iterable[int]) -> list[str]:
        return [without_joiners(BYTES.decode([self.vocabulary[index]])) for index in ids]


BYTES = decoders.ByteLevel()
SPACE = "Ġ"
"""The printable character that stands for the byte of a space."""


def make_engine(model: models.BPE) -> Engine:
    """Merges the bytes of each piece, the space before it included."""
    engine = Engine(model)
    engine.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(" ", behavior="merged_with_next"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return engine


def mark(sentence: str) -> str:
    """The pieces of a sentence, each after a space; of an empty sentence nothing."""
    return "".join(f" {piece}" for piece in split_pieces(sentence)) if sentence else ""


UNITS: Mapping[str, type[Tokenizer]] = {kind.unit: kind for kind in (BPETokenizer, WordTokenizer, CharTokenizer)}


def train_tokenizer(unit: str, sentences: Sequence[str], vocab_size: int, min_frequency: int) -> Tokenizer:
    """A tokenizer of the training split.

    Args:
        unit: `bpe`, `word` or `char`.
        sentences: of one language, or of both for a joint vocabulary.
        vocab_size: tokens of `bpe`, the special ones included.
        min_frequency: how often a `word` must occur to be known, or a pair of `bpe` to be merged.

    Raises:
        ValueError: for another unit.
        UserError: for a vocabulary that the text does not support.
    """
    return lookup("data.unit", unit, UNITS).train(sentences, vocab_size, min_frequency)
