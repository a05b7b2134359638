"""The cost of inference of runs, from inference.json: of a group only what was measured under the same conditions."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from rnnexp.report.records.runs import Run
from rnnexp.tasks.inference_record import Conditions, conditions_of

ELSEWHERE = "inference_elsewhere"
"""The key of a result with the measurements that are not compared."""


def with_one_machine(runs: Sequence[Run]) -> list[Run]:
    """Return the runs with only the measurements of inference under the conditions that most of them have.

    Those of other conditions, such as another machine, device or number of threads, are moved to `ELSEWHERE`.
    """
    found = {id(run): conditions(run) for run in runs}
    counts = Counter(each for each in found.values() if each is not None)
    if len(counts) < 2:
        return list(runs)
    ((chosen, _),) = counts.most_common(1)
    return [run if found[id(run)] in (None, chosen) else _without_inference(run) for run in runs]


def _without_inference(run: Run) -> Run:
    return replace(run, result={**run.result, "inference": {}, ELSEWHERE: run.result["inference"]})


def conditions(run: Run, key: str = "inference") -> Conditions | None:
    """Return the conditions under which the inference of a run was measured; None if it was not."""
    measured = run.result.get(key)
    return conditions_of(measured, run.files.inference_file) if measured else None


def facts(runs: Sequence[Run]) -> Iterator[str]:
    """Yield sentences about the measurements of inference: where, how, and what is left out; none without any."""
    measured = [run.result["inference"] for run in runs if run.result.get("inference")]
    if not measured:
        return
    shown = next(found for run in runs if (found := conditions(run)))
    yield f"Inference was measured on {shown}; of {len(measured)} of {len(runs)} runs."
    sessions = {(str(each.get("measured")), str(each.get("num_runs_in_turns"))) for each in measured}
    if len(sessions) > 1:
        yield f"The runs were measured in {len(sessions)} sessions, between which the load of the machine may differ."
    if busy := sum(_is_busy(each) for each in measured):
        yield f"The machine was not idle, or may not have been, when {busy} of {len(measured)} runs were measured."
    commits = dict.fromkeys(_commit(each) for each in measured)
    if len(commits) > 1:
        yield f"They were measured with several commits of rnnexp: {', '.join(commits)}."
    elsewhere = dict.fromkeys(str(found) for run in runs if (found := conditions(run, ELSEWHERE)))
    if elsewhere:
        yield f"Measurements under other conditions are not compared, and not shown: {'; '.join(elsewhere)}."


def _is_busy(record: Mapping[str, Any]) -> bool:
    use = record.get("machine_use")
    return not (isinstance(use, Mapping) and use.get("is_idle") is True)


def _commit(record: Mapping[str, Any]) -> str:
    environment = record.get("environment")
    git = environment.get("git") if isinstance(environment, Mapping) else None
    commit = git.get("commit") if isinstance(git, Mapping) else None
    return str(commit or "unknown")[:10]
