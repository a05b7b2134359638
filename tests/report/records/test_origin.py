"""A report says with which seeds, on what, for how long and with which command its runs were made."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rnnexp.report.records.groups import ComparisonGroup
from rnnexp.report.records.origin import KEPT, origin
from rnnexp.report.records.runs import Run, find_runs
from rnnexp.tracking.identity import RUN_ONLY

Made = Callable[..., Run]
Grouped = Callable[[list[Run]], ComparisonGroup]
Changed = Callable[[Path, Callable[[dict[str, Any]], object]], None]
ZONE = "+00:00"


def timed(made: Made, seed: int, seconds: float | None, queued: str, done: str) -> Run:
    run = made("gru", seed=seed, since=done, result={"timing": {"total_seconds": seconds}})
    return replace(run, queued=queued, code="0123456789")


def test_seeds_and_times_of_runs(made: Made, group_of: Grouped, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    runs = [
        timed(made, 10, 30.0, f"2026-11-27T02:59:28{ZONE}", f"2026-11-27T03:10:00{ZONE}"),
        timed(made, 2, 60.0, f"2026-11-27T03:01:00{ZONE}", f"2026-11-28T04:05:00{ZONE}"),
    ]
    assert list(origin(group_of(runs))) == [
        "Seeds: 2, 10.",
        "Code: 0123456789 (2 of 2 runs).",
        "Device: a processor (2 of 2 runs).",
        "Time: 1.5 minutes in 2 runs, from 2026-11-27 02:59 to 2026-11-28 04:05 UTC.",
    ]


@pytest.mark.parametrize(("queued", "done"), [("", ""), ("soon", f"2026-11-27T03:10:00{ZONE}"), ("2026-11-27", "no")])
def test_a_time_that_cannot_be_read_is_left_out(made: Made, group_of: Grouped, queued: str, done: str) -> None:
    assert list(origin(group_of([timed(made, 1, 90.0, queued, done)])))[3:] == ["Time: 1.5 minutes in 1 run."]
    assert len(list(origin(group_of([timed(made, 1, None, queued, done)])))) == 3


def test_runs_without_a_result_count_in_the_period(
    made: Made, group_of: Grouped, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    counted = timed(made, 1, 60.0, f"2026-11-27T02:59:28{ZONE}", f"2026-11-27T03:10:00{ZONE}")
    others = [
        replace(made("gru", seed=2, status=status, since=f"2026-11-27T0{hour}:00:00{ZONE}"), queued=counted.queued)
        for status, hour in [
            ("pruned", 4),
            ("diverged", 5),
            ("failed", 6),
            ("interrupted", 7),
            ("running", 8),
            ("queued", 9),
        ]
    ]
    lost = made("gru", seed=9, status="unreadable")  # without any time
    *_, last = origin(group_of([counted, *others, lost]))
    assert last == "Time: 1.0 minutes in 1 run, 5 more without a result, from 2026-11-27 02:59 to 2026-11-27 07:00 UTC."


def test_a_seed_that_ran_twice_is_no_run_without_a_result(made: Made, group_of: Grouped) -> None:
    twice = [timed(made, 1, 60.0, "", f"2026-11-27T03:1{minute}:00{ZONE}") for minute in (0, 1)]
    assert list(origin(group_of(twice)))[3:] == ["Time: 1.0 minutes in 1 run."]


def test_runs_without_any_result_have_no_origin(made: Made, group_of: Grouped) -> None:
    assert list(origin(group_of([made("gru", status="failed")]))) == []


COMMAND = (
    "python -m rnnexp.train --config-dir sweeps --config-name cells model=srn,gru +trainer.max_time=1 "
    "seed=1,2 optimized_metric=val/acc monitor=val/loss monitor_mode=min ckpt_path=a.ckpt hydra/launcher=pool "
)


def test_a_sweep_has_its_command_without_what_does_not_affect_results(
    sweep: Path, changed: Changed, group_of: Grouped
) -> None:
    places = " ".join(f"{key}=x ~{key}.below=x" for key in RUN_ONLY if key not in KEPT)
    changed(sweep / "sweep.json", lambda record: record.update(command=f"{COMMAND}{places} hydra.launcher.jobs=1"))
    *_, last = origin(group_of(find_runs([sweep])))
    assert last == f"Command of the sweep, the last one, without keys that do not affect results: {COMMAND.strip()}"


def test_the_path_of_a_console_script_is_left_out(sweep: Path, changed: Changed, group_of: Grouped) -> None:
    changed(sweep / "sweep.json", lambda record: record.update(command="python /opt/venv/bin/rnnexp train -m seed=1,2"))
    *_, last = origin(group_of(find_runs([sweep])))
    assert last.endswith(": rnnexp train -m seed=1,2")


@pytest.mark.parametrize("command", [None, 3, "an 'open quotation", "a" * 10_000_000])
def test_a_command_that_cannot_be_read_is_left_out(
    sweep: Path, changed: Changed, group_of: Grouped, command: object
) -> None:
    changed(sweep / "sweep.json", lambda record: record.update(command=command))
    *_, last = origin(group_of(find_runs([sweep])))
    assert last.startswith("Time: ")


def test_single_runs_have_no_command_of_a_sweep(sweep: Path, group_of: Grouped) -> None:
    (sweep / "sweep.json").unlink()
    runs = find_runs([sweep])
    assert {run.sweep for run in runs} == {None}
    *_, last = origin(group_of(runs))
    assert last.startswith("Time: ")
