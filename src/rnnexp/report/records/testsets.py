"""The test sets of runs, so that only runs that were tested on the same data are compared."""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from rnnexp.report.records.runs import Run
from rnnexp.tracking.keys import flattened

IRRELEVANT_KEYS = frozenset(
    {
        # the source of the data and its location
        *("root", "cache", "device", "download_from", "mirrors", "timeout_seconds", "max_line_bytes"),
        # how batches are made
        *("batch_size", "batch_unit", "eval_batch_size", "drop_last", "window"),
        # the training and validation splits
        *("train", "val", "val_size", "split_seed", "normalize"),
        # tokenization
        *("unit", "vocab_size", "min_frequency", "joint", "max_length", "max_eval_length"),
    }
)
"""Keys of the config group `data` that do not change the test set of this package's data modules.

Any other key may, and every key of a data module from elsewhere but the seed: names do not tell what it does with them.
"""


def assign_test_sets(runs: Sequence[Run]) -> list[str]:
    """Return a key per run: runs with equal keys were tested, or were to be tested, on the same data.

    The key consists of the name of the data, which includes how a network reads it, and the recorded digest of the test
    set. A run without a digest, since it failed before it was recorded, has the key of other runs with the same
    relevant keys of `data`; if there are none, its key consists of these.

    Args:
        runs: runs with a config.
    """
    by_config = [_to_text(relevant_keys(run)) for run in runs]
    recorded = [f"{run.facts['dataset']} {digest}" if (digest := digest_of(run)) else "" for run in runs]
    known: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for of_config, key in zip(by_config, recorded, strict=True):
        if key:
            known[of_config][key] += 1
    most_common = {of_config: counts.most_common(1)[0][0] for of_config, counts in known.items()}
    return [key or most_common.get(of_config, of_config) for of_config, key in zip(by_config, recorded, strict=True)]


def digest_of(run: Run) -> str:
    """Return the recorded digest of a run's test set; empty if it recorded none."""
    return run.text("data.test_digest")


def relevant_keys(run: Run) -> dict[str, Any]:
    """Return the keys of the config group `data` that may change the test set, with their values."""
    data = flattened((run.config or {}).get("data") or {})
    irrelevant = {"seed"}
    if str(data.get("_target_")).startswith("rnnexp."):
        irrelevant |= IRRELEVANT_KEYS
    return {key: value for key, value in data.items() if key.rpartition(".")[2] not in irrelevant}


def titles_of_test_sets(examples: Sequence[Run]) -> list[str]:
    """Return the name of each run's data, with the differences between test sets of the same name.

    Args:
        examples: one run for each test set.
    """
    names = [str(run.facts["dataset"]) for run in examples]
    namesakes: defaultdict[str, list[Run]] = defaultdict(list)
    for name, run in zip(names, examples, strict=True):
        namesakes[name].append(run)
    titles = [", ".join([name, *differences(run, namesakes[name])]) for name, run in zip(names, examples, strict=True)]
    counts = Counter(titles)
    return [
        f"{title}, test set {digest_of(run)[:8] or 'not recorded'}" if counts[title] > 1 else title
        for title, run in zip(titles, examples, strict=True)
    ]


def differences(run: Run, namesakes: Sequence[Run], but: str = "") -> list[str]:
    """Return the relevant keys of `data` in which a run differs from some of the others, with its values.

    Args:
        run: the run.
        namesakes: the runs with data of the same name.
        but: a key that is left out.
    """
    candidates = [relevant_keys(other) for other in namesakes]
    return [
        f"{key} {value}"
        for key, value in relevant_keys(run).items()
        if key != but and len({_to_text({"": keys.get(key)}) for keys in candidates}) > 1
    ]


def _to_text(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, default=str)
