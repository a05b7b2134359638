"""A corpus as token ids. Tokenizers are trained and sentences are encoded once, and cached on disk for later runs."""

import hashlib
import json
import logging
import time
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from rnnexp.core.errors import UserError, first_line
from rnnexp.core.files.atomic import written_atomically
from rnnexp.core.progress import Progress
from rnnexp.core.validation import require_positive, validate_choice
from rnnexp.data.files.lock import lock_directory
from rnnexp.data.text.parallel_text import SPLITS, CorpusContent, ParallelText
from rnnexp.text.tokenizer_pair import TokenizerPair
from rnnexp.text.tokenizers import UNITS, Tokenizer, train_tokenizer
from rnnexp.text.vocabulary import BOS, EOS

log = logging.getLogger(__name__)

FORMAT = 3
"""The version of the cached file; files of another version are not read."""
MANY_PAIRS = 100_000
"""Pairs whose tokens take so long to learn that a line says so."""
PART_SIZE = 10_000
"""Sentences that are encoded between two reports of progress."""


@dataclass(frozen=True)
class Units:
    """The settings of tokenizers; see `train_tokenizer`.

    Raises:
        ValueError: for an unknown unit, or a size that is not positive.
    """

    unit: str
    vocab_size: int
    min_frequency: int
    joint: bool
    """whether both languages have one vocabulary"""

    def __post_init__(self) -> None:
        validate_choice("data.unit", self.unit, UNITS)
        require_positive(vocab_size=self.vocab_size, min_frequency=self.min_frequency)


class Sequences(NamedTuple):
    """Concatenated sequences of token ids."""

    tokens: Tensor
    """int32 [all tokens]"""
    offsets: Tensor
    """int64 [sequences + 1], the start of each sequence, and the end of the last"""

    @property
    def lengths(self) -> Tensor:
        """The number of tokens of each sequence, int64 [sequences]."""
        return self.offsets.diff()


class EncodedPairs(NamedTuple):
    """The sentence pairs of a split."""

    source: Sequences
    """each ends with EOS"""
    target: Sequences
    """each begins with BOS and ends with EOS"""


@dataclass(frozen=True)
class EncodedCorpus:
    """All splits, and the tokenizers that encoded them."""

    tokenizers: TokenizerPair
    splits: dict[str, EncodedPairs]


def load_or_encode(
    content: CorpusContent, units: Units, cache: Path | None, tokenizers: TokenizerPair | None = None
) -> EncodedCorpus:
    """Return the encoded corpus from the cache, or encode it and write it there.

    Only one process encodes; others wait for it. A damaged file is replaced. A cache that holds the corpus is not
    written to: it may be one of somebody else.

    Args:
        content: the corpus.
        units: the settings of tokenizers to train.
        cache: the directory of the cache; None encodes each time.
        tokenizers: the tokenizers to use; None trains them on the training split.

    Raises:
        UserError: if the units do not fit the text, or the cache cannot be written.
    """
    if cache is None:
        return encode(content, units, tokenizers)
    key = cache_key(content, units, tokenizers)
    path = cache / key / "encoded.pt"
    if path.is_file():
        try:
            return load(path, content)
        except Exception as error:  # a damaged file may raise anything
            log.warning("%s is damaged (%s): encoding the corpus again", path, first_line(error))
    with lock_directory(path.parent, "encoding this corpus", key="data.cache"):
        # Another process may have encoded it meanwhile.
        with suppress(Exception):
            return load(path, content)
        start = time.monotonic()
        encoded = encode(content, units, tokenizers)
        save(encoded, path)
        log.info("encoded the corpus in %.1f s, kept in %s", time.monotonic() - start, path)
        return encoded


def cache_key(content: CorpusContent, units: Units, tokenizers: TokenizerPair | None = None) -> str:
    """Return a digest of the values that the encoded corpus depends on."""
    digests = None if tokenizers is None else [tokenizer.digest for tokenizer in tokenizers]
    dependencies = [FORMAT, content.digest(), asdict(units), version("tokenizers"), digests]
    return hashlib.sha256(json.dumps(dependencies).encode()).hexdigest()[:32]


def encode(content: CorpusContent, units: Units, tokenizers: TokenizerPair | None = None) -> EncodedCorpus:
    """Encode every split, with the given tokenizers or with ones trained on the training split.

    Raises:
        UserError: if the units do not fit the text.
    """
    if tokenizers is None:
        if (number := len(content.splits["train"])) > MANY_PAIRS:
            log.info("learning the %s tokens of %s sentence pairs", units.unit, f"{number:,}")
        tokenizers = train_tokenizers(content.splits["train"], units)
    splits = {}
    with Progress("encoding", 2 * sum(map(len, content.splits.values())), "sentences") as progress:
        for split in SPLITS:
            text = content.splits[split]
            splits[split] = EncodedPairs(
                concatenated([[*ids, EOS] for ids in _encoded(tokenizers.source, text.sources, progress)]),
                concatenated([[BOS, *ids, EOS] for ids in _encoded(tokenizers.target, text.targets, progress)]),
            )
    return EncodedCorpus(tokenizers, splits)


def _encoded(tokenizer: Tokenizer, sentences: Sequence[str], progress: Progress) -> Iterator[list[int]]:
    for start in range(0, len(sentences), PART_SIZE):
        part = sentences[start : start + PART_SIZE]
        yield from tokenizer.encode_batch(part)
        progress.advance(len(part))


def train_tokenizers(train: ParallelText, units: Units) -> TokenizerPair:
    """Train tokenizers on the training split: one on both sides if they are joint, else one on each."""
    settings = (units.vocab_size, units.min_frequency)
    if units.joint:
        joint = train_tokenizer(units.unit, [*train.sources, *train.targets], *settings)
        return TokenizerPair(joint, joint)
    return TokenizerPair(
        train_tokenizer(units.unit, train.sources, *settings), train_tokenizer(units.unit, train.targets, *settings)
    )


def concatenated(sequences: Sequence[Sequence[int]]) -> Sequences:
    """Return lists of ids as concatenated sequences."""
    offsets = np.cumsum([0, *map(len, sequences)], dtype=np.int64)
    tokens = np.fromiter(chain.from_iterable(sequences), dtype=np.int32, count=int(offsets[-1]))
    return Sequences(torch.from_numpy(tokens), torch.from_numpy(offsets))


def save(encoded: EncodedCorpus, path: Path) -> None:
    """Write a file for `load` atomically.

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
    """Read a file of `save`. A damaged file raises an exception of any type."""
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
