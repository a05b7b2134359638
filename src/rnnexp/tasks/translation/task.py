"""The task of translating sentences."""

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torchmetrics import SumMetric

from rnnexp.core.errors import UserError
from rnnexp.core.types import Primitive
from rnnexp.core.validation import require_fraction, require_positive
from rnnexp.data.batches import TranslationBatch
from rnnexp.data.text.loader import TranslationLoader
from rnnexp.decoding import Hypotheses, Limits, beam_search, greedy_search, require_search
from rnnexp.models import Seq2Seq
from rnnexp.recurrent import RecurrentStack
from rnnexp.tasks.base import MakeOptimizer, MakeScheduler, Task, at_least_float32
from rnnexp.tasks.translation.metrics import (
    choose_bleu_tokenizer,
    corpus_scores,
    literature_scores,
    literature_signature,
    signatures,
)
from rnnexp.tasks.translation.scoring import (
    TranslatedSplit,
    Translation,
    scores_by_length,
    scores_by_phenomenon,
    spread_evenly,
)
from rnnexp.text.tokenizer_pair import TokenizerPair
from rnnexp.text.tokenizers import Tokenizer
from rnnexp.text.vocabulary import PAD, SPECIAL_TOKENS
from rnnexp.text.writing import SPACED, Writing

Split = Literal["val", "test"]


class TranslationTask(Task):
    """The task of translating sentences: cross-entropy per target token, and scores of translations.

    Args:
        make_stack: `input_size=` -> RecurrentStack, the encoder's; the decoder's layers have its cell and width.
        make_optimizer, make_scheduler: see Task.
        network: Seq2Seq without its first three arguments, which are `make_stack` and the sizes of both vocabularies.
        tokenizers: the tokenizers of both sides, which are saved in every checkpoint.
        teacher_forcing: probability that the decoder's input in training is the token of the reference.
        label_smoothing: share of the target spread over the vocabulary (Szegedy et al., 2016, section 7), in training.
        beam_size, length_penalty: the settings of the search in the test; validation uses a greedy search.
        max_ratio, max_extra: bounds of a translation's length, see `rnnexp.decoding.Limits`.
        val_sentences: number of validation sentences that are translated each epoch, spread evenly over the split; the
            loss is that of all.
        literature: score the test a second time, as the Multi30k literature does.
        bleu_tokenizer: see `choose_bleu_tokenizer`.
        target_writing: how the target language is written.

    Raises:
        ValueError: for a choice outside its list, or a number outside its range.
        UserError: for a score that cannot be computed for the target language.

    Logs `train/loss` at steps, `train/padding_share` per epoch, `val/loss`, `val/ppl`, `val/bleu`, `val/chrf` and
    `val/exact_match` per epoch, and the same metrics of the test once. It logs the test by length of the source in
    tokens, `test/loss_length/<bucket>` and `test/exact_match_length/<bucket>`. If the corpus tags its pairs with a
    phenomenon, it logs `test/exact_match_phenomenon/<name>`, and for the word that agrees `test/acc_phenomenon/<name>`
    and `test/acc_distance/<words>`.
    """

    batch_type: ClassVar = TranslationBatch
    model: Seq2Seq

    def __init__(
        self,
        make_stack: Callable[..., RecurrentStack],
        make_optimizer: MakeOptimizer,
        make_scheduler: MakeScheduler,
        network: Callable[..., Seq2Seq],
        tokenizers: TokenizerPair,
        teacher_forcing: float,
        label_smoothing: float,
        beam_size: int,
        length_penalty: float,
        max_ratio: float,
        max_extra: int,
        val_sentences: int,
        literature: bool,
        bleu_tokenizer: str,
        target_writing: Writing = SPACED,
    ) -> None:
        super().__init__(make_optimizer, make_scheduler)
        require_fraction(label_smoothing=label_smoothing)
        require_positive(val_sentences=val_sentences)
        require_search(beam_size, n_best=1, length_penalty=length_penalty)
        if not 0 <= teacher_forcing <= 1:
            raise ValueError(f"teacher_forcing must lie in [0, 1], not {teacher_forcing!r}")
        source, target = tokenizers
        self.model = network(make_stack, len(source), len(target))
        if teacher_forcing < 1 and self.model.choices["decoder"] == "fused":
            raise ValueError(
                f"teacher_forcing={teacher_forcing} needs a step-by-step decoder: use task.network.decoder=stepwise"
            )
        if self.model.choices["tied_embeddings"] == "all" and source.digest != target.digest:
            raise ValueError("tied_embeddings=all needs one vocabulary for both sides: use data.joint=true, or output")
        self.tokenizers = tokenizers
        self.teacher_forcing, self.label_smoothing = teacher_forcing, label_smoothing
        self.beam_size, self.length_penalty = beam_size, length_penalty
        self.limits = Limits(max_ratio=max_ratio, max_extra=max_extra)
        self.val_sentences, self.literature = val_sentences, literature
        self.bleu_tokenizer = choose_bleu_tokenizer(bleu_tokenizer, target_writing)
        if literature and not target_writing.spaces_separate_words:
            raise UserError(
                "task.literature=true needs spaces between words, which the target language does not have "
                f"({target_writing.name}): use task.literature=false"
            )
        # Sums of losses and of tokens: the mean over tokens does not depend on the division into batches.
        sums = (f"{split}_{what}" for split in ("val", "test") for what in ("loss", "tokens"))
        self.losses = nn.ModuleDict({name: SumMetric(nan_strategy="disable") for name in sums})
        self._gathered = {"val": TranslatedSplit(), "test": TranslatedSplit()}
        self.translations: dict[str, Sequence[Translation]] = {}
        """Split -> its latest translations, in the order of the corpus."""

    @staticmethod
    def arguments_from(data: Any) -> dict[str, Any]:  # noqa: ANN401
        return {"tokenizers": data.tokenizers, "target_writing": data.target_writing}

    @staticmethod
    def stand_in() -> SimpleNamespace:
        tokenizer = Tokenizer.from_plain({"unit": "word", "vocabulary": [*SPECIAL_TOKENS, "word"]})
        return SimpleNamespace(tokenizers=TokenizerPair(tokenizer, tokenizer), target_writing=SPACED)

    @property
    def stack(self) -> RecurrentStack:
        return self.model.encoder.stack

    @property
    def state_size(self) -> int:
        """The number of values in the states of encoder and decoder, without the annotations that attention reads."""
        return self.stack.state_size + self.model.decoder.state_size

    @property
    def model_info(self) -> dict[str, Primitive]:
        source, target = self.tokenizers
        return {
            **self.stack_info,
            "decoder_layers": self.model.decoder.num_layers,
            **self.model.choices,
            "source_vocab_size": len(source),
            "target_vocab_size": len(target),
            "source_tokenizer": source.digest[:12],
            "target_tokenizer": target.digest[:12],
        }

    @property
    def metric_signatures(self) -> dict[str, str]:
        """The signature of each score, as sacrebleu writes it."""
        literature = {"literature/bleu": literature_signature()} if self.literature else {}
        return signatures(self.bleu_tokenizer) | literature

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint["tokenizers"] = self.tokenizers.to_plain()

    def sum_of(self, what: str, split: Split) -> SumMetric:
        """Return the metric that sums the `loss` or the number of `tokens` of an evaluated split."""
        total = self.losses[f"{split}_{what}"]
        assert isinstance(total, SumMetric)
        return total

    @staticmethod
    def tiny_batch(batch: TranslationBatch) -> TranslationBatch:
        source_lengths, target_lengths = batch.source_lengths[:2].clamp(max=3), batch.target_lengths[:2].clamp(max=3)
        return TranslationBatch(
            batch.source[:2, : int(source_lengths.max())],
            source_lengths,
            batch.target[:2, : int(target_lengths.max())],
            target_lengths,
            batch.indices[:2],
        )

    @staticmethod
    def num_tokens(batch: TranslationBatch) -> int:
        # BOS is not predicted. Lengths are on the CPU.
        return int((batch.target_lengths - 1).sum())

    @staticmethod
    def logits(model: nn.Module, batch: TranslationBatch, teacher_forcing: float = 1.0) -> Tensor:
        """Return logits [batch, target_time - 1, vocab] of the token after each but the last."""
        logits: Tensor = model(batch.source, batch.source_lengths, batch.target[:, :-1], teacher_forcing)
        return logits

    @staticmethod
    def loss(logits: Tensor, batch: TranslationBatch, label_smoothing: float = 0.0) -> Tensor:
        logits, target = at_least_float32(logits.flatten(0, 1)), batch.target[:, 1:].flatten()
        return cross_entropy(logits, target, ignore_index=PAD, label_smoothing=label_smoothing)

    def training_step(self, batch: TranslationBatch, batch_idx: int) -> Tensor:  # noqa: ARG002
        loss = self.loss(self.logits(self.model, batch, self.teacher_forcing), batch, self.label_smoothing)
        self.log_train_loss(loss, len(batch.source))
        return loss

    def on_train_epoch_end(self) -> None:
        # The value is the same on every rank, and known before the epoch; but an epoch may start in an earlier process.
        loader = self.trainer.train_dataloader
        if isinstance(loader, TranslationLoader):
            self.log("train/padding_share", loader.padding_share())

    def validation_step(self, batch: TranslationBatch, batch_idx: int) -> None:  # noqa: ARG002
        """Score the references of the batch, and translate the chosen sentences with a greedy search."""
        losses = self.sentence_losses(batch)
        chosen = spread_evenly(batch.indices, len(self._data.references("val")), self.val_sentences)
        translated: list[Translation] = []
        if chosen.any():
            rows = chosen.nonzero().squeeze(1)
            translated = self._translated(batch, losses, rows, self._search(batch, rows, greedy=True))
        self._count_loss("val", batch, losses)
        self._gathered["val"].extend(translated)

    def test_step(self, batch: TranslationBatch, batch_idx: int) -> None:  # noqa: ARG002
        """Score the references of the batch, and translate every sentence with a beam search."""
        losses = self.sentence_losses(batch)
        rows = torch.arange(len(batch.source))
        self._count_loss("test", batch, losses)
        self._gathered["test"].extend(self._translated(batch, losses, rows, self._search(batch, rows, greedy=False)))

    def sentence_losses(self, batch: TranslationBatch) -> Tensor:
        """Return the loss of each reference, in nats summed over its tokens and EOS, [batch]."""
        logits = self.logits(self.model, batch)
        logits = at_least_float32(logits.transpose(1, 2))
        losses = cross_entropy(logits, batch.target[:, 1:], ignore_index=PAD, reduction="none")
        return losses.sum(dim=1)

    def _search(self, batch: TranslationBatch, rows: Tensor, greedy: bool) -> Hypotheses:
        lengths = batch.source_lengths[rows]
        source = batch.source[rows.to(batch.source.device), : int(lengths.max())]
        if greedy:
            return greedy_search([self.model], source, lengths, self.length_penalty, self.limits)
        return beam_search([self.model], source, lengths, self.beam_size, 1, self.length_penalty, self.limits)

    def _translated(
        self, batch: TranslationBatch, losses: Tensor, rows: Tensor, hypotheses: Hypotheses
    ) -> list[Translation]:
        num_words = (batch.source_lengths[rows] - 1).tolist()
        texts = map(self.tokenizers.target.decode, hypotheses.tokens[:, 0].tolist())
        columns = (
            batch.indices[rows].tolist(),
            # As in `Translator`, a sentence without words has an empty translation.
            [text if number else "" for text, number in zip(texts, num_words, strict=True)],
            hypotheses.scores[:, 0].tolist(),
            losses[rows.to(losses.device)].tolist(),
            num_words,
            (batch.target_lengths[rows] - 1).tolist(),
        )
        return [Translation(*row) for row in zip(*columns, strict=True)]

    def _count_loss(self, split: Split, batch: TranslationBatch, losses: Tensor) -> None:
        self.sum_of("loss", split).update(losses.sum())
        self.sum_of("tokens", split).update(float((batch.target_lengths - 1).sum()))

    def on_validation_epoch_end(self) -> None:
        translations, _ = self._finish("val")
        if not translations and not self.trainer.sanity_checking:
            raise UserError(
                f"task.val_sentences={self.val_sentences}: none of these sentences is in the batches that "
                f"trainer.limit_val_batches={self.trainer.limit_val_batches} leaves: increase one of them"
            )

    def on_test_epoch_end(self) -> None:
        translations, references = self._finish("test")
        self.num_test_samples = len(translations)
        if self.literature:
            scores = literature_scores([each.text for each in translations], references, self._data.corpus.target_lang)
            self.log_dict({f"test/literature/{name}": value for name, value in scores.items()})
        scores = scores_by_length(translations, references)
        tags = self._data.tags("test")
        if "phenomenon" in tags:
            scores |= scores_by_phenomenon(translations, references, tags)
        self.log_dict({f"test/{name}": value for name, value in scores.items()})

    @property
    def _data(self) -> Any:  # noqa: ANN401 (TranslationDataModule; the trainer types it as any)
        return self.trainer.datamodule  # type: ignore[attr-defined]

    def _finish(self, split: Split) -> tuple[Sequence[Translation], list[str]]:
        """Log the scores of a split. Return its translations from all ranks, and their references."""
        total, num_tokens = self.sum_of("loss", split), self.sum_of("tokens", split)
        loss = total.compute() / num_tokens.compute()
        total.reset()
        num_tokens.reset()
        self.log_dict({f"{split}/loss": loss, f"{split}/ppl": loss.exp()}, sync_dist=True)
        self.translations[split] = translations = self._gathered[split].finish()
        all_references = self._data.references(split)
        references = [all_references[each.pair] for each in translations]
        if translations:
            texts = [each.text for each in translations]
            for name, value in corpus_scores(texts, references, self.bleu_tokenizer).items():
                self.log(f"{split}/{name}", value, prog_bar=name == "bleu", sync_dist=True)
        return translations, references
