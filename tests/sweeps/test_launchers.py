"""The launcher returns results to a sweeper of Hydra and finds the backends."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hydra.core.utils import JobStatus

from hydra_plugins.rnnexp.launchers import LAUNCHERS, SweepLauncher
from rnnexp.core.errors import SweepFailedError, UserError, missing_extra_errors
from rnnexp.sweeps.backends.base import Backend
from rnnexp.sweeps.sweep import JobOutcome, Points, SweepSettings
from rnnexp.tracking.status import Status


class FakeSweep:
    """A sweep whose outcomes are known."""

    def __init__(self, *outcomes: JobOutcome) -> None:
        self.outcomes, self.reports = list(outcomes), list[bool]()

    def launch(self, points: Points, *, report: bool) -> list[JobOutcome]:  # noqa: ARG002
        self.reports.append(report)
        return self.outcomes


def launcher_of(sweep: Any) -> SweepLauncher:
    launcher = SweepLauncher("nowhere:Nothing", on_error="continue")
    launcher.sweep_settings, launcher._sweep = SweepSettings(Path("sweep"), "train", report=True), sweep
    return launcher


def test_a_sweeper_gets_the_values_of_the_jobs() -> None:
    sweep = FakeSweep(JobOutcome(Status.DONE, Path("a"), value=0.5), JobOutcome(Status.DIVERGED, Path("b")))
    returns = launcher_of(sweep).launch([["seed=1"], ["seed=2"]], 0)
    assert [returned.return_value for returned in returns] == [0.5, None]
    assert [returned.working_dir for returned in returns] == ["a", "b"]
    assert [list(returned.overrides or ()) for returned in returns] == [["seed=1"], ["seed=2"]]
    assert {returned.status for returned in returns} == {JobStatus.COMPLETED}
    assert sweep.reports == [True]


def test_a_failure_is_raised_without_a_message_of_hydra(capsys: pytest.CaptureFixture[str]) -> None:
    failed = JobOutcome(Status.FAILED, Path("b"), error=SweepFailedError("1 failed of 2 jobs"))
    sweep = FakeSweep(JobOutcome(Status.DONE, Path("a")), failed)
    with pytest.raises(SweepFailedError):
        launcher_of(sweep).launch([["seed=1"], ["seed=2"]], 0)
    assert capsys.readouterr() == ("", "")


def test_a_dry_run_returns_nothing() -> None:
    assert launcher_of(FakeSweep()).launch([["seed=1"]], 0) == []


def test_a_search_gets_outcomes_without_a_report() -> None:
    sweep = FakeSweep(JobOutcome(Status.FAILED, Path("a"), error=SweepFailedError("")))
    assert launcher_of(sweep).run_batch([["seed=1"]]) == sweep.outcomes
    assert sweep.reports == [False]


@pytest.mark.parametrize("name", LAUNCHERS)
def test_every_backend_exists(name: str) -> None:
    module, _, backend = LAUNCHERS[name]().backend.partition(":")
    found = getattr(__import__(module, fromlist=[backend]), backend)
    assert issubclass(found, Backend)


def test_a_missing_package_is_an_error_of_the_user_only_if_an_extra_has_it() -> None:
    line = r'x needs ray, which is not installed: pip install -e "\.\[ray\]"'
    with pytest.raises(UserError, match=line), missing_extra_errors("x", "slurm", "ray"):
        raise ModuleNotFoundError("No module named 'ray'", name="ray")
    with pytest.raises(ModuleNotFoundError), missing_extra_errors("x", "slurm", "ray"):
        raise ModuleNotFoundError("No module named 'mine'", name="mine")


def test_a_backend_may_be_a_class_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    class Mine:
        def __init__(self, settings: dict[str, Any]) -> None:
            self.settings = settings

    module = ModuleType("my_backends")
    module.Mine = Mine  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "my_backends", module)
    launcher = SweepLauncher("my_backends:Mine", on_error="stop")
    launcher.name = "pool"
    made: Any = launcher._make_backend()
    assert isinstance(made, Mine)
    assert made.settings == {"on_error": "stop"}
