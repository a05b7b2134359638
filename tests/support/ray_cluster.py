"""A cluster of Ray with several nodes on this machine, in a process of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support import TESTS

PROGRAM = """
import os, sys
os.environ |= {"RAY_USAGE_STATS_ENABLED": "0"}
from ray.cluster_utils import Cluster
cluster = Cluster()
cluster.add_node(num_cpus=0, include_dashboard=False)
nodes = [cluster.add_node(num_cpus=int(cores)) for cores in sys.argv[1:]]
print(cluster.address, flush=True)
for line in sys.stdin:
    if line == "head\\n":
        cluster.remove_node(cluster.head_node, allow_graceful=False)
    else:
        cluster.remove_node(nodes[int(line)], allow_graceful=False)
    print("lost", flush=True)
for node in cluster.list_all_nodes():
    node.kill_all_processes(check_alive=False, allow_graceful=False, wait=True)
"""


class RayCluster:
    """A head without cores, which holds the state of the cluster, and nodes that run tasks.

    Args:
        process: the process that has started the nodes.
    """

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.address = self._answer()

    def lose(self, node: int | None) -> None:
        """Kill all processes of a node, given by its number, or of the head. What its tasks have started remains."""
        assert self._process.stdin is not None
        self._process.stdin.write("head\n" if node is None else f"{node}\n")
        self._process.stdin.flush()
        assert self._answer() == "lost"

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@contextmanager
def running_ray(place: Path, *cores: int) -> Iterator[RayCluster]:
    """Start a cluster, and end it at the end of the block.

    Args:
        place: a directory for the output of the cluster.
        cores: the number of cores of each node.
    """
    command = [sys.executable, "-c", PROGRAM, *map(str, cores)]
    # Jobs have the environment of their node and import callbacks of tests.
    environment = {**os.environ, "RAY_TMPDIR": "/tmp", "PYTHONPATH": str(TESTS)}
    with (
        (place / "cluster.log").open("a") as log,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=environment
        ) as process,
    ):
        yield RayCluster(process)
        process.communicate(timeout=60)
