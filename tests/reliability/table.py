"""The table of docs/reliability.md, measured: `python tests/reliability/table.py` runs its tests and writes it.

`--only WORD` runs the rows whose fault contains a word, and keeps the counts of the others. `--campaign FILE` takes the
counts of `campaign.py --output FILE`.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
HEADER = "| fault | how it is injected | expected | measured |\n|---|---|---|---|\n"
CAMPAIGN = "kills at random times"


@dataclass(frozen=True)
class Fault:
    """A row of the table.

    Args:
        fault: what goes wrong.
        injected: how the tests make it go wrong.
        expected: what must follow.
        tests: the tests, as pytest selects them. A test counts as its property `cases`, or as one.
    """

    fault: str
    injected: str
    expected: str
    tests: tuple[str, ...] = ()


LOCK, JOBS = "tests/core/files/test_directory_lock.py", "tests/sweeps/test_jobs.py"
CLUSTERS = "tests/sweeps/backends/test_clusters.py"
CRASHES = "tests/integration/test_crash_points.py"
FAULTS = (
    Fault(
        "a run dies at any of its writes",
        "SIGKILL at the opening of a file, between write and rename, and after it, at each write in turn",
        "`resume=` ends with the metrics and rows of an undisturbed run, and leaves no other files",
        (f"{CRASHES}::test_a_run_killed_at_every_point",),
    ),
    Fault(
        "a process of a sweep dies at any kind of write",
        "the same in the command, the fork server's jobs, submitit's and Ray's, at the last write of each kind",
        "the same command ends with the table of an undisturbed sweep",
        (f"{CRASHES}::test_a_sweep_killed_at_every_kind_of_point",),
    ),
    Fault(
        CAMPAIGN,
        "`tests/reliability/campaign.py`: SIGKILL of a random process while sweeps of short jobs run",
        "0 jobs lost, 0 double, 0 blocked, 0 half",
    ),
    Fault(
        "a power cut or a bad disk",
        "each file of a finished and of an interrupted job emptied, cut in half, zeroed and replaced by junk",
        "put aside as `*.damaged`; the report lists the other jobs; the same command ends with the right table",
        ("tests/integration/test_damaged_files.py", f"{JOBS}::test_a_job_whose_files_are_damaged_runs_again"),
    ),
    Fault(
        "a damaged last.ckpt",
        "empty, cut, zeroed, appended to, replaced, every third byte flipped",
        "found without torch, put aside; the run continues from previous.ckpt",
        ("tests/runs/frozen/test_last_checkpoint.py",),
    ),
    Fault(
        "a damaged metrics.csv",
        "a last row cut short; rows that are not UTF-8, of another length, or NUL",
        "the other rows are kept, no step stands twice, the job goes on",
        ("tests/loggers/test_loggers.py",),
    ),
    Fault(
        "a process that wakes up late",
        "SIGSTOP, another process takes over, SIGCONT; with and without locks of the file system",
        "killed by the sweep that takes over, or ends at its next write or heartbeat; changes nothing",
        (
            f"{LOCK}::test_a_process_that_wakes_up_late_writes_nothing",
            f"{JOBS}::test_a_stopped_process_of_an_ended_sweep_is_killed",
            f"{JOBS}::test_a_process_of_an_ended_sweep_has_time_to_save",
            "tests/integration/test_late_processes.py",
        ),
    ),
    Fault(
        "two processes in one run directory",
        "a second process while the first runs, on this and on another machine; a file system without locks",
        "the second is refused in one line that names the first; a dead process does not block",
        (LOCK,),
    ),
    Fault(
        "`running` of a process that is gone",
        "SIGKILL, then the report and the same command",
        "shown as interrupted, with its age",
        ("tests/report/records/test_runs.py::test_a_run_whose_process_is_gone_was_interrupted",),
    ),
    Fault(
        "a sweep directory of somebody else",
        "pickles in the places of submitit's own, a record of another job of SLURM, a job directory with another run",
        "nothing is executed or cancelled, that run is neither counted nor changed; one line says so",
        (
            "tests/sweeps/backends/test_submitit_task.py",
            f"{CLUSTERS}::test_submitit_runs_each_job_once_and_reads_no_other_pickles",
            f"{CLUSTERS}::test_a_damaged_record_of_slurm_blocks_nothing",
            f"{JOBS}::test_a_job_directory_with_a_run_of_another_config_is_refused",
            f"{JOBS}::test_a_config_that_was_changed_after_the_end_is_put_aside",
        ),
    ),
    Fault(
        "a node of Ray is lost",
        "all processes of a node, of the head, and of the command killed, on a cluster of two nodes on one machine",
        "its job continues on the other node with `retries`, or with the next command; no step stands twice",
        ("tests/sweeps/backends/test_ray_nodes.py",),
    ),
    Fault(
        "a strange job directory",
        "a symbolic link, a file, a status of another kind, a result of another job, files that are not of a run",
        "that job is refused or runs again; the others run; nothing of somebody else is removed",
        (JOBS, "tests/tracking/test_sweep_directory.py"),
    ),
)


def measure(fault: Fault) -> str:
    """Run the tests of a row, and return how many cases passed."""
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "results.xml"
        xml = [f"--junitxml={file}", "-o", "junit_family=xunit1"]
        options = ["-q", "-n", "0", "-m", "slow or not slow", *xml, *fault.tests]
        subprocess.run([sys.executable, "-m", "pytest", *options], cwd=ROOT, check=False)
        cases = list(ET.parse(file).getroot().iter("testcase"))
    passed = sum(_number(case) for case in cases if not any(case.findall(kind) for kind in ("failure", "error")))
    skipped = sum(bool(case.findall("skipped")) for case in cases)
    failed = sum(any(case.findall(kind) for kind in ("failure", "error")) for case in cases)
    text = f"{passed - skipped} of {passed - skipped + failed}"
    return f"{text}, {skipped} skipped" if skipped else text


def _number(case: ET.Element) -> int:
    values = [each.get("value", "1") for each in case.iter("property") if each.get("name") == "cases"]
    return int(values[0]) if values else 1


def of_campaign(file: Path) -> str:
    """Return the counts of a campaign."""
    counts = json.loads(file.read_text(encoding="utf-8"))
    bad = ", ".join(f"{counts.get(kind, 0)} {kind}" for kind in ("lost", "double", "blocked", "half"))
    return f"{counts['trials']} kills, {counts['jobs']} jobs in {counts['sweeps']} sweeps: {bad}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="a word in the faults to measure")
    parser.add_argument("--campaign", type=Path, help="the counts of a campaign")
    options = parser.parse_args()
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    table, _, after = rest.partition(END)
    earlier = {row.split(" | ")[0].lstrip("| "): row.rsplit(" | ", 1)[-1].rstrip(" |") for row in table.split("\n")}
    rows = []
    for fault in FAULTS:
        measured = earlier.get(fault.fault, "not measured")
        if fault.fault == CAMPAIGN:
            measured = of_campaign(options.campaign) if options.campaign else measured
        elif options.only is None or options.only in fault.fault:
            measured = measure(fault)
        rows.append(f"| {fault.fault} | {fault.injected} | {fault.expected} | {measured} |\n")
    PAGE.write_text(f"{before}{BEGIN}\n{HEADER}{''.join(rows)}{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
