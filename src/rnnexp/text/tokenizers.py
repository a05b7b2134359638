"""Tokenizers, from text to token ids and back: byte-pair encoding, whole words, or characters.

A tokenizer is trained once, on the training split, and then saved as plain data in the checkpoints of the models that
read its ids. The first four ids are those of rnnexp.text.vocabulary.
"""

import hashlib
import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self

from tokenizers import Tokenizer as Engine
from tokenizers import decoders, models, pre_tokenizers, trainers

from rnnexp.core.errors import UserError
from rnnexp.core.validation import lookup
from rnnexp.text.vocabulary import BOS, EOS, PAD, SPECIAL_TOKENS, UNK
from rnnexp.text.word_pieces import JOINER, join_pieces, split_pieces

Plain = dict[str, Any]
"""Strings, numbers, lists and dicts, which `torch.load(..., weights_only=True)` can load."""


class Tokenizer(ABC):
    """A vocabulary and the rule that turns text into a sequence of its ids.

    Args:
        vocabulary: the token of each id, the special ones first.
    """

    unit: ClassVar[str]

    def __init__(self, vocabulary: Sequence[str]) -> None:
        if tuple(vocabulary[: len(SPECIAL_TOKENS)]) != SPECIAL_TOKENS:
            raise ValueError(f"a vocabulary must begin with {', '.join(SPECIAL_TOKENS)}, not {vocabulary[:4]}")
        self.vocabulary = list(vocabulary)

    @classmethod
    @abstractmethod
    def train(cls, sentences: Sequence[str], vocab_size: int, min_frequency: int) -> Self:
        """Return a tokenizer trained on sentences; see `train_tokenizer`."""

    @staticmethod
    def from_plain(plain: Mapping[str, Any]) -> "Tokenizer":
        """Return the tokenizer that `to_plain` was called on.

        Raises:
            ValueError: for a unit that does not exist, or a vocabulary that does not begin with the special tokens.
        """
        return lookup("data.unit", plain["unit"], UNITS).restore(plain)

    @classmethod
    def restore(cls, plain: Mapping[str, Any]) -> Self:
        """Return the tokenizer of this class that `to_plain` was called on."""
        return cls(plain["vocabulary"])

    def to_plain(self) -> Plain:
        """Return the tokenizer as plain data."""
        return {"unit": self.unit, "vocabulary": self.vocabulary}

    def __len__(self) -> int:
        """Return the number of tokens in the vocabulary, the special ones included."""
        return len(self.vocabulary)

    @property
    def digest(self) -> str:
        """The SHA-256 of the plain data: two tokenizers with the same digest return the same ids."""
        return hashlib.sha256(json.dumps(self.to_plain(), sort_keys=True).encode()).hexdigest()

    @abstractmethod
    def encode_batch(self, sentences: Sequence[str]) -> list[list[int]]:
        """Return the ids of each sentence, without BOS and EOS; UNK for a piece that is not in the vocabulary."""

    def encode(self, sentence: str) -> list[int]:
        """Return the ids of one sentence, without BOS and EOS."""
        return self.encode_batch([sentence])[0]

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of the ids up to the first EOS, without BOS and PAD; UNK is written `<unk>`."""
        kept: list[int] = []
        for index in ids:
            if index == EOS:
                break
            if index not in (PAD, BOS):
                kept.append(index)
        return self.join(kept)

    @abstractmethod
    def join(self, ids: Sequence[int]) -> str:
        """Return the text of ids without PAD, BOS and EOS."""

    def tokens(self, ids: Iterable[int]) -> list[str]:
        """Return each token in readable form, special tokens included, for the axes of a figure."""
        return [without_joiners(self.vocabulary[index]) for index in ids]


def without_joiners(token: str) -> str:
    """Return a token without its joiners; a joiner alone is returned unchanged."""
    return token.replace(f" {JOINER}", "").replace(JOINER, "") or token


class PieceTokenizer(Tokenizer):
    """A tokenizer whose tokens are pieces of the text."""

    def __init__(self, vocabulary: Sequence[str]) -> None:
        super().__init__(vocabulary)
        # Without the special tokens, so that `<eos>` in a text is ordinary text.
        self._ids = {token: index for index, token in enumerate(self.vocabulary) if index >= len(SPECIAL_TOKENS)}

    @staticmethod
    @abstractmethod
    def split(sentence: str) -> Iterable[str]:
        """Return the pieces of a text."""

    def encode_batch(self, sentences: Sequence[str]) -> list[list[int]]:
        return [[self._ids.get(piece, UNK) for piece in self.split(sentence)] for sentence in sentences]


class WordTokenizer(PieceTokenizer):
    """A tokenizer into the words and marks of rnnexp.text.word_pieces.

    Text of known words is restored, with single spaces.
    """

    unit = "word"

    @classmethod
    def train(cls, sentences: Sequence[str], vocab_size: int, min_frequency: int) -> Self:  # noqa: ARG003
        """Keep every word that occurs at least `min_frequency` times, the most frequent first."""
        counts = Counter(piece for sentence in sentences for piece in cls.split(sentence))
        frequent = sorted((-count, word) for word, count in counts.items() if count >= min_frequency)
        if not frequent:
            raise UserError(f"no word of the training text occurs data.min_frequency={min_frequency} times: lower it")
        return cls([*SPECIAL_TOKENS, *(word for _count, word in frequent)])

    @staticmethod
    def split(sentence: str) -> Iterable[str]:
        return filter(None, split_pieces(sentence))  # two spaces have an empty piece between them

    def join(self, ids: Sequence[int]) -> str:
        return join_pieces(self.vocabulary[index] for index in ids)


class CharTokenizer(PieceTokenizer):
    """A tokenizer into characters: text of known characters is restored exactly."""

    unit = "char"

    @classmethod
    def train(cls, sentences: Sequence[str], vocab_size: int, min_frequency: int) -> Self:  # noqa: ARG003
        """Keep every character that occurs."""
        return cls([*SPECIAL_TOKENS, *sorted(set().union(*sentences))])

    @staticmethod
    def split(sentence: str) -> Iterable[str]:
        return sentence

    def join(self, ids: Sequence[int]) -> str:
        return "".join(self.vocabulary[index] for index in ids)


class BPETokenizer(Tokenizer):
    """Byte-pair encoding (Sennrich et al., 2016, P16-1162) of the UTF-8 bytes of words and marks.

    Every text is restored exactly: a byte that was never merged is a token too, so there are no unknown characters. The
    words and marks are those of rnnexp.text.word_pieces; a token that begins one has a space before it.

    Args:
        vocabulary: the token of each id. Bytes are written as printable characters, as in the `tokenizers` library.
        merges: the two tokens that each merge joins, in the order in which they were learned.
    """

    unit = "bpe"

    def __init__(self, vocabulary: Sequence[str], merges: Sequence[tuple[str, str]]) -> None:
        super().__init__(vocabulary)
        self.merges = [(left, right) for left, right in merges]
        ids = {token: index for index, token in enumerate(self.vocabulary)}
        # The special tokens are in the vocabulary only to reserve their ids. As special tokens of the engine they would
        # be recognized in a text.
        self._engine = make_engine(models.BPE(vocab=ids, merges=self.merges))

    @classmethod
    def train(cls, sentences: Sequence[str], vocab_size: int, min_frequency: int) -> Self:
        """Learn `vocab_size` tokens, or fewer if no other pair occurs `min_frequency` times."""
        engine = make_engine(models.BPE())
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size,
            min_frequency=min_frequency,
            special_tokens=list(SPECIAL_TOKENS),
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
        engine.train_from_iterator((mark(sentence, MAX_TRAINED_LETTERS) for sentence in sentences), trainer)
        learned = json.loads(engine.to_str())["model"]
        vocabulary = sorted(learned["vocab"], key=learned["vocab"].__getitem__)
        if len(vocabulary) > vocab_size:
            raise UserError(
                f"data.vocab_size={vocab_size} is too small: 256 bytes and {len(SPECIAL_TOKENS)} special tokens "
                f"take {len(vocabulary)}: choose a larger one, or data.unit=char"
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
        # An UNK that a model predicts has no bytes; it becomes a word of its own.
        tokens = [f"{SPACE}{SPECIAL_TOKENS[UNK]}" if index == UNK else self.vocabulary[index] for index in ids]
        text = BYTES.decode(tokens)
        return join_pieces(text.removeprefix(" ").split(" "))

    def tokens(self, ids: Iterable[int]) -> list[str]:
        return [without_joiners(BYTES.decode([self.vocabulary[index]])) for index in ids]


BYTES = decoders.ByteLevel()
SPACE = "Ġ"
"""The printable character for the byte of a space."""


def make_engine(model: models.BPE) -> Engine:
    """Return an engine that merges the bytes of each piece, the space before it included."""
    engine = Engine(model)
    engine.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(" ", behavior="merged_with_next"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return engine


MAX_TRAINED_LETTERS = 100
"""Letters of a piece, after which training divides it: the time to learn from a piece grows with its square."""


def mark(sentence: str, max_letters: int | None = None) -> str:
    """Return the pieces of a sentence, each after a space; an empty string for an empty sentence.

    Args:
        sentence: the text.
        max_letters: the number of letters after which a piece is divided; None divides none.
    """
    pieces = split_pieces(sentence) if sentence else []
    if max_letters is not None and len(sentence) > max_letters:
        starts = [(piece, start) for piece in pieces for start in range(0, len(piece) or 1, max_letters)]
        pieces = [piece[start : start + max_letters] for piece, start in starts]
    return "".join(f" {piece}" for piece in pieces)


UNITS: Mapping[str, type[Tokenizer]] = {kind.unit: kind for kind in (BPETokenizer, WordTokenizer, CharTokenizer)}


def train_tokenizer(unit: str, sentences: Sequence[str], vocab_size: int, min_frequency: int) -> Tokenizer:
    """Train a tokenizer on the training split.

    Args:
        unit: `bpe`, `word` or `char`.
        sentences: the text of one language, or of both for a joint vocabulary.
        vocab_size: the number of tokens of `bpe`, the special ones included; fewer if the text supports no more.
        min_frequency: how often a `word` must occur to be known, or a pair of `bpe` to be merged.

    Raises:
        ValueError: for another unit.
        UserError: for a vocabulary that the text does not support.
    """
    return lookup("data.unit", unit, UNITS).train(sentences, vocab_size, min_frequency)
