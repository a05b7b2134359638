"""Searches that share a study in PostgreSQL."""

import importlib.util
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
import pytest

from support.postgres import PASSWORD, PostgresServer, programs, running_postgres
from support.programs import Run
from support.sweeps import BARE, SEARCH, start, wait_for

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1500),
    pytest.mark.skipif(programs() is None, reason="PostgreSQL is not installed"),
    pytest.mark.skipif(importlib.util.find_spec("psycopg") is None, reason="psycopg is not installed"),
]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[PostgresServer]:
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    with running_postgres() as server:
        yield server


@contextmanager
def opened(server: PostgresServer) -> Iterator[optuna.Study]:
    storage = optuna.storages.RDBStorage(server.url)
    yield optuna.load_study(study_name="train", storage=storage)
    storage.engine.dispose()


def states(server: PostgresServer) -> Counter[str]:
    with opened(server) as study:
        return Counter(trial.state.name for trial in study.trials)


def test_of_two_searches_one_dies_and_no_trial_is_lost(server: PostgresServer, tiny: list[str], tmp_path: Path) -> None:
    asked = [*SEARCH, f"hydra.sweeper.storage={server.url}", "hydra.sweeper.n_trials=6", "hydra.sweeper.n_jobs=1"]
    asked += ["optimizer.lr=interval(0.001,0.1)", "trainer.max_epochs=2", *BARE]
    first, second = (start(tiny, *asked, f"sweep_dir={tmp_path}/{name}") for name in ("a", "b"))
    wait_for(lambda: list(tmp_path.glob("a/jobs/*/checkpoints/last.ckpt")), 300)
    first.kill()
    first.communicate()
    stdout, stderr = second.communicate(timeout=600)
    assert second.returncode == 0, stdout + stderr
    first = start(tiny, *asked, f"sweep_dir={tmp_path}/a")
    stdout, stderr = first.communicate(timeout=600)
    assert first.returncode == 0, stdout + stderr
    # Two processes that ask at the same moment may add one more.
    found = states(server)
    assert set(found) == {"COMPLETE"}
    assert found["COMPLETE"] in (6, 7)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_search_takes_over_the_trial_of_a_silent_one(
    server: PostgresServer, tiny: list[str], tmp_path: Path, number: int
) -> None:
    """The trial of a process that has died, or is asleep and wakes up at the end, has one result."""
    asked = [*SEARCH, f"hydra.sweeper.storage={server.url}", "hydra.sweeper.n_trials=6", "hydra.sweeper.n_jobs=1"]
    asked += ["optimizer.lr=interval(0.001,0.1)", "trainer.max_epochs=2", *BARE]
    first, second = (start(tiny, *asked, f"sweep_dir={tmp_path}/{name}") for name in ("a", "b"))
    wait_for(lambda: list(tmp_path.glob("a/jobs/*/checkpoints/last.ckpt")), 300)
    first.send_signal(number)
    owner = (tmp_path / "a" / "study" / "owner").read_text(encoding="utf-8")
    with opened(server) as study:
        (lost,) = [
            trial for trial in study.trials if not trial.state.is_finished() and trial.user_attrs["owner"] == owner
        ]
        # As if ten minutes had passed.
        optuna.Trial(study, lost._trial_id).set_user_attr("heartbeat", 0.0)
    stdout, stderr = second.communicate(timeout=600)
    assert second.returncode == 0, stdout + stderr
    if number == signal.SIGKILL:
        first.communicate()
        first = start(tiny, *asked, f"sweep_dir={tmp_path}/a")
    else:
        first.send_signal(signal.SIGCONT)
    stdout, stderr = first.communicate(timeout=600)
    assert first.returncode == 0, stdout + stderr
    with opened(server) as study:
        assert study.trials[lost.number].user_attrs["run_directory"].startswith(f"{tmp_path}/b/jobs/")
    found = states(server)
    assert set(found) == {"COMPLETE"}
    assert found["COMPLETE"] in (6, 7)


def test_a_search_continues_after_its_database_was_away(
    server: PostgresServer, tiny: list[str], tmp_path: Path
) -> None:
    asked = [*SEARCH, f"hydra.sweeper.storage={server.url}", "hydra.sweeper.n_trials=3", "hydra.sweeper.n_jobs=1"]
    asked += ["optimizer.lr=interval(0.001,0.1)", f"sweep_dir={tmp_path}/sweep", *BARE]
    search = start(tiny, *asked)
    wait_for(lambda: list(tmp_path.glob("sweep/jobs/*/checkpoints/last.ckpt")), 120)
    server.stop()
    stdout, stderr = search.communicate(timeout=600)
    assert search.returncode == 2, stdout + stderr
    assert stderr.startswith("rnnexp: hydra.sweeper.storage cannot be used: "), stderr
    assert stderr.count("\n") == 1
    server.start()
    search = start(tiny, *asked)
    stdout, stderr = search.communicate(timeout=600)
    assert search.returncode == 0, stdout + stderr
    assert states(server) == {"COMPLETE": 3}


def test_a_wrong_password_is_a_one_line_error_without_it(
    server: PostgresServer, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", "another")
    search = [*SEARCH, "optimizer.lr=interval(0.001,0.1)", f"sweep_dir={tmp_path}/sweep"]
    outcome = run(*search, f"hydra.sweeper.storage={server.url}", "-m")
    assert outcome.exit_code == 2
    assert "password authentication failed" in outcome.line
    assert "another" not in outcome.line
