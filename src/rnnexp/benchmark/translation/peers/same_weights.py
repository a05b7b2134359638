"""Decoding by rnnexp and by another toolkit with the same weights, those of the toolkit after a training."""

import copy
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from rich.table import Table

from rnnexp.benchmark.measurement import RNNEXP, compare, take_turns
from rnnexp.benchmark.report import format_ratio
from rnnexp.benchmark.translation.peers.process import Measured, PeerProcess
from rnnexp.benchmark.translation.peers.registry import TakeWeights
from rnnexp.benchmark.translation.peers.task import BEAM_SIZE, Batches
from rnnexp.benchmark.workbench import Workbench
from rnnexp.core.clock import now
from rnnexp.core.files.atomic import read_json
from rnnexp.data.batches import TranslationBatch
from rnnexp.decoding import Limits, beam_search, greedy_search
from rnnexp.models import Seq2Seq
from rnnexp.text.vocabulary import SPECIAL_TOKENS

SEARCHES = {f"beam {BEAM_SIZE}": "beam", "greedy": "greedy"}
"""Name of a search -> the request to the driver."""


def measure_same_weights(
    bench: Workbench,
    network: Seq2Seq,
    name: str,
    peer: PeerProcess,
    directory: Path,
    take_weights: TakeWeights,
    decoding: Batches,
) -> dict[str, Any]:
    """Return the sentences per second of each search, and how many translations are equal.

    Args:
        bench: the workbench.
        network: a network of rnnexp with the stepwise decoder.
        name: the name of the peer.
        peer: its process, which has written its weights.
        directory: the directory of its files.
        take_weights: gives a network of rnnexp the weights of the peer.
        decoding: the test batches, on the device.
    """
    if bench.value("model.cell") != "gru" or network.decoder.hidden_size != network.decoder.embedding.embedding_dim:
        return {"not_measured": "it needs model.cell=gru and task.network.embedding_size=model.hidden_size"}
    own = copy.deepcopy(network).eval()
    take_weights(own, torch.load(directory / "weights.pt", weights_only=True))
    num_sentences = sum(len(batch.source) for batch in decoding)
    found: dict[str, list[list[int]]] = {}

    def search_own(search: str) -> Measured:
        start = now(decoding[0].source.device)
        found[search] = [row for batch in decoding for row in translate(own, batch, search)]
        return Measured(now(decoding[0].source.device) - start, num_sentences)

    searches: dict[str, Any] = {}
    for search, request in SEARCHES.items():
        candidates: dict[str, Callable[[], Measured | None]] = {
            RNNEXP: partial(search_own, search),
            name: partial(peer.ask, request),
        }
        rounds = take_turns(candidates, bench.options.repetitions)
        ours, theirs = ([each.per_second for each in times if each is not None] for times in rounds.values())
        if peer.failure is not None:
            return {"not_measured": peer.failure}
        translations = read_json(directory / "translations.json")["translations"]
        searches[search] = {
            "sentences_per_second": {RNNEXP: ours, name: theirs},
            "ratio": compare(ours, theirs),
            "equal": sum(a == b for a, b in zip(found[search], translations, strict=True)),
        }
    return {"weights": name, "num_sentences": num_sentences, "searches": searches}


def longest_translations(batches: Batches) -> list[int]:
    """Return the longest translation of each batch, which is the default of JoeyNMT."""
    return [int(1.5 * int(batch.source_lengths.max())) for batch in batches]


def translate(network: Seq2Seq, batch: TranslationBatch, search: str) -> list[list[int]]:
    """Return the tokens of the translations without special tokens. Their length has no influence on their score."""
    (longest,) = longest_translations([batch])
    limits = Limits(min_length=1, max_ratio=0, max_extra=longest)
    arguments = ([network], batch.source, batch.source_lengths)
    if search == "greedy":
        found = greedy_search(*arguments, length_penalty=0.0, limits=limits)
    else:
        found = beam_search(*arguments, BEAM_SIZE, length_penalty=0.0, limits=limits)
    return [[token for token in row if token >= len(SPECIAL_TOKENS)] for row in found.tokens[:, 0].tolist()]


def same_weights_table(same: Mapping[str, Any]) -> Table:
    """Return a table of the searches with the same weights, or of why they were not compared."""
    if "not_measured" in same:
        return Table("search", caption=f"the same weights: not measured: {same['not_measured']}")
    table = Table("search", "candidate", caption=f"the weights of {same['weights']}, {same['num_sentences']} sentences")
    for column in ("sentences/s", "rnnexp / it", "equal translations"):
        table.add_column(column, justify="right")
    for search, measured in same["searches"].items():
        for name, speeds in measured["sentences_per_second"].items():
            is_own = name == RNNEXP
            shown = ("", "") if is_own else (format_ratio(measured["ratio"]), f"{measured['equal']}")
            table.add_row(search if is_own else "", name, f"{median(speeds):,.1f}", *shown)
    return table
