"""Every command in the documentation is one that the programs accept."""

import re
import shlex
import subprocess
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser

from rnnexp.cli.conf_dir import config_root
from rnnexp.report.__main__ import make_parser
from support import ROOT

PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])


def commands() -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        for block in re.findall(r"```bash\n(.*?)```", page.read_text(), flags=re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                command = line.split("  #")[0].strip()
                if command and not command.startswith("#"):
                    found.append((page.name, command))
    return found


COMMANDS = commands()


def single_overrides(arguments: list[str]) -> list[list[str]]:
    """One list of overrides per job of a multirun: the first value of every sweep, and the last."""
    jobs = []
    for choose in (0, -1):
        job = []
        for override in OverridesParser.create().parse_overrides(arguments):
            if override.is_interval_sweep():
                interval: Any = override.value()
                job.append(f"{override.key_or_group}={(interval.start, interval.end)[choose]}")
            elif override.is_sweep_override():
                job.append(f"{override.key_or_group}={list(override.sweep_string_iterator())[choose]}")
            else:
                job.append(override.input_line or "")
        jobs.append(job)
    return jobs


def test_there_are_commands() -> None:
    pages = {page for page, _ in COMMANDS}
    assert {"README.md", "running.md"} <= pages
    assert len(COMMANDS) >= 15


@pytest.mark.parametrize(("page", "command"), COMMANDS, ids=[f"{page}: {command}" for page, command in COMMANDS])
def test_command_is_accepted(page: str, command: str) -> None:  # noqa: ARG001
    words = shlex.split(command)
    if words[0] == "make":
        dry = subprocess.run(["make", "-n", *words[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
        assert dry.returncode == 0, dry.stderr
        return
    assert words[:2] == ["python", "-m"], f"no test knows what to do with: {command}"
    program = re.fullmatch(r"rnnexp\.(\w+)", words[2])
    assert program, f"not a program of ours: {words[2]}"
    if program[1] == "report":
        make_parser().parse_args(words[3:])
        return
    arguments, directory, name = [word for word in words[3:] if word != "-m"], config_root(), program[1]
    if arguments[:1] == ["--config-dir"]:
        directory, name, arguments = ROOT / arguments[1], arguments[3], arguments[4:]
    with initialize_config_dir(str(directory), version_base="1.3"):
        for overrides in single_overrides(arguments):
            compose(name, [f"hydra.searchpath=[file://{config_root()}]", *overrides], return_hydra_config=True)


def test_links_lead_somewhere() -> None:
    texts = {page: re.sub(r"```.*?```|`[^`]*`", "", page.read_text(), flags=re.DOTALL) for page in PAGES}
    links = [(page, link) for page, text in texts.items() for link in re.findall(r"\]\(([^)#]+)\)", text)]
    assert links
    for page, link in links:
        if not link.startswith("http"):
            assert (page.parent / link).exists(), f"{page.name} links to {link}"
