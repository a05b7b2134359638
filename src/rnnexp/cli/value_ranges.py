"""The numbers that each config key allows, for the check before a run directory is made or a sweep starts.

Constructors check their own arguments as well, for those who use rnnexp as a library. A key without a range is checked
by its constructor alone.
"""

import math
from collections.abc import Callable
from typing import NamedTuple


class Range(NamedTuple):
    """The numbers that a key allows.

    Args:
        words: the numbers in words, after `must be`.
        contains: returns whether a number is one of them.
    """

    words: str
    contains: Callable[[float], bool]


COUNT = Range("a whole number of at least 1", lambda value: value >= 1)
COUNT_OR_ZERO = Range("a whole number of at least 0", lambda value: value >= 0)
COUNT_OR_ENDLESS = Range("a whole number of at least 1, or -1 for no limit", lambda value: value >= 1 or value == -1)
COUNT_OR_ALL = Range("a whole number of at least 0, or -1 for all", lambda value: value >= 0 or value == -1)
SEED = Range("a whole number of at least 0 and below 2 to the 63rd", lambda value: 0 <= value < 2**63)
AMOUNT = Range("a number of at least 0", lambda value: 0 <= value < math.inf)
LIMIT = Range("a number of at least 0", lambda value: value >= 0)
POSITIVE = Range("a number above 0", lambda value: 0 < value < math.inf)
BELOW_ONE = Range("a number of at least 0 and below 1", lambda value: 0 <= value < 1)
SHARE = Range("a number from 0 to 1", lambda value: 0 <= value <= 1)
PART = Range(
    "a whole number of at least 0, or a share below 1 such as 0.1",
    lambda value: value >= 0 and (isinstance(value, int) or value < 1),
)
BATCHES = Range(
    "a whole number of at least 1, or a share of the batches such as 0.5 or 1.0",
    lambda value: value > 0 and (isinstance(value, int) or value <= 1),
)
BATCHES_OR_NONE = Range(
    "a whole number of at least 0, or a share of the batches such as 0.5 or 1.0",
    lambda value: value >= 0 and (isinstance(value, int) or value <= 1),
)

RANGES = {
    "seed": SEED,
    "num_threads": COUNT,
    **dict.fromkeys(("data.seed", "data.split_seed", "data.generator_seed"), SEED),
    **dict.fromkeys(("data.batch_size", "data.eval_batch_size", "data.window", "data.num_pairs"), COUNT),
    **dict.fromkeys(("data.max_length", "data.max_eval_length", "data.max_line_bytes"), COUNT),
    **dict.fromkeys(("data.vocab_size", "data.min_frequency"), COUNT),
    **dict.fromkeys(("data.val_share", "data.test_share"), BELOW_ONE),
    "data.val_size": PART,
    "data.timeout_seconds": POSITIVE,
    **dict.fromkeys(("model.hidden_size", "model.num_layers"), COUNT),
    "model.dropout": BELOW_ONE,
    **dict.fromkeys(("optimizer.lr", "optimizer.eps", "optimizer.weight_decay", "optimizer.momentum"), AMOUNT),
    "optimizer.betas": BELOW_ONE,
    "scheduler.warmup": BELOW_ONE,
    **dict.fromkeys(("scheduler.initial_divisor", "scheduler.final_divisor"), POSITIVE),
    **dict.fromkeys(("task.dropout", "task.label_smoothing"), BELOW_ONE),
    "task.teacher_forcing": SHARE,
    **dict.fromkeys(("task.beam_size", "task.val_sentences"), COUNT),
    **dict.fromkeys(("task.length_penalty", "task.max_ratio"), AMOUNT),
    "task.max_extra": COUNT_OR_ZERO,
    **dict.fromkeys(("task.network.embedding_size", "task.network.decoder_layers"), COUNT),
    **{f"task.network.{place}_dropout": BELOW_ONE for place in ("embedding", "annotation", "output", "word")},
    **dict.fromkeys(("trainer.max_epochs", "trainer.max_steps"), COUNT_OR_ENDLESS),
    **dict.fromkeys(("trainer.min_epochs", "trainer.min_steps"), COUNT_OR_ZERO),
    "trainer.reload_dataloaders_every_n_epochs": COUNT_OR_ZERO,
    **dict.fromkeys(("trainer.accumulate_grad_batches", "trainer.check_val_every_n_epoch"), COUNT),
    **dict.fromkeys(("trainer.log_every_n_steps", "trainer.num_nodes"), COUNT),
    "trainer.gradient_clip_val": LIMIT,
    "trainer.num_sanity_val_steps": COUNT_OR_ALL,
    **dict.fromkeys(("trainer.limit_train_batches", "trainer.val_check_interval"), BATCHES),
    **{f"trainer.limit_{stage}_batches": BATCHES_OR_NONE for stage in ("val", "test", "predict")},
    "trainer.overfit_batches": BATCHES_OR_NONE,
    **dict.fromkeys(("callbacks.divergence.every_n_steps", "callbacks.kept_checkpoints.keep"), COUNT),
    **dict.fromkeys(("callbacks.gradient_flow.num_sequences", "callbacks.samples.num_sentences"), COUNT),
    "callbacks.early_stopping.patience": COUNT_OR_ZERO,
    "callbacks.progress.every_n_seconds": AMOUNT,
    "logger.csv.flush_every_n_steps": COUNT,
    "logger.wandb.timeout_seconds": POSITIVE,
}
"""Config key -> its range. A range applies to each item of a list, and not to the arguments of a class of the user."""
