"""A corpus as token ids: its tokenizers trained and every sentence encoded once, and kept on disk for the next run."""

import hashlib
import json
import logging
import time
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from rnnexp.core.atomic_files import written_atomically
from rnnexp.core.errors import UserError
from rnnexp.core.validation import require_positive, validate_choice
from rnnexp.data.files.lock import lock_directory
from rnnexp.data.text.parallel_text import SPLITS, CorpusContent, ParallelText
from rnnexp.text.tokenizers import UNITS, Plain, Tokenizer, train_tokenizer
from rnnexp.text.vocabulary import BOS, EOS

log = logging.getLogger(__name__)

FORMAT = 1
"""Of the cached file; another number lets nobody read an older one."""


@dataclass(frozen=True)
class Units:
    """How text becomes tokens; see `train_tokenizer`.

    Raises:
        ValueError: for an unknown unit, or a size that is not positive.
    """

    unit: str
    vocab_size: int
    min_frequency: int
    joint: bool
    """One vocabulary for both languages, else one for each."""

    def __post_init__(self) -> None:
        validate_choice("data.unit", self.unit, UNITS)
        require_positive(vocab_size=self.vocab_size, min_frequency=self.min_frequency)


class TokenizerPair(NamedTuple):
    """What reads the source and what writes the target: one and the same object where the vocabulary is joint."""

    source: Tokenizer
    target: Tokenizer

    def to_plain(self) -> dict[str, Plain | None]:
        """Both as plain data, a joint one once."""
        return {
            "source_tokenizer": self.source.to_plain(),
            "target_tokenizer": None if self.source is self.target else self.target.to_plain(),
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "TokenizerPair":
        """The pair of which this is the `to_plain`."""
        source = Tokenizer.from_plain(plain["source_tokenizer"])
        return cls(source, Tokenizer.from_plain(target) if (target := plain["target_tokenizer"]) else source)


class Sequences(NamedTuple):
    """Sequences of token ids, one after the other."""

    tokens: Tensor
    """int32 [all tokens]"""
    offsets: Tensor
    """int64 [sequences + 1], where each begins, and where the last ends"""

    @property
    def lengths(self) -> Tensor:
        """int64 [sequences]"""
        return self.offsets.diff()


class EncodedPairs(NamedTuple):
    """The sentence pairs of a split."""

    source: Sequences
    """Each ended by EOS."""
    target: Sequences
    """Each begun by BOS and ended by EOS."""


@dataclass(frozen=True)
class EncodedCorpus:
    """All splits, and the tokenizers that made them."""

    tokenizers: TokenizerPair
    splits: dict[str, EncodedPairs]


def load_or_encode(
    content: CorpusContent, units: Units, cache: Path | None, tokenizers: TokenizerPair | None = None
) -> EncodedCorpus:
    """The encoded corpus from the cache, else encoded now and put there.

    Only one process encodes; others that start meanwhile wait for it. A file that is damaged is made anew.

    Args:
        cache: the directory; None encodes anew each time.
        tokenizers: to encode with; None trains them on the training split.

    Raises:
        UserError: if the units do not fit the text, or the cache cannot be written.
    """
    if cache is None:
        return encode(content, units, tokenizers)
    key = cache_key(content, units, tokenizers)
    path = cache / key / "encoded.pt"
    with lock_directory(path.parent, "encoding this corpus", key="data.cache"):
        if path.is_file():
            try:
                return load(path, content)
            except Exception as error:  # a damaged file may raise anything
                reason = str(error).split("\n")[0] or type(error).__name__
                log.warning("%s is damaged (%s): encoding the corpus again", path, reason)
        start = time.monotonic()
        encoded = encode(content, units, tokenizers)
        save(encoded, path)
        log.info("encoded the corpus in %.1f s, kept in %s", time.monotonic() - start, path)
        return encoded


def cache_key(content: CorpusContent, units: Units, tokenizers: TokenizerPair | None = None) -> str:
    """What the encoded corpus depends on, as a digest."""
    given = None if tokenizers is None else [tokenizer.digest for tokenizer in tokenizers]
    dependencies = [FORMAT, content.digest(), asdict(units), version("tokenizers"), given]
    return hashlib.sha256(json.dumps(dependencies).encode()).hexdigest()[:32]


def encode(content: CorpusContent, units: Units, tokenizers: TokenizerPair | None = None) -> EncodedCorpus:
    """Encodes every split, with the tokenizers that are given or with ones trained on the training split.

    Raises:
        UserError: if the units do not fit the text.
    """
    tokenizers = tokenizers or train_tokenizers(content.splits["train"], units)
    splits = {}
    for split in SPLITS:
        text = content.splits[split]
        splits[split] = EncodedPairs(
            flatten([[*ids, EOS] for ids in tokenizers.source.encode_batch(text.sources)]),
            flatten([[BOS, *ids, EOS] for ids in tokenizers.target.encode_batch(text.targets)]),
        )
    return EncodedCorpus(tokenizers, splits)


def train_tokenizers(train: ParallelText, units: Units) -> TokenizerPair:
    """Tokenizers of the training split: one of both sides where they are joint, else one of each."""
    settings = (units.vocab_size, units.min_frequency)
    if units.joint:
        joint = train_tokenizer(units.unit, [*train.sources, *train.targets], *settings)
        return TokenizerPair(joint, joint)
    return TokenizerPair(
        train_tokenizer(units.unit, train.sources, *settings), train_tokenizer(units.unit, train.targets, *settings)
    )


def flatten(sequences: Sequence[Sequence[int]]) -> Sequences:
    """Lists of ids as one tensor."""
    offsets = np.cumsum([0, *map(len, sequences)], dtype=np.int64)
    tokens = np.fromiter(chain.from_iterable(sequences), dtype=np.int32, count=int(offsets[-1]))
    return Sequences(torch.from_numpy(tokens), torch.from_numpy(offsets))


def save(encoded: EncodedCorpus, path: Path) -> None:
    """Writes the file whole or not at all.

    Raises:
        UserError: if it cannot be written.
    """
    state: dict[str, Any] = dict(encoded.tokenizers.to_plain())
    for split, pairs in encoded.splits.items():
        state[split] = {"source": tuple(pairs.source), "target": tuple(pairs.target)}
    try:
        with written_atomically(path) as file:
            torch.save(state, file)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror or error}): make room, or name another place with data.cache="
        ) from error


def load(path: Path, content: CorpusContent) -> EncodedCorpus:
    """Reads a file of `save`; raises anything if it is damaged."""
    with zipfile.ZipFile(path) as archive:  # torch writes a checksum of every tensor, but does not compare it
        if damaged := archive.testzip():
            raise ValueError(f"the checksum of {damaged} differs")
    state = torch.load(path, weights_only=True)
    splits = {}
    for split in SPLITS:
        pairs = EncodedPairs(Sequences(*state[split]["source"]), Sequences(*state[split]["target"]))
        for side in pairs:
            if len(side.lengths) != len(content.splits[split]) or side.offsets[-1] != len(side.tokens):
                raise ValueError(f"its {split} split is incomplete")
        splits[split] = pairs
    return EncodedCorpus(TokenizerPair.from_plain(state), splits)
