"""submitit's folder and its handles: nothing in them is read as a pickle but what this command has written."""

import os
from pathlib import Path

import pytest
import submitit

from rnnexp.core.errors import UserError
from rnnexp.sweeps.backends.base import Ended
from rnnexp.sweeps.backends.slurm import SubmittedSlurmJob
from rnnexp.sweeps.backends.submitit_local import LocalJob
from rnnexp.sweeps.backends.submitit_task import make_executor, submitit_folder
from rnnexp.sweeps.devices import Allocation, ResourceRequest
from rnnexp.sweeps.jobs import Job
from rnnexp.tracking.run_directory import RunDirectory
from rnnexp.tracking.status import Status
from support.payloads import make_files

SETTINGS = {"max_num_timeout": 1}


@pytest.mark.usefixtures("slurm")
def test_no_result_is_unpickled(tmp_path: Path) -> None:
    from rnnexp.compat.submitit import SlurmJob

    make_files(tmp_path, tmp_path / "canary")
    for number in ("7400", "7401_0"):
        for end in ("submitted", "0_result"):
            os.link(tmp_path / "object.pickle", tmp_path / f"{number}_{end}.pkl")
    job = Job("a", [], {}, RunDirectory(tmp_path), ResourceRequest())
    ended = [SubmittedSlurmJob(job, "slurm", SlurmJob(tmp_path, number)).poll() for number in ("7400", "7401_0")]
    handle: submitit.Job[None] = submitit.LocalJob(tmp_path, "7400")
    ended.append(LocalJob(job, Allocation(), handle).poll())
    for end_of_job in ended:
        assert isinstance(end_of_job, Ended)
        assert end_of_job.status is Status.FAILED
        assert "its logs are " in end_of_job.reason
    assert not (tmp_path / "canary").exists()


def test_a_folder_of_submitit_is_new_and_private(tmp_path: Path) -> None:
    folder = submitit_folder({"submitit_folder": str(tmp_path / "a" / "b")}, "new")
    make_executor("local", folder, SETTINGS, {})
    assert folder.stat().st_mode & 0o777 == 0o700
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "file").touch()
    for present in (folder, tmp_path / "link", tmp_path / "file" / "new"):
        with pytest.raises(UserError, match=r"submitit_folder: .* cannot be made: "):
            make_executor("local", present, SETTINGS, {})
