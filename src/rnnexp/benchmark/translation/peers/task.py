"""The task of a peer: a file with the config and the sentence pairs, from which its driver works."""

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rnnexp.benchmark.workbench import Workbench
from rnnexp.core.files.atomic import write_json
from rnnexp.data.batches import TranslationBatch
from rnnexp.models import Seq2Seq
from rnnexp.runs.create import resolved

BEAM_SIZE = 5

Batches = Sequence[TranslationBatch]
"""The batches of a split; its sentences are counted over all of them."""


def write_task(
    directory: Path, bench: Workbench, network: Seq2Seq, splits: Mapping[str, Batches], more: Mapping[str, Any]
) -> None:
    """Write `task.json`.

    Args:
        directory: the directory of the file.
        bench: the workbench, whose config has the settings.
        network: a network of rnnexp, whose vocabularies the peer has.
        splits: `train`, and others whose sentences the peer has.
        more: further keys.
    """
    task = {
        "config": resolved(bench.config),
        "threads": torch.get_num_threads(),
        "cpu_time": bench.options.cpu_time,
        "beam_size": BEAM_SIZE,
        "vocab_sizes": {
            "source": network.encoder.embedding.num_embeddings,
            "target": network.decoder.output.out_features,
        },
        "sentences": {  # tokens without BOS and EOS
            f"{name}.{side}": rows
            for name, batches in splits.items()
            for side, rows in (("source", _sources(batches)), ("target", _targets(batches)))
        },
        **more,
    }
    write_json(directory / "task.json", task)


def indices(batches: Batches) -> list[list[int]]:
    """Return the indices of the sentences of each batch, counted over all batches."""
    offsets = accumulate((len(batch.source) for batch in batches), initial=0)
    return [list(range(*ends)) for ends in pairwise(offsets)]


def _sources(batches: Batches) -> list[list[int]]:
    return [row for each in batches for row in _rows(each.source, each.source_lengths)]


def _targets(batches: Batches) -> list[list[int]]:
    return [row[1:] for each in batches for row in _rows(each.target, each.target_lengths)]


def _rows(tokens: Tensor, lengths: Tensor) -> list[list[int]]:
    return [row[: length - 1] for row, length in zip(tokens.tolist(), lengths.tolist(), strict=True)]
