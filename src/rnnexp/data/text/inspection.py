"""Remarks about a corpus that can be read but may not be what was meant: they are logged when it is read."""

import re
from collections.abc import Iterator, Mapping, Sequence

from rnnexp.data.text.parallel_text import ParallelText

MARK = re.compile(r"(\s?)[.,。，](?=\s|$)")
"""A full stop or comma, with the space before it. Other marks have a space before them in French."""
MIN_TOKENIZED_SHARE = 0.5
MAX_SHOWN = 60


def remarks(splits: Mapping[str, ParallelText]) -> Iterator[str]:
    """Yield a line for each of these: empty sides, tokenized references, sides of numbers, pairs in two splits."""
    for split, text in splits.items():
        if number := sum(is_empty(text)):
            kept = "are left out" if split == "train" else "are kept and scored"
            yield f"{number:,} of {len(text):,} {split} pairs have an empty side, and {kept}"
    for split, text in splits.items():
        if (share := tokenized_share(text.targets)) >= MIN_TOKENIZED_SHARE:
            yield (
                f"the {split} references look tokenized, {share:.0%} of their full stops and commas follow a space: "
                "BLEU does not compare with that of detokenized text"
            )
    for side, sentences in (("sources", splits["train"].sources), ("targets", splits["train"].targets)):
        if all(sentence.isdecimal() for sentence in sentences):
            yield f"the training {side} are all numbers: is that the column of the sentences?"
    train = set(zip(splits["train"].sources, splits["train"].targets, strict=True))
    for split in ("val", "test"):
        text = splits[split]
        if number := sum(pair in train for pair in zip(text.sources, text.targets, strict=True)):
            yield f"{number:,} of {len(text):,} {split} pairs are training pairs, too"
    if splits["test"] == splits["val"]:
        yield "the test split is the validation split, by which the best epoch is chosen: no score is of new sentences"


def is_empty(text: ParallelText) -> list[bool]:
    """Return which pairs have an empty side."""
    return [not (source and target) for source, target in zip(text.sources, text.targets, strict=True)]


def tokenized_share(sentences: Sequence[str]) -> float:
    """Return the share of full stops and commas at the end of a word that have a space before them; 0 without any."""
    spaces = [space for sentence in sentences for space in MARK.findall(sentence)]
    return sum(map(bool, spaces)) / len(spaces) if spaces else 0.0


def shown(sentence: str) -> str:
    """Return a sentence for a message: in quotes, control characters escaped, cut after MAX_SHOWN characters."""
    return repr(sentence if len(sentence) <= MAX_SHOWN else f"{sentence[: MAX_SHOWN - 3]}...")
