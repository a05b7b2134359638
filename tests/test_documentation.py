"""Every command, config key, file and result key in the documentation exists, and its snippets run."""

import json
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from rnnexp.benchmark import backends
from rnnexp.cli.conf_dir import config_root
from rnnexp.data.images.files import TEST_IMAGES
from rnnexp.data.images.idx import parse_idx
from rnnexp.latency import options as latency_options
from rnnexp.report import __main__ as report
from rnnexp.runs.listing import options as runs_options
from support import ROOT
from support.programs import Outcome, Run

CONF = config_root()
TOP = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")]
# docs/reports/ holds generated pages.
PAGES = sorted([*TOP, *(path for path in (ROOT / "docs").rglob("*.md") if "reports" not in path.parts)])
# Lists renamed keys with their old names.
CURRENT = [page for page in PAGES if page.name != "CHANGELOG.md"]
GROUPS = {path.name for path in CONF.iterdir() if path.is_dir()}
PROGRAMS = {path.stem for path in CONF.glob("*.yaml")}
REQUIRED = {
    "evaluate": ["run=x"],
    "predict": ["run=x", "input=x", "output=x"],
    "translate": ["run=x"],
    "export": ["run=x"],
    "dashboard": ["project=x"],
}
WITHOUT_HYDRA = {
    "latency": latency_options.make_parser,
    "report": report.make_parser,
    "runs": runs_options.make_parser,
}
"""Programs whose arguments are no overrides -> the function that makes their parser."""
# Placeholders for keys, a flag of Hydra, and an argument of a Python function.
PLACEHOLDERS = {"install", "key", "group", "group.key", "fused"}
BACKENDS = ["pool", "submitit_local", "submitit_slurm", "ray"]


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(page: Path, language: str) -> list[str]:
    """Return the fenced code of one language."""
    found: list[str] = re.findall(rf"```{language}\n(.*?)```", text_of(page), flags=re.DOTALL)
    return found


def spans(page: Path) -> list[str]:
    """Return the inline code of a page."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text_of(page), flags=re.DOTALL))


def commands() -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        for block in blocks(page, "bash"):
            for line in block.replace("\\\n", " ").split("\n"):
                command = line.split("  #")[0].strip()
                if command and not command.startswith("#"):
                    found.append((str(page.relative_to(ROOT)), command))
    return found


COMMANDS = commands()


def single_overrides(arguments: list[str]) -> list[list[str]]:
    """Return a list of overrides for each of two jobs of a multirun: the first value of every sweep, and the last."""
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


def test_commands_exist() -> None:
    pages = {page for page, _ in COMMANDS}
    assert {"README.md", "docs/running.md", "docs/tutorial.md", "docs/results/mnist.md"} <= pages
    assert len(COMMANDS) >= 80


@pytest.mark.parametrize(("page", "command"), COMMANDS, ids=[f"{page}: {command}" for page, command in COMMANDS])
def test_command_is_accepted(page: str, command: str) -> None:  # noqa: ARG001
    words = shlex.split(command)
    if words[0] == "make":
        dry = subprocess.run(["make", "-n", *words[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
        assert dry.returncode == 0, dry.stderr
        return
    if words[0] == "rnnexp":
        words = ["python", "-m", f"rnnexp.{words[1]}", *words[2:]]
    assert words[:2] == ["python", "-m"], f"no test knows what to do with: {command}"
    if words[2] == "rnnexp.benchmark.backends":
        backends.make_parser().parse_args(words[3:])
        return
    program = re.fullmatch(r"rnnexp\.(\w+)", words[2])
    assert program, f"not a program of rnnexp: {words[2]}"
    if program[1] in WITHOUT_HYDRA:
        WITHOUT_HYDRA[program[1]]().parse_args(words[3:])
        return
    arguments = [word for word in words[3:] if word not in ("-m", "--help", "--cfg", "job")]
    directory, name = CONF, program[1]
    if arguments[:1] == ["--config-dir"]:
        directory, name, arguments = ROOT / arguments[1], arguments[3], arguments[4:]
    with initialize_config_dir(str(directory), version_base="1.3"):
        for overrides in single_overrides(arguments):
            compose(name, [f"hydra.searchpath=[file://{CONF}]", *overrides], return_hydra_config=True)


def test_links_have_targets() -> None:
    texts = {page: re.sub(r"```.*?```|`[^`]*`", "", text_of(page), flags=re.DOTALL) for page in PAGES}
    links = [(page, link) for page, text in texts.items() for link in re.findall(r"\]\(([^)]+)\)", text)]
    assert links
    for page, link in links:
        if not link.startswith("http"):
            path, _, anchor = link.partition("#")
            target = page.parent / path if path else page
            assert target.exists(), f"{page.name} links to {link}"
            assert not anchor or anchor in anchors(target), f"{page.name} links to {link}"


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as Git servers make them."""
    headings = re.findall(r"^#+ (.*)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_is_in_the_index() -> None:
    index = text_of(ROOT / "docs" / "index.md")
    pages = [page.relative_to(ROOT / "docs") for page in PAGES if page.is_relative_to(ROOT / "docs")]
    assert [str(page) for page in pages if page.name != "index.md" and f"({page})" not in index] == []


@cache
def sources() -> str:
    """Return the text of every module."""
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "src").rglob("*.py")))


@pytest.mark.parametrize("page", CURRENT, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_exist(page: Path) -> None:
    for span in spans(page):
        written = span.startswith(("outputs/", "data/", "my_", "<"))
        if re.fullmatch(r"(src|conf|sweeps|docs|tests)/[\w./-]*", span):
            assert (ROOT / span).exists(), span
        elif re.fullmatch(r"[\w./-]+\.(yaml|py|md|toml|cff)", span) and not written:
            # A file of the repository, or one that a program writes.
            near = [ROOT, page.parent, ROOT / "conf", ROOT / "src" / "rnnexp"]
            assert any((place / span).exists() for place in near) or Path(span).name in sources(), span


def dotted(node: Any, prefix: str = "") -> Iterator[str]:
    """Yield every key of a nested config with dots."""
    for key, child in node.items() if isinstance(node, dict) else ():
        yield f"{prefix}{key}"
        yield from dotted(child, f"{prefix}{key}.")


@cache
def config_keys() -> frozenset[str]:
    """Return every key of every program, with each option of each group."""
    choices = [(program, REQUIRED.get(program, [])) for program in PROGRAMS]
    choices += [("train", [f"hydra/launcher={launcher}"]) for launcher in BACKENDS]
    choices += [("train", ["hydra/sweeper=optuna", "hydra/sweeper/pruner=percentile"])]
    keys: set[str] = set()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        for program, overrides in choices:
            keys |= set(dotted(OmegaConf.to_container(compose(program, overrides, return_hydra_config=True))))
    options = [path for group in GROUPS - {"hydra"} for path in (CONF / group).glob("*.yaml")]
    assert options
    for path in options:
        prefix = "" if "@package _global_" in path.read_text(encoding="utf-8") else f"{path.parent.name}."
        keys |= {
            key
            for key in dotted(OmegaConf.to_container(OmegaConf.load(path)), prefix)
            if key.rpartition(".")[2] != "defaults"
        }
    return frozenset(keys)


@pytest.mark.parametrize("page", CURRENT, ids=lambda page: str(page.relative_to(ROOT)))
def test_config_keys_exist(page: Path) -> None:
    keys = config_keys()
    last = {key.rpartition(".")[2] for key in keys}
    # Inline Python is not an override.
    overrides = [span for span in spans(page) if "(" not in span and '="' not in span]
    for word in (word for span in overrides for word in span.split(" ")):
        if match := re.fullmatch(r"\+?([a-z_]+(?:[./]\w+)*)=(.*)", word):
            key, value = match[1], match[2]
            if key in GROUPS | {"size"} and re.fullmatch(r"\w+", value):
                places = [root / key / f"{value}.yaml" for root in (CONF, ROOT / "sweeps")]
                assert value == "null" or value.startswith("my_") or any(place.exists() for place in places), word
            elif key not in PLACEHOLDERS and "/" not in key and not word.startswith("+"):
                # The options of a cell are declared in its row, not in YAML.
                key = re.sub(r"^model\.cell_options\.\w+$", "model.cell_options", key)
                assert key in (keys if "." in key else last), word
        elif re.fullmatch(r"(model|data|task|optimizer|scheduler|trainer|logger|callbacks|paths|hydra)(\.\w+)+", word):
            assert word in keys, word


def described_keys() -> dict[str, set[str]]:
    """Return the keys of each table of result.json in docs/run_directory.md; `<name>` stands for any name."""
    page = text_of(ROOT / "docs" / "run_directory.md")
    section = page.partition("\n## result.json\n")[2].partition("\n## ")[0]
    tables = {}
    for part in section.split("\n### ")[1:]:
        title, _, text = part.partition("\n")
        columns = re.findall(r"^\| ([^|]+) \|", text, re.MULTILINE)
        tables[title] = {key for column in columns for key in re.findall(r"`([^`]+)`", column)}
    return tables


def assert_described(result: dict[str, Any]) -> None:
    tables = described_keys()
    top = {key: value for key, value in result.items() if key not in tables}
    found = {"The top level": top} | {key: result[key] for key in tables if key in result}
    for title, node in found.items():
        nested = {} if title in ("The top level", "metrics") else node or {}
        names = set(node or {}) - {key for key, value in nested.items() if isinstance(value, dict)}
        names |= {key for key in dotted(nested) if "." in key and "/" not in key}
        patterns = [re.sub(r"<\w+>", ".+", key) for key in tables[title]]
        assert {name for name in names if not any(re.fullmatch(pattern, name) for pattern in patterns)} == set(), title


def test_every_key_of_a_classification_result_is_described(finished: Outcome) -> None:
    assert_described(finished.result)


def test_every_key_of_a_translation_result_is_described(run: Run, translate_tiny: Callable[[str], list[str]]) -> None:
    extras = ["callbacks=[gradient_flow,translation]", "task.literature=true", "trainer.max_steps=2"]
    outcome = run("task=translation", *extras, data=translate_tiny("Phrasebook"))
    assert outcome.exit_code == 0, outcome.stderr
    assert_described(outcome.result)


def test_a_key_without_a_description_is_found(finished: Outcome) -> None:
    with pytest.raises(AssertionError, match="test/new"):
        assert_described(json.loads(json.dumps(finished.result)) | {"metrics": {"test/new": 0.0}})


def test_the_snippet_of_the_front_page_runs(
    finished: Outcome, tiny_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (snippet,) = blocks(ROOT / "README.md", "python")
    (tmp_path / "outputs/train").mkdir(parents=True)
    (tmp_path / "outputs/train/my_run").symlink_to(finished.directory)
    monkeypatch.chdir(tmp_path)
    images = np.array(parse_idx((tiny_root / "Tiny" / "raw" / TEST_IMAGES).read_bytes(), TEST_IMAGES, 3))
    names: dict[str, Any] = {"images": images}
    exec(snippet, names)
    assert len(names["labels"]) == len(names["y"]) == len(images)


def test_the_snippet_of_the_recurrent_layers_runs() -> None:
    snippet, *_ = blocks(ROOT / "docs/api.md", "python")
    names: dict[str, Any] = {}
    exec(snippet, names)
    assert names["outputs"].shape == (4, 10, 256)
    assert names["h"].shape == (2, 4, 256)


def test_the_front_page_is_one_page() -> None:
    assert len(text_of(ROOT / "README.md").split("\n")) <= 100
