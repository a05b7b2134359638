"""The five commands of SLURM that submitit uses, for one machine without a queue: each job begins at once.

`install` puts them into a directory. What is known of a job is in files beside them: <job>.state, .pid, .requeue.
"""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

COMMANDS = ("sbatch", "srun", "sacct", "scancel", "scontrol")
PLACE = Path(sys.argv[0]).parent


def install(place: Path) -> None:
    place.mkdir()
    for name in COMMANDS:
        command = place / name
        command.write_text(f"#!{sys.executable}\n{Path(__file__).read_text()}")
        command.chmod(0o755)


def state(job: str) -> Path:
    return PLACE / f"{job}.state"


def sbatch(script: str) -> None:
    number = str(1000 + len(list(PLACE.glob("*.sh"))))
    text = Path(script).read_text()
    (PLACE / f"{number}.sh").write_text(text)
    array = re.search(r"--array='?0-(\d+)", text)
    jobs = [f"{number}_{index}" for index in range(int(array[1]) + 1)] if array else [number]
    for job in jobs:
        state(job).write_text("PENDING")
        subprocess.Popen(
            [sys.executable, PLACE / "sbatch", "--node", job],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    print(f"Submitted batch job {number}")


def run_on_node(job: str) -> None:
    number, _, index = job.partition("_")
    names = {"SLURM_JOB_ID": number, "SLURM_JOB_NAME": "rnnexp", "SLURM_NTASKS": "1", "SLURM_STEP_NUM_TASKS": "1"}
    names |= {"SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0", "SLURM_JOB_NUM_NODES": "1"}
    if index:
        names |= {"SLURM_ARRAY_JOB_ID": number, "SLURM_ARRAY_TASK_ID": index}
    while True:
        state(job).write_text("RUNNING")
        code = subprocess.run(["bash", PLACE / f"{number}.sh"], env={**os.environ, **names}, check=False).returncode
        requeue = PLACE / f"{job}.requeue"
        if not requeue.exists():
            break
        requeue.unlink()
    if state(job).read_text() == "RUNNING":
        state(job).write_text("FAILED" if code else "COMPLETED")


def srun(*arguments: str) -> None:
    job = os.environ["SLURM_JOB_ID"]
    if "SLURM_ARRAY_TASK_ID" in os.environ:
        job += "_" + os.environ["SLURM_ARRAY_TASK_ID"]
    (PLACE / f"{job}.pid").write_text(str(os.getpid()))
    command = arguments[arguments.index("-u") - 1 :]
    os.execv(command[0], command)


def sacct(*arguments: str) -> None:
    asked = {arguments[index + 1] for index, word in enumerate(arguments) if word == "-j"}
    print("JobID|State|NodeList")
    for file in PLACE.glob("*.state"):
        if file.stem.partition("_")[0] in asked:
            print(f"{file.stem}|{file.read_text()}|here")


def scancel(job: str) -> None:
    state(job).write_text("CANCELLED by 0")
    os.kill(int((PLACE / f"{job}.pid").read_text()), signal.SIGTERM)


def scontrol(_: str, job: str) -> None:
    (PLACE / f"{job}.requeue").touch()


if __name__ == "__main__":
    name, arguments = Path(sys.argv[0]).name, sys.argv[1:]
    if arguments[:1] == ["--node"]:
        run_on_node(arguments[1])
    else:
        {"sbatch": sbatch, "srun": srun, "sacct": sacct, "scancel": scancel, "scontrol": scontrol}[name](*arguments)
