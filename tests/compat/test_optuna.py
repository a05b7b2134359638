"""Canaries for the private names of Optuna in rnnexp.compat.optuna."""

from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from rnnexp.compat.optuna import running_trial, tell
from rnnexp.sweeps.search.storage import open_storage


def grid_study() -> optuna.Study:
    with pytest.warns(optuna.exceptions.ExperimentalWarning):
        sampler = optuna.samplers.BruteForceSampler()
    return optuna.create_study(sampler=sampler)


def ask(study: optuna.Study) -> optuna.Trial:
    trial = study.ask()
    trial.suggest_categorical("a", [1])
    return trial


def test_a_trial_that_another_process_asked_for_can_be_continued(tmp_path: Path) -> None:
    place = str(tmp_path / "journal.log")
    first = optuna.create_study(storage=open_storage(place), study_name="s")
    number = first.ask({"a": optuna.distributions.IntDistribution(1, 9)}).number
    study = optuna.load_study(storage=open_storage(place), study_name="s")
    (frozen,) = study.get_trials(states=[TrialState.RUNNING])
    assert hasattr(frozen, "_trial_id"), "Optuna has moved FrozenTrial._trial_id: see compat/optuna.py"
    trial = running_trial(study, frozen)
    assert (trial.number, trial.params) == (number, frozen.params)
    trial.report(0.5, 0)
    tell(study, trial, 1.0, TrialState.COMPLETE)
    (ended,) = study.trials
    assert (ended.state, ended.value, ended.intermediate_values) == (TrialState.COMPLETE, 1.0, {0: 0.5})


def test_an_exhausted_sampler_does_not_stop_the_search() -> None:
    study = grid_study()
    trial = ask(study)
    with pytest.raises(RuntimeError) as raised:
        study.tell(trial, 1.0)
    assert "Study.stop" in str(raised.value), "Optuna has changed this message: see compat/optuna.py"
    study = grid_study()
    tell(study, ask(study), 1.0, TrialState.COMPLETE)
    assert study.best_value == 1.0


def test_other_errors_pass() -> None:
    study = optuna.create_study()
    trial = study.ask()
    with pytest.raises(ValueError, match="COMPLETE"):
        tell(study, trial, None, TrialState.COMPLETE)
