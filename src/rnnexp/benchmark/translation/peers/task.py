"""The task of a peer: a file with the config and the sentence pairs, from which its driver works."""

from collections.abc import Sequence
from itertools import accumulate, pairwise
from pathlib import Path

import torch
from torch import Tensor

from rnnexp.benchmark.workbench import Workbench
from rnnexp.core.files.atomic import write_json
from rnnexp.data.batches import TranslationBatch
from rnnexp.models import Seq2Seq
from rnnexp.runs.create import resolved

BEAM_SIZE = 5


def write_task(
    directory: Path,
    bench: Workbench,
    network: Seq2Seq,
    training: Sequence[TranslationBatch],
    decoding: Sequence[TranslationBatch],
) -> None:
    """Write `task.json`.

    Args:
        directory: the directory of the file.
        bench: the workbench, whose config has the settings.
        network: a network of rnnexp, whose vocabularies the peer has.
        training: the batches of all steps, and one more.
        decoding: the test batches; all translations of a batch have the length of its first reference.
    """
    task = {
        "config": resolved(bench.config),
        "threads": torch.get_num_threads(),
        "steps": [bench.steps.warmup, bench.steps.total],  # the first timed step, and the end of the timed steps
        "vocab_sizes": {
            "source": network.encoder.embedding.num_embeddings,
            "target": network.decoder.output.out_features,
        },
        "sentences": {  # tokens without BOS and EOS
            "train.source": [row for each in training for row in _rows(each.source, each.source_lengths)],
            "train.target": [row[1:] for each in training for row in _rows(each.target, each.target_lengths)],
            "test.source": [row for each in decoding for row in _rows(each.source, each.source_lengths)],
        },
        "batches": _indices(training),
        "test": {
            "batches": _indices(decoding),
            "lengths": [int(batch.target_lengths[0]) - 2 for batch in decoding],
            "beam_size": BEAM_SIZE,
        },
    }
    write_json(directory / "task.json", task)


def _rows(tokens: Tensor, lengths: Tensor) -> list[list[int]]:
    return [row[: length - 1] for row, length in zip(tokens.tolist(), lengths.tolist(), strict=True)]


def _indices(batches: Sequence[TranslationBatch]) -> list[list[int]]:
    """Return the indices of the sentences of each batch, counted over all batches."""
    offsets = accumulate((len(batch.source) for batch in batches), initial=0)
    return [list(range(*ends)) for ends in pairwise(offsets)]
