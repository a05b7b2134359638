"""make lists its targets and installs with pip or uv, once and again when the lock changes."""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from support import ROOT

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")

# A minimal project with its own build backend: installing it needs no network.
BACKEND = """
import zipfile

def build_editable(directory, config_settings=None, metadata_directory=None):
    name = "rnnexp-0-py3-none-any.whl"
    with zipfile.ZipFile(f"{directory}/{name}", "w") as wheel:
        wheel.writestr("rnnexp/__init__.py", "")
        wheel.writestr("rnnexp/train.py", "import sys; print('trained', sys.argv[1:])")
        wheel.writestr("rnnexp-0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: rnnexp\\nVersion: 0\\n")
        wheel.writestr("rnnexp-0.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("rnnexp-0.dist-info/RECORD", "")
    return name
"""
PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""


def make(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make without a network: pip and uv find packages only in `directory`."""
    settings = ("MAKE", "PIP_", "PYTHON", "UV_")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(settings)}
    environment |= {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(directory)}
    environment |= {"UV_NO_CONFIG": "1", "UV_NO_INDEX": "1", "UV_FIND_LINKS": str(directory)}
    return subprocess.run(
        ["make", *arguments], cwd=directory, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    (tmp_path / "backend.py").write_text(BACKEND, encoding="utf-8")
    (tmp_path / "requirements.lock").write_text("# no packages\n", encoding="utf-8")
    return tmp_path


@pytest.fixture(params=["pip", "uv"])
def installer(request: pytest.FixtureRequest) -> str:
    """Return the argument of make that chooses pip or uv."""
    if request.param == "pip":
        return "UV="
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("uv is optional and not installed here; make uses pip, which the other case tests")
    return f"UV={uv}"


def test_help_lists_every_target() -> None:
    targets = re.findall(r"^([a-z][\w-]*):(?!=)", MAKEFILE, re.MULTILINE)
    assert {"help", "setup", "train", "test", "lint", "check", "schema", "wandb-agent", "lock"} <= set(targets)
    helped = make(ROOT, "help")
    assert re.findall(r"^make (\S+) +\S", helped.stdout, re.MULTILINE) == targets
    assert make(ROOT).stdout == helped.stdout


@pytest.mark.parametrize(("uv", "installing"), [("", "-m pip install"), ("/bin/uv", '"/bin/uv" pip install')])
def test_set_up_installs_from_the_hashed_lock(project: Path, uv: str, installing: str) -> None:
    commands = make(project, "-n", f"UV={uv}", "setup").stdout
    assert re.search(rf"{re.escape(installing)}.* --require-hashes -r requirements.lock", commands)
    assert (".venv/bin/python -m pip" in commands) == (not uv)


def test_an_unsupported_interpreter_is_a_one_line_error(project: Path) -> None:
    ended = make(project, "PYTHON=python2.7", "train")
    assert ended.returncode != 0
    assert ended.stderr.splitlines()[0] == (
        "rnnexp needs Python 3.11, 3.12 or 3.13, and none is found as python2.7: make PYTHON=/path/to/python3.12 setup"
    )
    assert not (project / ".venv").exists()


@pytest.fixture
def agents(project: Path) -> Path:
    """A project that is set up, with a `wandb` that records its calls and ends on a signal."""
    programs = project / ".venv" / "bin"
    programs.mkdir(parents=True)
    scripts = {
        "python": f'exec "{sys.executable}" "$@"',
        "wandb": f'''if [ -e "{project}/wait" ]; then
  trap 'kill $!; echo ended >> "{project}/calls"; exit' TERM
  sleep 60 &
fi
echo "gpu=$CUDA_VISIBLE_DEVICES $@" >> "{project}/calls"
wait''',
    }
    for name, script in scripts.items():
        (programs / name).write_text(f"#!/bin/bash\n{script}\n", encoding="utf-8")
        (programs / name).chmod(0o755)
    (project / ".venv" / "set-up-complete").touch()
    return project


@pytest.mark.parametrize(
    ("devices", "gpus"),
    [("0,2,MIG-7", ["0", "2", "MIG-7"]), ("1", ["1"]), ("", [""])],
    ids=["several", "one", "none"],
)
def test_a_wandb_sweep_gets_an_agent_for_each_gpu(
    agents: Path, devices: str, gpus: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", devices)
    ended = make(agents, "wandb-agent", "SWEEP=me/rnnexp/abc", "ARGS=--count 2")
    assert ended.returncode == 0, ended.stderr
    calls = (agents / "calls").read_text(encoding="utf-8").splitlines()
    assert sorted(calls) == sorted(f"gpu={gpu} agent --forward-signals --count 2 me/rnnexp/abc" for gpu in gpus)


def test_an_interrupt_is_passed_to_every_agent(agents: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    (agents / "wait").touch()
    running = subprocess.Popen(
        ["make", "wandb-agent", "SWEEP=a/b/c"],
        cwd=agents,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not (agents / "calls").exists() or (agents / "calls").read_text(encoding="utf-8").count("agent") < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(running.pid, signal.SIGINT)
    running.communicate(timeout=60)
    assert running.returncode != 0
    assert (agents / "calls").read_text(encoding="utf-8").splitlines()[2:] == ["ended", "ended"]


def test_an_agent_without_a_sweep_is_a_one_line_error(agents: Path) -> None:
    ended = make(agents, "wandb-agent")
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[0] == "which sweep? make wandb-agent SWEEP=entity/project/id"
    assert not (agents / "calls").exists()


@pytest.mark.slow
def test_set_up_runs_once_and_after_a_change(project: Path, installer: str) -> None:
    first = make(project, installer, "train", "ARGS=model=lstm model.num_layers=3")
    assert first.returncode == 0, first.stderr
    assert "Making .venv" in first.stdout
    assert first.stdout.splitlines()[-1] == "trained ['model=lstm', 'model.num_layers=3']"
    assert make(project, installer, "train").stdout == "trained []\n"

    later = (project / ".venv" / "set-up-complete").stat().st_mtime + 1
    os.utime(project / "requirements.lock", (later, later))
    again = make(project, installer, "train").stdout
    assert "Installing" in again
    assert "Making .venv" not in again

    (project / ".venv" / "set-up-complete").unlink()
    (project / ".venv" / "set-up-begun").touch()
    (project / ".venv" / "half-installed").touch()
    assert "Making .venv" in make(project, installer, "train").stdout
    assert not (project / ".venv" / "half-installed").exists()


@pytest.mark.slow
def test_a_package_without_its_hash_is_refused(project: Path, installer: str) -> None:
    wheel = project / "needed-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("needed-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: needed\nVersion: 1.0\n")
        archive.writestr("needed-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("needed-1.0.dist-info/RECORD", "")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    by_pip = installer == "UV="
    missing = "Hashes are required" if by_pip else "must have a hash"
    other = "DO NOT MATCH THE HASHES" if by_pip else "Hash mismatch"
    refusals = {"": missing, f" --hash=sha256:{'0' * 64}": other}
    for option, message in refusals.items():
        (project / "requirements.lock").write_text(f"needed==1.0{option}\n", encoding="utf-8")
        refused = make(project, installer, "train")
        assert refused.returncode != 0
        assert message in refused.stderr
        assert "trained" not in refused.stdout

    (project / "requirements.lock").write_text(f"needed==1.0 --hash=sha256:{digest}\n", encoding="utf-8")
    accepted = make(project, installer, "train")
    assert accepted.returncode == 0, accepted.stderr
    assert accepted.stdout.endswith("trained []\n")
