"""Homes, working directories and locales as they occur on shared machines and in containers."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

from rnnexp.cli.arguments import normalize_arguments

NAMELESS = ["unshare", "--user", "--map-user=123456", "--map-group=123456"]
"""A command that runs another as a user whose id has no name."""
NO_HOME = {"PATH": os.environ["PATH"]}


def program(
    name: str, *arguments: str, before: tuple[str, ...] = (), **options: Any
) -> subprocess.CompletedProcess[str]:
    command = [*before, sys.executable, "-m", f"rnnexp.{name}", *arguments]
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=False, **options)


@pytest.fixture
def nameless() -> tuple[str, ...]:
    """A prefix of commands without a home; skips where the system does not allow one."""
    if not shutil.which("unshare") or subprocess.run([*NAMELESS, "true"], capture_output=True, check=False).returncode:
        pytest.skip(
            "a user id without a name needs a user namespace, which this system denies this user (unshare --user)"
        )
    return tuple(NAMELESS)


def test_without_a_home_only_a_path_below_it_is_refused(nameless: tuple[str, ...], tmp_path: Path) -> None:
    given: dict[str, Any] = {"before": nameless, "cwd": tmp_path, "env": NO_HOME}
    assert program("train", "--cfg", "job", **given).returncode == 0
    for value in ("~/x", "'~/x'"):
        refused = program("train", "--cfg", "job", f"data.root={value}", **given)
        assert refused.returncode == 2
        assert refused.stderr == "rnnexp: ~/x: there is no home directory for ~: set HOME, or write the whole path\n"


@pytest.mark.slow
def test_a_run_needs_no_home(nameless: tuple[str, ...], tiny: list[str], tmp_path: Path) -> None:
    place = tmp_path / "open"
    place.mkdir()
    # The user without a name is not the owner of these directories.
    place.chmod(0o777)
    for parent in place.parents[:3]:
        parent.chmod(0o755)
    trained = program("train", *tiny, "logger=wandb", before=nameless, cwd=place, env=NO_HOME)
    assert trained.returncode == 0, trained.stderr
    assert "wandb sync" in trained.stderr + trained.stdout
    reported = program("report", str(place / "outputs"), before=nameless, cwd=place, env=NO_HOME)
    assert (reported.returncode, reported.stderr) == (0, "")


@pytest.mark.parametrize(
    "home", ["it's", 'a"b', "x[1]", "Jürgen", "東京", "a,b", "a=b", "${x}", "back\\", "a\\b", "a ${x}", "{(#"]
)
def test_a_home_of_any_name_stands_for_the_tilde(launch: Any, monkeypatch: pytest.MonkeyPatch, home: str) -> None:
    monkeypatch.setenv("HOME", f"/homes/{home}")
    seen = []

    def read(config: DictConfig) -> None:
        seen.extend([config.data.root, config.ckpt_path, config.sweep_dir, config.name])

    values = ["data.root=~/x y", "ckpt_path='~/x y'", 'sweep_dir="~/x y"', "name='~'"]
    assert launch(read, *values).exit_code == 0
    assert seen == [*[f"/homes/{home}/x y"] * 3, "~"]


def test_a_deleted_working_directory_is_a_line(tmp_path: Path) -> None:
    script = f'mkdir "{tmp_path}/gone" && cd "{tmp_path}/gone" && rmdir "{tmp_path}/gone" && exec "$@"'
    for arguments in (["--help"], ["-m", "seed=1,2"]):
        done = program("train", *arguments, before=("sh", "-c", script, "sh"))
        assert done.returncode == 2
        assert done.stderr == "rnnexp: the working directory has been deleted: change to another\n"


LOCALES = {
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "another": {"LC_ALL": "en_US.ISO-8859-1", "PYTHONCOERCECLOCALE": "0"},
    "streams": {"LC_ALL": "C.UTF-8", "PYTHONIOENCODING": "ascii"},
}


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("tags=[a, ö]", ["a", "ö"]),
        ("tags=[größe, 'a,ü', b]", ["größe", "a,ü", "b"]),
        ("name= ü", "ü"),
        ("tags=[訓練,\u3000試験, x\u00a0y]", ["訓練", "\u3000試験", "x\u00a0y"]),
        ("name=\u00a0", "\u00a0"),
        ("name=http://ü:1/x", "http://ü:1/x"),
        ("+x={name: ü}", {"name": "ü"}),
        ("+x={a: [http://ü, b], c: 'é', d: http://ö}", {"a": ["http://ü", "b"], "c": "é", "d": "http://ö"}),
    ],
)
def test_letters_outside_ascii_need_no_quotes(argument: str, value: object) -> None:
    (normalized,) = normalize_arguments([argument])
    assert OverridesParser.create().parse_override(normalized).value() == value


@pytest.mark.parametrize("name", LOCALES)
def test_a_locale_without_every_letter(tmp_path: Path, name: str) -> None:
    place = tmp_path / "größe"
    (place / "conf" / "experiment").mkdir(parents=True)
    recipe = "# @package _global_\nname: grün\n"
    (place / "conf" / "experiment" / "mine.yaml").write_text(recipe, encoding="utf-8")
    shown = program(
        *(
            "train",
            "--config-dir",
            "conf",
            "experiment=mine",
            "--cfg",
            "job",
            "data.root=maß",
            "tags=[größe, 'a,ü', b]",
        ),
        cwd=place,
        env={**os.environ, **LOCALES[name]},
    )
    assert shown.returncode == 0, shown.stderr
    assert shown.stderr == ""
    encoded = shown.stdout.replace("\\xdf", "ß").replace("\\xfc", "ü")
    assert "root: maß" in encoded
    assert "name: grün" in encoded
    refused = program("train", "größe=1", cwd=place, env={**os.environ, **LOCALES[name]})
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
