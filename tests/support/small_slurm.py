"""The six commands of SLURM that a sweep uses, for one machine without a queue: each job starts immediately.

`install` puts them into a directory, together with files about each job: <job>.state, which squeue prints, .ended,
which sacct prints, .script with the path of the script, .pid, .requeue. If there is one named norequeue, no job goes
back into the queue; with one named away, squeue fails.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

KILL_WAIT = 20
"""The seconds between SIGTERM and SIGKILL. A disk that others use may need ten to save a checkpoint."""
STEP = "SMALL_SLURM_STEP"
COMMANDS = ("sbatch", "srun", "squeue", "sacct", "scancel", "scontrol")
PLACE = Path(sys.argv[0]).parent


def install(place: Path) -> None:
    place.mkdir()
    source = Path(__file__).read_text(encoding="utf-8")
    for name in COMMANDS:
        command = place / name
        command.write_text(f"#!{sys.executable}\n{source}", encoding="utf-8")
        command.chmod(0o755)


def state(job: str) -> Path:
    return PLACE / f"{job}.state"


def send(place: Path, job: str, number: int) -> None:
    """Send a signal to all processes of a job's step, as SLURM does."""
    for process in step(place, job):
        # A process may end during the loop.
        with contextlib.suppress(OSError):
            os.kill(process, number)


def step(place: Path, job: str) -> list[int]:
    """Return the processes of a job's step."""
    mark, found = f"{STEP}={place}/{job}".encode(), []
    for entry in Path("/proc").iterdir():
        # Processes may end during the loop.
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found


def detached(option: str, job: str) -> None:
    nowhere = subprocess.DEVNULL
    command = [sys.executable, PLACE / "sbatch", option, job]
    subprocess.Popen(command, stdin=nowhere, stdout=nowhere, stderr=nowhere, start_new_session=True)


def sbatch(script: str) -> None:
    number = str(1000 + len(list(PLACE.glob("*.sh"))))
    text = Path(script).read_text(encoding="utf-8")
    (PLACE / f"{number}.sh").write_text(text, encoding="utf-8")
    (PLACE / f"{number}.script").write_text(script, encoding="utf-8")
    array = re.search(r"--array='?0-(\d+)", text)
    jobs = [f"{number}_{index}" for index in range(int(array[1]) + 1)] if array else [number]
    for job in jobs:
        state(job).write_text("PENDING", encoding="utf-8")
        detached("--node", job)
    print(f"Submitted batch job {number}")


def run_on_node(job: str) -> None:
    # A job does not inherit the blocked signals of the command that submitted it.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    number, _, index = job.partition("_")
    names = {"SLURM_JOB_ID": number, "SLURM_JOB_NAME": "rnnexp", "SLURM_NTASKS": "1", "SLURM_STEP_NUM_TASKS": "1"}
    names |= {"SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0", "SLURM_JOB_NUM_NODES": "1"}
    if index:
        names |= {"SLURM_ARRAY_JOB_ID": number, "SLURM_ARRAY_TASK_ID": index}
    while not is_cancelled(job):
        state(job).write_text("RUNNING", encoding="utf-8")
        code = subprocess.run(["bash", PLACE / f"{number}.sh"], env={**os.environ, **names}, check=False).returncode
        requeue = PLACE / f"{job}.requeue"
        if not requeue.exists():
            break
        requeue.unlink()
    if state(job).read_text(encoding="utf-8") == "RUNNING":
        state(job).write_text("FAILED" if code else "COMPLETED", encoding="utf-8")


def is_cancelled(job: str) -> bool:
    return state(job).read_text(encoding="utf-8") == "CANCELLED"


def srun(*arguments: str) -> None:
    job = os.environ["SLURM_JOB_ID"]
    if "SLURM_ARRAY_TASK_ID" in os.environ:
        job += "_" + os.environ["SLURM_ARRAY_TASK_ID"]
    (PLACE / f"{job}.pid").write_text(str(os.getpid()), encoding="utf-8")
    command = arguments[arguments.index("-u") - 1 :]
    os.execve(command[0], command, {**os.environ, STEP: f"{PLACE}/{job}"})


def squeue(*arguments: str) -> None:
    if (PLACE / "away").exists():
        (PLACE / "away").write_text("asked", encoding="utf-8")
        sys.exit("slurm_load_jobs error: Unable to contact slurm controller (connect failure)")
    found = list(asked(arguments, "state"))
    if not found:
        sys.exit("slurm_load_jobs error: Invalid job id specified")
    for file in found:
        text = file.read_text(encoding="utf-8")
        if "--format=%i|%o" in arguments:
            script = PLACE / f"{file.stem.partition('_')[0]}.script"
            print(f"{file.stem}|{script.read_text(encoding='utf-8')}")
            continue
        # A cancelled job is in the queue as completing until its processes have ended.
        print(f"{file.stem}|{'COMPLETING' if text == 'CANCELLED' and step(PLACE, file.stem) else text}")


def sacct(*arguments: str) -> None:
    for file in asked(arguments, "ended"):
        print(f"{file.stem}|{file.read_text(encoding='utf-8')}")


def asked(arguments: Sequence[str], suffix: str) -> Iterator[Path]:
    (numbers,) = (word.partition("=")[2] for word in arguments if word.startswith("--jobs="))
    files = PLACE.glob(f"*.{suffix}")
    return (file for file in files if {file.stem, file.stem.partition("_")[0]} & set(numbers.split(",")))


def scancel(*jobs: str) -> None:
    with (PLACE / "scancel.log").open("a", encoding="utf-8") as log:
        print(*jobs, file=log)
    for job in jobs:
        state(job).write_text("CANCELLED", encoding="utf-8")
        end(job)


def preempt(job: str) -> None:
    """Preempt a job with PreemptMode=REQUEUE, which has no command: SLURM itself starts the job again."""
    state(job).write_text("COMPLETING", encoding="utf-8")
    (PLACE / f"{job}.requeue").touch()
    end(job)


def end(job: str) -> None:
    send(PLACE, job, signal.SIGTERM)
    detached("--kill", job)


def kill(job: str) -> None:
    time.sleep(KILL_WAIT)
    send(PLACE, job, signal.SIGKILL)


def scontrol(_: str, job: str) -> None:
    if (PLACE / "norequeue").exists():
        sys.exit("Requested operation is presently disabled")
    (PLACE / f"{job}.requeue").touch()


if __name__ == "__main__":
    name, arguments = Path(sys.argv[0]).name, sys.argv[1:]
    for option, function in {"--node": run_on_node, "--kill": kill, "--preempt": preempt}.items():
        if arguments[:1] == [option]:
            sys.exit(function(arguments[1]))
    commands = (sbatch, srun, squeue, sacct, scancel, scontrol)
    {command.__name__: command for command in commands}[name](*arguments)
