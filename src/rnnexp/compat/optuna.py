"""Functions of Optuna without a public name: trials that an earlier process left running, and a sampler's stop.

Import this module only if Optuna is installed.
"""

import optuna
from optuna.trial import FrozenTrial, TrialState


def running_trial(study: optuna.Study, frozen: FrozenTrial) -> optuna.Trial:
    """Return the trial object of a trial that this or another process has asked for.

    `study.ask()`, the public way, makes a new trial, also for the parameters of `study.enqueue_trial()`.
    """
    return optuna.Trial(study, frozen._trial_id)


def tell(study: optuna.Study, trial: optuna.Trial, value: float | None, state: TrialState) -> None:
    """Tell a study the end of a trial. The first end of a trial counts.

    A sampler that has tried every point calls `Study.stop()`, which raises RuntimeError unless Optuna itself runs the
    trials, in `Study.optimize()`. That is the public way, and it runs trials in this process. There is no class for the
    error, only its message.
    """
    try:
        study.tell(trial, value, state, skip_if_finished=True)
    except RuntimeError as error:
        if "Study.stop" not in str(error):
            raise
