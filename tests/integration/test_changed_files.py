"""Files of the user that change between the steps of a run or of a sweep."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rnnexp.core.files.atomic import read_json
from rnnexp.core.validation import override
from rnnexp.runs.frozen.command import frozen_command
from support.programs import Outcome, Run, call, write_pairs

SIGTERM = "+callbacks.probe={_target_:support.probing_callbacks.SendSignal,step:1,number:15}"


@pytest.fixture
def corpus(tmp_path: Path, translate_tiny: Callable[[str], list[str]]) -> list[str]:
    """Overrides of a short run on files below `tmp_path`."""
    train, held_out = write_pairs(tmp_path / "train.tsv", 0, 100), write_pairs(tmp_path / "held_out.tsv", 100, 30)
    files = [f"data.train={train}", f"data.val={held_out}", f"data.test={held_out}", "data.vocab_size=290"]
    small = [word for word in translate_tiny("ParallelFiles") if not word.startswith("data")]
    return ["task=translation", "data=parallel", "data.min_frequency=1", "data.cache=null", *small, *files]


def edit(path: Path) -> None:
    path.write_text(path.read_text(encoding="utf-8") + "another\tune autre\n", encoding="utf-8")


def run_again(outcome: Outcome, *overrides: str) -> Outcome:
    """Run a program with the frozen config of a run directory, as a job of a sweep does."""
    from rnnexp import train

    arguments = frozen_command(outcome.directory)[3:]
    return call(train.main, outcome.directory.parents[2], [*arguments, *overrides])


def test_changed_data_are_refused(run: Run, score: Run, corpus: list[str], tmp_path: Path) -> None:
    begun = run("trainer.max_epochs=1", "run_only=[callbacks.probe]", SIGTERM, data=corpus)
    assert begun.status == "interrupted", begun.stderr
    last = begun.directory / "checkpoints" / "last.ckpt"
    edit(tmp_path / "train.tsv")
    for ended in (
        run_again(begun, override("ckpt_path", last)),
        run("trainer.max_epochs=1", f"ckpt_path={last}", data=corpus),
        score(f"run={begun.directory}", "weights=last"),
    ):
        assert ended.exit_code == 2, ended.stdout
        assert f"{tmp_path}/train.tsv has changed since" in ended.line
    other = write_pairs(tmp_path / "other.tsv", 0, 100)
    assert score(f"run={begun.directory}", "weights=last", f"data.train={other}").exit_code == 0


@pytest.mark.slow
def test_a_sweep_runs_a_job_again_only_for_other_content(run: Run, corpus: list[str], tmp_path: Path) -> None:
    command = ["-m", "trainer.max_epochs=1", f"sweep_dir={tmp_path}/sweep"]
    assert run(*command, data=corpus).exit_code == 0
    (tmp_path / "link.tsv").symlink_to("train.tsv")
    assert "1 job, 0 to run" in run(*command, "data.train=link.tsv", data=corpus).stdout
    edit(tmp_path / "train.tsv")
    assert "1 job, 1 to run" in run(*command, data=corpus).stdout
    hashes = [read_json(path)["config_hash"] for path in (tmp_path / "sweep" / "jobs").glob("*/result.json")]
    assert len(set(hashes)) == 2


def test_a_changed_cell_is_another_experiment(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    module = tmp_path / "edited_cells.py"
    imports = "from rnnexp.recurrent import Cell\nfrom rnnexp.recurrent.cells.standard import srn_tanh\n"
    source = f"{imports}mine = Cell(srn_tanh, 1)\n"
    module.write_text(source, encoding="utf-8")
    cell = ["model.cell=edited_cells.mine", "trainer.max_epochs=1", "run_only=[callbacks.probe]"]
    begun = run(*cell, SIGTERM)
    assert begun.status == "interrupted", begun.stderr
    module.write_text(f"{source}# changed\n", encoding="utf-8")
    again = run_again(begun)
    assert again.exit_code == 2
    assert f"{module} has changed since this run began" in again.line
    sys.modules.pop("edited_cells")
    # The weights still fit: the user decides whether the change matters.
    changed = run(*cell, SIGTERM)
    hashes = [read_json(each.directory / "status.json")["config_hash"] for each in (begun, changed)]
    assert hashes[0] != hashes[1]
