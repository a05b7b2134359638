"""A SLURM cluster on this machine: munged, mariadbd, slurmdbd, slurmctld and a slurmd for each node, as of Debian.

`python -m support.slurm_cluster` starts one, prints the variable that SLURM's commands need, and stops it at Ctrl-C.
"""

import contextlib
import getpass
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from support.daemons import free_ports, wait_until_ready

DAEMONS = ("munged", "mariadbd", "slurmdbd", "slurmctld", "slurmd")
# Debian puts daemons into a directory that is not on every user's path.
SEARCHED = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
KILL_WAIT = 15
"""The seconds between SIGTERM and SIGKILL when SLURM ends a job."""
NODE_TIMEOUT = 20
"""The seconds after which a node that does not answer is down."""

SLURM_CONF = """\
ClusterName=rnnexp
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={place}/munge.socket
CredType=cred/munge
StateSaveLocation={place}/state
SlurmdSpoolDir={place}/spool-%n
SlurmctldPidFile={place}/slurmctld.pid
SlurmdPidFile={place}/slurmd-%n.pid
SlurmctldDebug=verbose
SlurmdDebug=verbose
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerParameters=bf_interval=2,sched_interval=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=1
KillWait={kill_wait}
SlurmdTimeout={node_timeout}
SlurmctldTimeout=10
MinJobAge=60
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={accounting_port}
AccountingStoragePass={place}/munge.socket
{nodes}
PartitionName=normal Nodes=ALL Default=YES PriorityTier=1 PreemptMode=REQUEUE
PartitionName=urgent Nodes=ALL PriorityTier=2 PreemptMode=OFF
"""
SLURMDBD_CONF = """\
AuthType=auth/munge
AuthInfo=socket={place}/munge.socket
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={accounting_port}
SlurmUser={user}
PidFile={place}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={database_port}
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct_db
"""


def missing_program() -> str | None:
    """Return a program of the cluster that is not installed; None if all are."""
    commands = (*DAEMONS, "mariadb-install-db", "sbatch", "srun", "sacct", "scontrol")
    return next((name for name in commands if shutil.which(name, path=SEARCHED) is None), None)


class SlurmCluster:
    """A SLURM cluster with two partitions: jobs in `urgent` preempt those in `normal`, which SLURM then requeues.

    Args:
        place: a directory of the cluster, with a short path.
        nodes: the names of the nodes. Each has two cores.
    """

    def __init__(self, place: Path, nodes: Sequence[str] = ("n1", "n2")) -> None:
        self.place, self.nodes = place, nodes
        self.configuration = place / "slurm.conf"
        self.daemons: dict[str, subprocess.Popen[bytes]] = {}
        self.user = getpass.getuser()

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables that the commands of SLURM need."""
        return {"SLURM_CONF": str(self.configuration), "PATH": SEARCHED}

    def start(self) -> None:
        """Start all daemons, and return when every node is idle."""
        self._write_configuration()
        self._start_munge()
        self._start_database()
        self.start_accounting()
        self.call("sacctmgr", "--immediate", "add", "cluster", "rnnexp", check=False)
        self.start_controller()
        for node in self.nodes:
            self.start_node(node)
        self.wait_until_idle()

    def stop(self) -> None:
        """End all jobs and daemons."""
        for name in reversed(list(self.daemons)):
            self.kill(name)
        for process in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def start_accounting(self) -> None:
        self.start_daemon("slurmdbd", "-D")
        wait_until_ready(lambda: not self.call("sacctmgr", "show", "cluster", check=False).returncode, "slurmdbd")

    def start_controller(self) -> None:
        self.start_daemon("slurmctld", "-D")
        wait_until_ready(lambda: "UP" in self.output("scontrol", "ping"), "slurmctld")

    def start_node(self, node: str) -> None:
        self.start_daemon("slurmd", "-D", "-N", node, name=node)

    def wait_until_idle(self) -> None:
        """Return when every node can run a job and none does."""
        wait_until_ready(lambda: set(self.node_states().values()) == {"idle"}, "nodes")

    def node_states(self) -> dict[str, str]:
        lines = self.output("sinfo", "--noheader", "--Node", "--partition=normal", "--format=%N %t").split("\n")
        return dict(line.split() for line in lines if line)

    def job_state(self, job: str) -> str:
        """Return the state of a job as the controller has it; empty if it does not know the job."""
        return self.output("squeue", "--noheader", "--states=all", "--format=%T", "--jobs", job).strip()

    def num_jobs(self) -> int:
        """Return how many jobs are in the queue."""
        return self.output("squeue", "--noheader", "--array", "--format=%i").count("\n")

    def node_of(self, job: str) -> str:
        """Return the node of a job; empty if it does not run."""
        return self.output("squeue", "--noheader", "--format=%N", "--jobs", job).strip()

    def start_now(self, job: str) -> None:
        """Wait until a job is back in the queue, and start it without the two minutes for which SLURM delays it."""
        wait_until_ready(lambda: self.job_state(job) == "PENDING", f"job {job} in the queue")
        self.call("scontrol", "update", f"jobid={job}", "starttime=now")

    def num_restarts(self, job: str) -> int:
        return int(re.findall(r"Restarts=(\d+)", self.output("scontrol", "show", "job", job))[0])

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        """End a daemon by a signal: `slurmdbd`, `slurmctld` or the name of a node."""
        daemon = self.daemons.pop(name)
        daemon.send_signal(number)
        daemon.wait()

    def call(self, *command: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """Run a command of SLURM."""
        environment = {**os.environ, **self.environment}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=check, timeout=120)

    def output(self, *command: str) -> str:
        """Return what a command of SLURM prints, whether it succeeds or not."""
        return self.call(*command, check=False).stdout

    def processes(self, job: str = "") -> list[int]:
        """Return the processes that use the configuration of the cluster, or those of the steps of a job."""
        marks = [f"SLURM_CONF={self.configuration}".encode()]
        found = []
        if job:
            number, _, index = job.partition("_")
            marks += [f"SLURM_ARRAY_JOB_ID={number}".encode(), f"SLURM_ARRAY_TASK_ID={index}".encode()]
        for entry in Path("/proc").iterdir():
            # Processes may end during the loop.
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and int(entry.name) != os.getpid():
                    variables = (entry / "environ").read_bytes().split(b"\0")
                    if all(mark in variables for mark in marks):
                        found.append(int(entry.name))
        return found

    def start_daemon(self, program: str, *arguments: str, name: str = "") -> None:
        """Start a daemon in the foreground. Its output goes to `<name>.log`."""
        path = shutil.which(program, path=SEARCHED)
        assert path is not None
        name = name or program
        with (self.place / f"{name}.log").open("ab") as log:
            # A group of its own: Ctrl-C at the terminal is for the tests.
            self.daemons[name] = subprocess.Popen(
                [path, *arguments],
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _start_munge(self) -> None:
        names = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "own.log", "seed-file": "seed"}
        files = [f"--{option}={self.place}/munge.{suffix}" for option, suffix in names.items()]
        # It would refuse a directory that only its owner may enter.
        self.start_daemon("munged", *files, "--foreground", "--force")
        wait_until_ready(lambda: (self.place / "munge.socket").exists(), "munged")

    def _start_database(self) -> None:
        common = ["--no-defaults", f"--datadir={self.place}/database"]
        if self.user == "root":
            common.append("--user=root")
        self.call("mariadb-install-db", *common, "--auth-root-authentication-method=normal")
        file, port = f"--socket={self.place}/mariadb.socket", f"--port={self.ports['database_port']}"
        pid_file = f"--pid-file={self.place}/mariadbd.pid"
        self.start_daemon("mariadbd", *common, file, port, pid_file, "--bind-address=127.0.0.1")
        client = ["mariadb", "--no-defaults", file, "--user=root", "--execute"]
        wait_until_ready(lambda: not self.call(*client, "select 1", check=False).returncode, "mariadbd")
        self.call(*client, "grant all on slurm_acct_db.* to slurm@'127.0.0.1' identified by 'slurm'")

    def _write_configuration(self) -> None:
        for name in ("state", *(f"spool-{node}" for node in self.nodes)):
            (self.place / name).mkdir()
        key = self.place / "munge.key"
        key.write_bytes(os.urandom(128))
        names = ("controller_port", "accounting_port", "database_port")
        found = free_ports(len(names) + len(self.nodes))
        self.ports = dict(zip(names, found, strict=False))
        host = socket.gethostname().partition(".")[0]
        nodes = "\n".join(
            f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=2 RealMemory=4000"
            for node, port in zip(self.nodes, found[len(names) :], strict=True)
        )
        values = {"place": self.place, "user": self.user, "host": host, "nodes": nodes, **self.ports}
        values |= {"kill_wait": KILL_WAIT, "node_timeout": NODE_TIMEOUT}
        self.configuration.write_text(SLURM_CONF.format(**values), encoding="utf-8")
        accounting = self.place / "slurmdbd.conf"
        accounting.write_text(SLURMDBD_CONF.format(**values), encoding="utf-8")
        for file in (key, accounting):
            file.chmod(0o600)


@contextlib.contextmanager
def running_cluster() -> Iterator[SlurmCluster]:
    """Start a cluster in a temporary directory, and stop it at the end of the block."""
    # The paths of sockets end at 108 bytes.
    with tempfile.TemporaryDirectory(prefix="slurm-", dir="/tmp", ignore_cleanup_errors=True) as place:
        cluster = SlurmCluster(Path(place))
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()


if __name__ == "__main__":
    with running_cluster() as cluster:
        print(f"export SLURM_CONF={cluster.configuration}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()
