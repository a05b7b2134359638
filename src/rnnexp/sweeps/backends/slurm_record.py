"""The record of the SLURM job that runs a job of a sweep, `slurm.json` in the run directory."""

import re
from dataclasses import asdict, dataclass, replace

from rnnexp.core.errors import UserError
from rnnexp.core.files.atomic import read_json, write_json
from rnnexp.tracking.run_directory import RunDirectory

SUBMISSION = re.compile("[0-9a-f]{32}")


@dataclass(frozen=True)
class SlurmRecord:
    """A record that is written before a job is submitted, so that no SLURM job runs without one.

    The command may be killed before it knows the number of the SLURM job, which then adds the number when it starts.

    Args:
        submission: an identifier of the submission. A SLURM job runs only while the record names its own.
        job_id: the number of the SLURM job; None until it is known.
    """

    submission: str
    job_id: str | None = None

    @classmethod
    def read(cls, run: RunDirectory) -> "SlurmRecord | None":
        """Return the record in a run directory; None if there is none or it is damaged."""
        try:
            content = read_json(run.slurm_file) if run.slurm_file.exists() else None
        except (OSError, UserError):
            return None
        match content:
            case {"submission": str(submission), "job_id": None | str() as number}:
                if SUBMISSION.fullmatch(submission) and (number is None or re.fullmatch(r"\d+(_\d+)?", number)):
                    return cls(submission, number)
        return None

    def write(self, run: RunDirectory) -> None:
        """Write the record into a run directory."""
        write_json(run.slurm_file, asdict(self))


def claim(run: RunDirectory, submission: str, job_id: str) -> None:
    """Record the number of a SLURM job that starts.

    Raises:
        UserError: if the record does not name its submission: another job may run in this directory.
    """
    record = SlurmRecord.read(run)
    if record is None or record.submission != submission:
        raise UserError(f"SLURM job {job_id} does not run, since {run.slurm_file} does not name its submission")
    replace(record, job_id=job_id).write(run)
