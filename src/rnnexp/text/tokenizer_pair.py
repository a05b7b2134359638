"""The two tokenizers of a translation model."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from rnnexp.text.tokenizers import Plain, Tokenizer


class TokenizerPair(NamedTuple):
    """The tokenizers of both languages, which are the same object if the vocabulary is joint."""

    source: Tokenizer
    """the tokenizer of the sentences to translate"""
    target: Tokenizer
    """the tokenizer of their translations"""

    def to_plain(self) -> dict[str, Plain | None]:
        """Return both as plain data; the target is None if the vocabulary is joint."""
        return {
            "source_tokenizer": self.source.to_plain(),
            "target_tokenizer": None if self.source is self.target else self.target.to_plain(),
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "TokenizerPair":
        """Return the pair that `to_plain` was called on."""
        source = Tokenizer.from_plain(plain["source_tokenizer"])
        return cls(source, Tokenizer.from_plain(target) if (target := plain["target_tokenizer"]) else source)
