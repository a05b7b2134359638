"""The program that lists, compares and removes runs, on a real run and copies of it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from rnnexp import train
from rnnexp.core.files.atomic import read_json, write_json
from rnnexp.core.files.directory_lock import locked
from rnnexp.runs.__main__ import manage
from rnnexp.runs.listing.search import REMOVED
from rnnexp.tracking.config_file import read_config_file, write_config_file
from rnnexp.tracking.run_directory import RunDirectory
from support.programs import call


@pytest.fixture(scope="module")
def trained(tiny: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("listed") / "run"
    outcome = call(train.main, run.parent, [*tiny, "model=gru", "seed=1", f"paths.output_dir={run}"])
    assert outcome.exit_code == 0, outcome.stderr
    return run


@pytest.fixture
def place(trained: Path, tmp_path: Path) -> Path:
    """Three runs: a GRU, an LSTM with a better validation and a worse test, and a GRU that failed."""
    changes: dict[str, tuple[str, int, float, float]] = {"a": ("gru", 1, 0.5, 0.6), "b": ("lstm", 2, 0.7, 0.4)}
    for name, (cell, seed, val, test) in (changes | {"c": ("gru", 3, 0.1, 0.1)}).items():
        run = RunDirectory(Path(shutil.copytree(trained, tmp_path / "place" / name)))
        config = read_config_file(run.config_file)
        config["model"]["cell"], config["seed"] = cell, seed
        write_config_file(run.config_file, config)
        result = read_json(run.result_file)
        result["metrics"] |= {"val/acc_best": val, "val/acc_average": 1 - val, "test/acc": test, "own": val}
        write_json(run.result_file, result)
    failed = RunDirectory(tmp_path / "place" / "c")
    write_json(failed.status_file, read_json(failed.status_file) | {"status": "failed", "reason": "a \x1b[31mreason"})
    return tmp_path / "place"


def test_a_directory_of_runs_is_removed_by_a_filter(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert manage(["rm", str(place), "--yes"]) == 2
    assert "is not a run directory: to remove the runs in it, give a filter, status=failed" in capsys.readouterr().err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
def test_a_list_that_cannot_be_written_is_an_error(place: Path) -> None:
    command = [sys.executable, "-m", "rnnexp.runs", "ls", str(place), "--json"]
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, encoding="utf-8", check=False)
    assert done.returncode == 2
    assert done.stderr == "rnnexp: standard output: No space left on device\n"


def listed(capsys: pytest.CaptureFixture[str], *arguments: object) -> list[dict[str, Any]]:
    assert manage([*map(str, arguments), "--json"]) == 0
    rows: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return rows


def names(rows: list[dict[str, Any]]) -> set[str]:
    return {Path(row["run"]).name for row in rows}


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ([], {"a", "b", "c"}),
        (["model.cell=gru"], {"a", "c"}),
        (["model.cell=gru,lstm", "seed=1,2"], {"a", "b"}),
        (["status=failed"], {"c"}),
        (["model.bidirectional=false", "seed=3.0"], {"c"}),
    ],
)
def test_filters(place: Path, capsys: pytest.CaptureFixture[str], filters: list[str], expected: set[str]) -> None:
    assert names(listed(capsys, "ls", place, *filters)) == expected


def test_a_list_in_a_pipe(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert manage(["ls", str(place), "seed=2,3"]) == 0
    header, *lines = (line.split("\t") for line in capsys.readouterr().out.splitlines())
    rows = {Path(row["run"]).name: row for row in (dict(zip(header, line, strict=True)) for line in lines)}
    assert (rows["b"]["status"], rows["b"]["metric"], rows["b"]["value"]) == ("done", "val/acc", "0.7")
    assert rows["b"]["command"].startswith("rnnexp train ")
    assert rows["c"]["reason"] == "a \\x1b[31mreason"


def test_the_best_is_that_of_the_monitored_metric(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (best,) = listed(capsys, "best", place)
    assert (Path(best["run"]).name, best["metric"], best["value"], best["test_value"]) == ("b", "val/acc", 0.7, 0.4)
    (best,) = listed(capsys, "best", place, "--by", "test/acc")
    assert Path(best["run"]).name == "a"
    ranked = listed(capsys, "best", place, "--by", "own", "--mode", "min", "--top", 5)
    assert [Path(row["run"]).name for row in ranked] == ["a", "b"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ls", "model.cel=gru"], "no config has the key 'model.cel'; did you mean 'model.cell'?"),
        (["ls", "model.cell=gruu"], "the values are gru, lstm; did you mean 'gru'?"),
        (["ls", "model=gru"], "model.cell"),
        (["ls", "status=dne"], "did you mean 'done'?"),
        (["best", "--by", "test/ac"], "did you mean 'test/acc'?"),
        (["best", "--by", "own"], "--mode max or --mode min"),
    ],
)
def test_a_mistake_is_one_line(
    place: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert manage([arguments[0], str(place), *arguments[1:]]) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert (shown.out, shown.err.count("\n")) == ("", 1)


def test_show_and_diff(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert manage(["show", str(place / "a"), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["status"], shown["config"]["seed"], shown["result"]["metrics"]["own"]) == ("done", 1, 0.5)
    rows = {row["key"]: row for row in listed(capsys, "diff", place / "a", place / "b")}
    assert (rows["model.cell"]["first"], rows["model.cell"]["second"]) == ("gru", "lstm")
    assert rows["test/acc"]["difference"] == pytest.approx(-0.2)
    assert {key for key, row in rows.items() if row["of"] == "config"} == {"model.cell", "seed"}


def test_one_batch_and_all_of_them_are_different(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, share in (("a", 1), ("b", 1.0)):
        run = RunDirectory(place / name)
        config = read_config_file(run.config_file)
        config["trainer"] = {"limit_test_batches": share}
        write_config_file(run.config_file, config)
    rows = {row["key"]: row for row in listed(capsys, "diff", place / "a", place / "b")}
    shown = rows["trainer.limit_test_batches"]
    assert (repr(shown["first"]), repr(shown["second"])) == ("1", "1.0")


def test_a_filter_may_follow_an_option(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (best,) = listed(capsys, "best", place, "--by", "test/acc", "model.cell=lstm")
    assert Path(best["run"]).name == "b"
    for arguments in (["show", str(place / "a"), "b"], ["ls", str(place), "--jsn"], ["best", str(place), "--top", "x"]):
        with pytest.raises(SystemExit) as refused:
            manage(arguments)
        assert refused.value.code == 2
    assert "'x' is not a whole number of at least 1" in capsys.readouterr().err


def test_averaged_weights_have_the_direction_of_their_metric(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (best,) = listed(capsys, "best", place, "--by", "val/acc_average", "--top", 1)
    assert Path(best["run"]).name == "a"


def test_values_that_are_no_numbers_are_not_the_best(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, value in (("a", "nan"), ("b", "0.7")):
        run = RunDirectory(place / name)
        result = read_json(run.result_file)
        del result["metrics"]["val/acc_best"], result["metrics"]["val/acc"]
        write_json(run.result_file, result)
        run.metrics_file.write_text(f"epoch,step,val/acc\n0,9,{value}\n", encoding="utf-8")
    ranked = listed(capsys, "best", place, "--top", 5)
    assert [Path(row["run"]).name for row in ranked] == ["b"]
    assert manage(["best", str(place)]) == 0
    assert "left out: 1 of 2 runs, without a value of the metric that they monitor" in capsys.readouterr().err
    assert {row["value"] for row in listed(capsys, "ls", place, "seed=1")} == {None}


def test_removal_asks_and_spares_what_it_must(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # Standard input of a test is no terminal.
    assert manage(["rm", str(place / "a")]) == 2
    assert manage(["rm", str(place), "--yes"]) == 2
    (place / "link").symlink_to(place / "a")
    assert manage(["rm", str(place / "link"), "--yes"]) == 2
    (place / "a" / "notes.md").write_text("mine", encoding="utf-8")
    assert manage(["rm", str(place / "a"), "--yes"]) == 2
    assert "notes.md" in capsys.readouterr().err
    with locked(place / "b"):
        assert manage(["rm", str(place / "b"), "--yes"]) == 2
    assert "it is running" in capsys.readouterr().err
    assert manage(["rm", str(place), "status=failed", "--yes"]) == 0
    assert {path.name for path in place.iterdir()} == {"a", "b", "link"}


def test_removal_of_this_directory(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place / "a")
    assert manage(["rm", ".", "--yes"]) == 0
    assert {path.name for path in place.iterdir()} == {"b", "c"}


def test_a_job_of_a_sweep_that_runs_stays(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    with locked(place.parent):
        assert manage(["rm", "a", "--yes"]) == 2
    assert (place / "a").is_dir()


def test_a_run_that_cannot_be_removed_does_not_keep_the_others(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def rename_all_but_a(path: Path, target: Path) -> Path:
        if path.name == "a":
            raise PermissionError(13, "Permission denied", str(path))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", rename_all_but_a)
    assert manage(["rm", str(place), "seed=1,2", "--yes"]) == 2
    assert f"{place / 'a'} cannot be removed" in capsys.readouterr().err
    assert {path.name for path in place.iterdir()} == {"a", "c"}


def test_the_rest_of_a_removal_is_not_listed(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "a").rename(place / f"{REMOVED}0123")
    assert names(listed(capsys, "ls", place)) == {"b", "c"}


def test_a_directory_with_files_of_these_names_is_not_removed(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.yaml").write_text("services: []", encoding="utf-8")
    (other / "status.json").write_text('{"ok": true}', encoding="utf-8")
    assert manage(["rm", str(other), "--yes"]) == 2
    assert other.is_dir()


def test_a_whole_run_has_no_foreign_entries(trained: Path) -> None:
    assert RunDirectory(trained).foreign_entries == []


def test_nothing_slow_is_imported(place: Path) -> None:
    code = f"import sys; from rnnexp.runs.__main__ import manage; manage(['ls', {str(place)!r}]); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "lightning", "hydra", "omegaconf", "numpy"} & set(done.stdout.split())


def test_the_notes_of_a_release_have_the_version() -> None:
    import rnnexp
    from support import ROOT

    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == rnnexp.__version__
    assert f"## {rnnexp.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_a_sweep_that_lists_strange_names_of_jobs_is_listed(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outside = Path(shutil.copytree(place / "a", place.with_name("outside")))
    (outside / "status.json").unlink()
    strange = ["a\0b", "\ud800", "../../../outside", "/etc", "..", "", 3, None, ["x"], "absent"]
    (place / "sweep").mkdir()
    write_json(place / "sweep" / "sweep.json", {"jobs": strange})
    rows = listed(capsys, "ls", place)
    assert names(rows) == {"a", "b", "c", "absent"}


def test_long_arguments_are_filters_or_missing_directories(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    many = "seed=" + ",".join(map(str, range(1, 2000)))
    assert names(listed(capsys, "ls", place, many)) == {"a", "b", "c"}
    assert manage(["ls", "x" * 5000]) == 2
    assert capsys.readouterr().err.startswith("rnnexp: xxx")
