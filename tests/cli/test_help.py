"""--help and --cfg job are correct and short, and do not import torch."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from rnnexp.cli.conf_dir import config_root, shared_options

PROGRAMS = sorted(path.stem for path in config_root().glob("*.yaml"))
SLOW_IMPORTS = {"torch", "lightning", "torchmetrics", "torchvision", "wandb", "matplotlib", "numpy", "scipy", "pandas"}


def answer(program: str, *arguments: str, cwd: Path, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *options, "-m", f"rnnexp.{program}", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=True)


def test_programs_exist() -> None:
    assert {"train", "evaluate"} <= set(PROGRAMS)


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("arguments", [["--help"], ["--cfg", "job"]], ids=["help", "config"])
def test_answers_without_slow_imports(program: str, arguments: list[str], tmp_path: Path) -> None:
    imports = answer(program, *arguments, cwd=tmp_path, options=("-X", "importtime")).stderr
    modules = set(re.findall(r"\| +([\w.]+)$", imports, re.MULTILINE))
    assert {"hydra", "rnnexp.cli.main"} <= modules
    assert not {module.partition(".")[0] for module in modules} & SLOW_IMPORTS
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_is_short_and_its_examples_work(program: str, tmp_path: Path) -> None:
    text = answer(program, "--help", cwd=tmp_path).stdout
    assert len(text.splitlines()) <= 40
    codes = "0 done, 1 internal error, 2 bad input, 3 unsupported here, 4 diverged, 5 pruned, 130 or 143 interrupted"
    assert codes in text
    examples = re.findall(rf"^ +python -m rnnexp\.{program} (.*)$", text, re.MULTILINE)
    assert len(examples) >= 3
    for example in examples:
        words = shlex.split(example)
        overrides = [re.sub(r",[^\]]*$", "", word) if "-m" in words else word for word in words if word != "-m"]
        with initialize_config_dir(str(config_root()), version_base="1.3"):
            compose(program, overrides)


def test_help_of_train_lists_every_group_and_option(tmp_path: Path) -> None:
    text = answer("train", "--help", cwd=tmp_path).stdout
    options = [
        path
        for path in config_root().glob("*/*.yaml")
        if path.parent.name != "hydra" and f"{path.parent.name}/{path.stem}" not in shared_options()
    ]
    assert len(options) >= 20
    for option in options:
        assert re.search(rf"^{option.parent.name}: .*\b{option.stem}\b", text, re.MULTILINE), option


def test_config_is_resolved_on_request(tmp_path: Path) -> None:
    text = answer("train", "--cfg", "job", "--resolve", "model=lstm", cwd=tmp_path).stdout
    assert f"root_dir: {tmp_path}\n" in text
    assert "name: MNIST-rows_lstm\n" in text
