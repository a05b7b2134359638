"""The data module that supplies sentence pairs of any corpus as batches of token ids."""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from rnnexp.core.errors import UserError
from rnnexp.core.types import Primitive
from rnnexp.core.validation import expand_home, lookup, require_positive, validate_choice
from rnnexp.data.base import DataModule
from rnnexp.data.batches import TranslationBatch
from rnnexp.data.loading.buckets import BATCH_UNITS, BucketOrder
from rnnexp.data.text.encoding import EncodedPairs, Units, load_or_encode
from rnnexp.data.text.inspection import is_empty, remarks, shown
from rnnexp.data.text.loader import TranslationLoader
from rnnexp.data.text.parallel_text import SPLITS, Corpus, ParallelText
from rnnexp.text.tokenizer_pair import TokenizerPair
from rnnexp.text.writing import Writing, describe_writing

log = logging.getLogger(__name__)


class TranslationDataModule(DataModule):
    """Training, validation and test pairs of a corpus as `TranslationBatch`.

    Tokenizers are trained only on the training split. Training leaves out pairs with an empty side or one longer than
    `max_length`, and logs their number; validation and test keep every pair.

    Args:
        corpus: the class of the corpus, or a function that makes a corpus from `corpus_options`.
        unit, vocab_size, min_frequency: the tokens of the text, see `train_tokenizer`.
        joint: whether both languages have one vocabulary.
        max_length: tokens of a sentence, without BOS and EOS, above which a pair is left out of training.
        max_eval_length: tokens above which a sentence of validation and test is refused, since the time and the memory
            of all sentences in its batch grow with its length.
        batch_size, batch_unit: content of a training batch of one rank, see `BucketOrder`.
        eval_batch_size: sentence pairs per batch and rank in validation and test.
        window: number of training batches that are sorted by length together; more means less padding and randomness.
        seed: the seed of the order of training pairs.
        cache: the directory that keeps encoded corpora; None encodes again in each run.
        corpus_options: the arguments of `corpus`.

    Raises:
        ValueError: for a choice outside its list, or a size that is not positive.

    Example::

        data = TranslationDataModule(Phrasebook, source_lang="en", target_lang="fr", ..., unit="word", ...)
    """

    batch_type: ClassVar = TranslationBatch

    def __init__(
        self,
        corpus: Callable[..., Corpus],
        *,
        unit: str,
        vocab_size: int,
        min_frequency: int,
        joint: bool,
        max_length: int,
        max_eval_length: int,
        batch_size: int,
        batch_unit: str,
        eval_batch_size: int,
        window: int,
        seed: int,
        cache: str | None,
        **corpus_options: object,
    ) -> None:
        super().__init__()
        validate_choice("data.batch_unit", batch_unit, BATCH_UNITS)
        require_positive(max_length=max_length, max_eval_length=max_eval_length, window=window)
        require_positive(batch_size=batch_size, eval_batch_size=eval_batch_size)
        self.corpus = corpus(**corpus_options)
        self.units = Units(unit, vocab_size, min_frequency, joint)
        self.max_length, self.max_eval_length = max_length, max_eval_length
        self.batch_size = batch_size
        self.batch_unit = batch_unit
        self.eval_batch_size = eval_batch_size
        self.window = window
        self.seed = seed
        self.cache = None if cache is None else expand_home(cache)
        self._checkpoint_tokenizers: TokenizerPair | None = None
        self._is_set_up = False

    def use_preprocessing_of(self, checkpoint: Mapping[str, Any]) -> None:
        """Encode with the tokenizers that the weights of a checkpoint were trained with. It is called before `setup`.

        Raises:
            UserError: for a checkpoint of another task.
        """
        if "tokenizers" not in checkpoint:
            raise UserError("these weights do not translate: they have no tokenizers")
        self._checkpoint_tokenizers = TokenizerPair.from_plain(checkpoint["tokenizers"])

    def prepare_data(self) -> None:
        """Fetch the files if they are missing.

        Raises:
            UserError: if they cannot be fetched, with instructions.
        """
        self.corpus.prepare()

    @staticmethod
    def evaluation_overrides(changed: Collection[str]) -> dict[str, Any]:  # noqa: ARG004
        # The cache saves seconds and may be a directory that this machine does not have.
        return {"cache": None}

    def setup(self, stage: str | None = None) -> None:  # noqa: ARG002 (all splits are encoded at once)
        """Read and encode the corpus, once. A trainer is not needed.

        Raises:
            UserError: if a file is damaged, a split is empty, or the units do not fit the text.
        """
        if self._is_set_up:
            return
        content = self.corpus.read()
        self._inspect(content.splits)
        encoded = load_or_encode(content, self.units, self.cache, self._checkpoint_tokenizers)
        self.tokenizers = encoded.tokenizers
        self._texts: Mapping[str, ParallelText] = content.splits
        self._pairs: Mapping[str, EncodedPairs] = encoded.splits
        self._details = dict(content.details)
        self._digest, self._test_digest = content.digest(), content.digest("test")
        self._log_vocabulary()
        self._count_long_pairs()
        self._is_set_up = True

    @property
    def data_info(self) -> dict[str, Primitive]:
        """The description of the data for the record of a run: a flat mapping to primitives."""
        info: dict[str, Primitive] = {
            "name": self.corpus.name,
            "source_lang": self.corpus.source_lang,
            "target_lang": self.corpus.target_lang,
            "unit": self.units.unit,
            "joint": self.units.joint,
            "source_vocab_size": len(self.tokenizers.source),
            "target_vocab_size": len(self.tokenizers.target),
            "max_length": self.max_length,
            "num_train": len(self._train_indices),
            "num_val": len(self._texts["val"]),
            "num_test": len(self._texts["test"]),
            **{f"num_{split}_too_long": count for split, count in self._num_too_long.items()},
            **{f"num_{split}_empty": sum(is_empty(text)) for split, text in self._texts.items()},
            "digest": self._digest,
            "test_digest": self._test_digest,
        }
        return info | self._details

    @property
    def summary(self) -> str:
        """The data in one line, for the log."""
        vocabularies = " and ".join(f"{len(tokenizer):,}" for tokenizer in dict.fromkeys(self.tokenizers))
        sizes = ", ".join(f"{len(text):,} {split}" for split, text in self._texts.items())
        return (
            f"{self.corpus.name} {self.corpus.source_lang}-{self.corpus.target_lang}, "
            f"{vocabularies} {self.units.unit} tokens: {sizes} pairs"
        )

    @property
    def example(self) -> str:
        """The first training pair, for the start of a run."""
        text = self._texts["train"]
        return f"{shown(text.sources[0])} -> {shown(text.targets[0])}"

    def sources(self, split: str) -> Sequence[str]:
        """Return the sentences to translate of a split, raw; `TranslationBatch.indices` are positions in them."""
        return lookup("split", split, self._texts).sources

    def references(self, split: str) -> Sequence[str]:
        """Return the translations of `sources` in the corpus, raw."""
        return lookup("split", split, self._texts).targets

    def tags(self, split: str) -> Mapping[str, Sequence[str | int]]:
        """Return further values of each pair, by name; empty for most corpora."""
        return lookup("split", split, self._texts).tags

    def train_dataloader(self) -> TranslationLoader:
        """Return batches of the training split, new ones in each epoch and the same number on each rank.

        Raises:
            UserError: if a batch is smaller than a sentence pair, or there are fewer pairs than ranks.
        """
        return self._loader(
            *("train", self._train_indices, self.batch_size, self.batch_unit),
            shuffle=self.reshuffles,
            equal_length_ranks=True,
        )

    def val_dataloader(self) -> TranslationLoader:
        """Return batches of the validation split, every pair once over all ranks."""
        return self._eval_loader("val")

    def test_dataloader(self) -> TranslationLoader:
        """Return batches of the test split, every pair once over all ranks."""
        return self._eval_loader("test")

    def transfer_batch_to_device(
        self,
        batch: TranslationBatch,
        device: torch.device,
        dataloader_idx: int,  # noqa: ARG002
    ) -> TranslationBatch:
        """Move token ids to the device; lengths and indices stay on the CPU, where packing and text need them."""
        source, target = (ids.to(device, non_blocking=True) for ids in (batch.source, batch.target))
        return batch._replace(source=source, target=target)

    def _inspect(self, splits: Mapping[str, ParallelText]) -> None:
        """Set `target_writing` and log remarks about the corpus. Raise UserError if it cannot be used."""
        corpus = f"{self.corpus.name} {self.corpus.source_lang}-{self.corpus.target_lang}"
        for split in SPLITS:
            if not len(splits[split]):
                raise UserError(f"the {split} split of the corpus {self.corpus.name!r} is empty: it needs one pair")
        train = splits["train"]
        if all(is_empty(train)):
            raise UserError(f"each of the {len(train):,} training pairs has an empty side: name the two languages")
        for remark in remarks(splits):
            log.warning("%s: %s", corpus, remark)
        self.target_writing = describe_writing(train.targets)
        self._require_words(describe_writing(train.sources), self.target_writing)

    def _require_words(self, *writings: Writing) -> None:
        languages = (self.corpus.source_lang, self.corpus.target_lang)
        for language, writing in zip(languages, writings, strict=True):
            if self.units.unit == "word" and not writing.spaces_separate_words:
                raise UserError(
                    f"data.unit=word needs spaces between words, which {language!r} of the corpus {self.corpus.name!r} "
                    f"does not have ({writing.name}): use data.unit=bpe or char"
                )

    def _log_vocabulary(self) -> None:
        """Log if byte-pair encoding has learned fewer tokens than were asked for."""
        fewest = min(len(tokenizer) for tokenizer in self.tokenizers)
        if self.units.unit == "bpe" and fewest < self.units.vocab_size and self._checkpoint_tokenizers is None:
            log.warning(
                "data.vocab_size=%d is more than the training text supports: pairs that occur at least "
                "data.min_frequency=%d times make %d tokens, which are used",
                *(self.units.vocab_size, self.units.min_frequency, fewest),
            )

    def _count_long_pairs(self) -> None:
        longest = {split: longest_sides(pairs) for split, pairs in self._pairs.items()}
        for split in ("val", "test"):
            if (length := int(longest[split].max())) > self.max_eval_length:
                raise UserError(
                    f"sentence pair {int(longest[split].argmax()) + 1:,} of the {split} split has {length:,} tokens, "
                    f"more than data.max_eval_length={self.max_eval_length}: divide it or leave it out"
                )
        is_long = {split: lengths > self.max_length for split, lengths in longest.items()}
        self._num_too_long = {split: int(long.sum()) for split, long in is_long.items()}
        empty = torch.tensor(is_empty(self._texts["train"]))
        self._train_indices = (~is_long["train"] & ~empty).nonzero().squeeze(1)
        left_out, num_train = self._num_too_long["train"], len(self._texts["train"])
        if not len(self._train_indices):
            raise UserError(
                f"each of the {num_train:,} training pairs has a side of more than data.max_length={self.max_length} "
                "tokens: choose a larger one"
            )
        sizes = ", ".join(f"{len(text):,} {split}" for split, text in self._texts.items())
        log.info("%s %s-%s: %s pairs", self.corpus.name, self.corpus.source_lang, self.corpus.target_lang, sizes)
        if any(self._num_too_long.values()):
            held_out = self._num_too_long["val"] + self._num_too_long["test"]
            log.warning(
                "longer than data.max_length=%d tokens: %s training pairs, which are left out, and %s validation and "
                "test pairs, which are kept",
                *(self.max_length, f"{left_out:,}", f"{held_out:,}"),
            )

    def _eval_loader(self, split: str) -> TranslationLoader:
        indices = torch.arange(len(self._texts[split]))
        return self._loader(split, indices, self.eval_batch_size, "sentences", shuffle=False, equal_length_ranks=False)

    def _loader(
        self, split: str, indices: Tensor, batch_size: int, batch_unit: str, shuffle: bool, equal_length_ranks: bool
    ) -> TranslationLoader:
        rank, world_size = self.rank_and_world_size(split, len(indices))
        pairs = self._pairs[split]
        order = BucketOrder(
            indices,
            (pairs.source.lengths, pairs.target.lengths),
            batch_size=batch_size,
            batch_unit=batch_unit,
            window=self.window,
            shuffle=shuffle,
            seed=self.seed,
            rank=rank,
            world_size=world_size,
            equal_length_ranks=equal_length_ranks,
        )
        return TranslationLoader(pairs, order)


def longest_sides(pairs: EncodedPairs) -> Tensor:
    """Return the tokens of the longer side of each pair, int64 [pairs]; BOS and EOS do not count."""
    return (pairs.source.lengths - 1).maximum(pairs.target.lengths - 2)
