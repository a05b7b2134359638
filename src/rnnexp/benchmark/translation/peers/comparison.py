"""The speed of rnnexp and of other toolkits in turns: training and decoding of the same sentence pairs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import torch
from rich.table import Table

from rnnexp.benchmark.measurement import RNNEXP, TimedSteps, compare, take_turns
from rnnexp.benchmark.report import format_ratio
from rnnexp.benchmark.translation.decoding import Decoding
from rnnexp.benchmark.translation.peers.process import Measured, PeerProcess
from rnnexp.benchmark.translation.peers.registry import PEERS
from rnnexp.benchmark.translation.peers.task import BEAM_SIZE, indices, write_task
from rnnexp.benchmark.workbench import Workbench
from rnnexp.core.validation import expand_home
from rnnexp.data.batches import TranslationBatch
from rnnexp.models import Seq2Seq
from rnnexp.tasks.translation.multiply_adds import Work

ANSWER_SECONDS, STEP_SECONDS = 600, 10
"""The longest time for an answer of a peer, and what each training step adds to it."""
TRAINING = {"own batches": "train own", "rnnexp's batches": "train given"}
"""Form of a peer in training -> the request to its driver."""
UNITS = {"tokens_per_second": "target tokens/s", "sentences_per_second": "sentences/s"}

Candidates = dict[str, Callable[[], Measured | None]]
Rounds = dict[str, list[Measured]]


def measure_peers(
    bench: Workbench,
    networks: Mapping[str, Seq2Seq],
    training: Sequence[TranslationBatch],
    decoding: Sequence[TranslationBatch],
) -> dict[str, Any]:
    """Return the speeds of rnnexp with both decoders and of each peer in each round.

    Args:
        bench: the workbench.
        networks: decoder -> the network of rnnexp with that decoder.
        training: the batches of all steps, and one more, on the device.
        decoding: the test batches, on the device.
    """
    num_tokens = Work.of(*training[bench.steps.warmup : bench.steps.total]).target
    # A toolkit limits the length of the translations of a batch, not of each.
    decoding = [
        batch._replace(target_lengths=torch.full_like(batch.target_lengths, int(batch.target_lengths.max())))
        for batch in decoding
    ]
    num_sentences = sum(len(batch.source) for batch in decoding)
    trained: Candidates = {}
    decoded: Candidates = {}
    for decoder, network in networks.items():
        values = {"task": {"network": {"decoder": decoder}, "teacher_forcing": 1.0}}
        decode = Decoding(network, decoding, training[0].source.device, BEAM_SIZE)
        trained[f"{RNNEXP}, {decoder}"] = partial(_measured, bench.with_values(values).time_rnnexp, num_tokens)
        decoded[f"{RNNEXP}, {decoder}"] = partial(_measured, decode, num_sentences)
    with running_peers(bench, next(iter(networks.values())), training, decoding) as peers:
        for name, peer in peers.items():
            trained |= {f"{name}, {form}": partial(peer.ask, request) for form, request in TRAINING.items()}
            decoded[name] = partial(peer.ask, "decode")
        rounds = [_complete(take_turns(each, bench.options.repetitions)) for each in (trained, decoded)]
    speeds = {
        unit: {name: [each.per_second for each in measured] for name, measured in by_name.items()}
        for unit, by_name in zip(UNITS, rounds, strict=True)
    }
    return {
        "versions": {name: peer.version for name, peer in peers.items()},
        "not_measured": {name: peer.failure for name, peer in peers.items() if peer.failure is not None},
        **speeds,
        "final_loss": {name: measured[-1].loss for name, measured in rounds[0].items()},
        "ratios": {
            f"{UNITS[unit]}, {ours} / {other}": compare(candidates[ours], rates)
            for unit, candidates in speeds.items()
            for ours in (f"{RNNEXP}, {decoder}" for decoder in networks)
            for other, rates in candidates.items()
            if not other.startswith(RNNEXP)
        },
    }


@contextmanager
def running_peers(
    bench: Workbench, network: Seq2Seq, training: Sequence[TranslationBatch], decoding: Sequence[TranslationBatch]
) -> Iterator[dict[str, PeerProcess]]:
    """Start the peers that `peers` names, and stop them at the end. Arguments: see `measure_peers`."""
    peers: dict[str, PeerProcess] = {}
    with TemporaryDirectory() as directory, ExitStack() as stack:
        for name, python in bench.options.peers.items():
            if python is None:
                continue
            peer = peers[name] = PeerProcess(ANSWER_SECONDS + STEP_SECONDS * len(training))
            stack.callback(peer.stop)
            if reason := PEERS[name].unsupported(bench.value, network):
                peer.fail(reason)
                continue
            place = Path(directory, name)
            place.mkdir()
            steps = [bench.steps.warmup, bench.steps.total]  # the first timed step, and the end of the timed steps
            lengths = [int(batch.target_lengths[0]) - 2 for batch in decoding]  # without BOS and EOS
            test = {"batches": indices(decoding), "lengths": lengths}
            more = {"batches": indices(training), "steps": steps, "test": test}
            write_task(place, bench, network, {"train": training, "test": decoding}, more)
            peer.start(str(expand_home(python)), PEERS[name].driver, place)
        for peer in peers.values():
            peer.wait_until_ready()
        yield peers


def _measured(measure: Callable[[], TimedSteps], amount: int) -> Measured:
    timed = measure()
    return Measured(timed.seconds, amount, timed.final_loss)


def _complete(rounds: Mapping[str, Sequence[Measured | None]]) -> Rounds:
    """Return the candidates that were measured in every round."""
    return {
        name: [each for each in measured if each is not None]
        for name, measured in rounds.items()
        if None not in measured
    }


def peer_table(peers: Mapping[str, Any]) -> Table:
    """Return a table of speeds and ratios, which names the peers that were not measured."""
    ours = [name for name in peers["tokens_per_second"] if name.startswith(RNNEXP)]
    captions = ["sentences/s: beam 5 with untrained networks, all translations of a batch of one length"]
    captions += [f"{name}: not measured: {reason}" for name, reason in peers["not_measured"].items()]
    table = Table("measured", "candidate", caption="\n".join(captions))
    for column in ("median", "lowest-highest", *(f"{name} / it" for name in ours)):
        table.add_column(column, justify="right")
    for key, unit in UNITS.items():
        for row, (name, rates) in enumerate(peers[key].items()):
            ratios = [peers["ratios"].get(f"{unit}, {each} / {name}") for each in ours]
            spread = f"{min(rates):,.1f}-{max(rates):,.1f}"
            shown = ["" if ratio is None else format_ratio(ratio) for ratio in ratios]
            table.add_row(unit if row == 0 else "", name, f"{median(rates):,.1f}", spread, *shown)
    for name in peers["not_measured"]:
        table.add_row("", name, "not measured")
    return table
