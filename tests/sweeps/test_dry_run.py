"""A dry run: which jobs a sweep has, which of them cannot run here, and how long they take."""

import re

from support.programs import Outcome, Run

LONG = ["data.batch_size=5", "trainer.max_epochs=1000", "dry_run=true", "-m"]
"""100 batches an epoch: far more than a trial takes."""


def estimates(outcome: Outcome) -> list[int]:
    """Return the estimated seconds of the jobs, in their order."""
    assert outcome.exit_code == 0, outcome.stderr
    lines = [line for line in outcome.stdout.splitlines() if " to run " in line]
    found = []
    for line in lines:
        match = re.search(r"(?:(\d+):)?(\d+):(\d+)$", line.rstrip())
        assert match, line
        hours, minutes, seconds = (int(part or 0) for part in match.groups())
        found.append(3600 * hours + 60 * minutes + seconds)
    return found


def test_training_with_many_batches_an_epoch_is_estimated(run: Run) -> None:
    whole, limited = estimates(run("trainer.limit_train_batches=1.0,10", *LONG))
    assert whole > 20
    assert limited < whole / 3, "a tenth of the batches"


def test_the_number_of_steps_is_respected(run: Run) -> None:
    unlimited, limited = estimates(run("trainer.max_steps=-1,1000", *LONG))
    assert unlimited > 20
    assert limited < unlimited / 20, "a hundredth of the steps"


def test_a_short_training_is_estimated(run: Run) -> None:
    assert estimates(run("trainer.max_steps=1,2", "dry_run=true", "-m")) == [0, 0]
