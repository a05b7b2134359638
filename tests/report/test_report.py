"""The report program, run on directories of real runs."""

import csv
import dataclasses
import json
import logging
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
import pytest
import torch
from scipy import optimize, stats

from rnnexp.core.files.directory_lock import locked
from rnnexp.report import section
from rnnexp.report.__main__ import make_parser, report
from rnnexp.report.records.costs import PARAMETERS
from rnnexp.report.records.groups import ComparisonGroup
from rnnexp.report.records.runs import Run, find_runs
from rnnexp.report.stats.ranking import compare_with_best
from rnnexp.report.tables import comparisons_table, costs_table, results_table, sensitivity_table, unfinished_table
from support.foreign_runs import change_config

Made = Callable[..., Run]
Grouped = Callable[..., ComparisonGroup]


def column(table_rows: list[list[str]], columns: list[str], name: str) -> list[str]:
    return [row[columns.index(name)] for row in table_rows]


def test_a_report_of_images_and_sentences(
    digits: Path, phrases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "report"
    assert report([str(digits), str(phrases), "--output", str(output)]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    lines = captured.out.splitlines()
    assert lines[0].startswith("Phrasebook-en-fr: best is ")
    assert lines[1].startswith("Tiny-rows: best is ")
    assert lines[2] == f"written to {output / 'report.html'}"

    markdown, html = (
        (output / "report.md").read_text(encoding="utf-8"),
        (output / "report.html").read_text(encoding="utf-8"),
    )
    for heading in (
        "Answer",
        "Results",
        "Against the best",
        "Costs",
        "Figures",
        "Samples with different answers",
        "Method",
    ):
        assert re.search(rf"^##+ {heading}$", markdown, flags=re.MULTILINE), heading
        assert re.search(rf"<h\d>{heading}</h\d>", html), heading
    assert "tok:13a" in markdown, "BLEU comes with its signature"
    figures = re.findall(r"!\[.*?\]\((.*?)\)", markdown)
    names = {re.sub(r"\d-(tiny-rows|phrasebook-en-fr)-", "", Path(figure).stem) for figure in figures}
    assert {"answer", "learning_curves", "tradeoffs", "main_effects", "agreement", "disagreements_1"} == names
    for figure in figures:
        assert (output / figure).read_bytes().startswith(b"\x89PNG")
        assert (output / figure).with_suffix(".svg").read_bytes().startswith(b"<?xml")
    assert html.count("<img ") == len(figures)
    assert not re.findall(r'(?:src|href)="(?!data:|#)', html)
    written = {path.name for path in output.iterdir()}
    tables = {"results.csv", "results.parquet"}
    assert written == {"figures", "report.html", "report.md", "report.tex", "references.bib", *tables}


def test_results_csv_has_a_row_for_every_run(sweep: Path, changed: Callable[..., None], tmp_path: Path) -> None:
    changed(sweep / "jobs" / "gru_1" / "status.json", lambda status: status.update(status="failed", reason="a, b"))
    (sweep / "jobs" / "srn_2" / "config.yaml").write_text("", encoding="utf-8")
    assert report([str(sweep), "--output", str(tmp_path)]) == 0
    with (tmp_path / "results.csv").open(newline="", encoding="utf-8") as file:
        rows = {Path(row["path"]).name: row for row in csv.DictReader(file)}
    assert {name: (row["status"], row["counts"]) for name, row in rows.items()} == {
        "gru_1": ("failed", "0"),
        "gru_2": ("done", "1"),
        "srn_1": ("done", "1"),
        "srn_2": ("unreadable", "0"),
    }
    result = json.loads((sweep / "jobs" / "gru_2" / "result.json").read_text(encoding="utf-8"))
    row = rows["gru_2"]
    assert float(row["test/acc"]) == result["metrics"]["test/acc"]
    assert float(row["timing.fit_seconds"]) == result["timing"]["fit_seconds"]
    assert int(row["num_parameters"]) == result["model"]["num_parameters"]
    assert (row["axis.cell"], row["seed"], row["config_hash"]) == ("gru", "2", result["config_hash"])
    assert rows["gru_1"]["reason"] == "a, b"
    assert rows["gru_1"]["test/acc"] == rows["srn_2"]["seed"] == ""


def test_failed_runs_are_shown_with_their_reasons(
    sweep: Path, changed: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = sweep / "jobs"
    changed(jobs / "gru_1" / "status.json", lambda status: status.update(status="diverged", reason="NaN in step 3"))
    changed(jobs / "gru_2" / "status.json", lambda status: status.update(status="running"))
    changed(jobs / "srn_1" / "result.json", lambda result: result.update(schema_version=99))
    (jobs / "srn_2" / "result.json").write_text('{"schema_version": 1,', encoding="utf-8")
    changed(sweep / "sweep.json", lambda record: record["jobs"].append("lstm_7"))
    with locked(jobs / "gru_2"):
        assert report([str(sweep)]) == 0
    assert capsys.readouterr().out.startswith("Tiny-rows: no run has a result yet.")
    markdown = (sweep / "report" / "report.md").read_text(encoding="utf-8")
    for text in (
        "5 runs: 2 unreadable, 1 diverged, 1 running, 1 missing",
        "| diverged | NaN in step 3 |",
        f"| running | process {os.getpid()} on ",
        "has schema version 99; this rnnexp reads up to 1",
        "was it cut short?",
        "| jobs/lstm\\_7 | missing | it has not started |",
    ):
        assert text in markdown, text


def test_a_second_report_replaces_the_first(sweep: Path) -> None:
    assert report([str(sweep)]) == 0
    first = (sweep / "report" / "results.csv").read_text(encoding="utf-8")
    assert report([str(sweep)]) == 0
    assert (sweep / "report" / "results.csv").read_text(encoding="utf-8") == first


def errors(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert report(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("rnnexp: ")
    return line


def test_an_empty_directory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "holds no runs" in errors([str(tmp_path)], capsys)
    assert list(tmp_path.iterdir()) == []


def test_a_misspelled_directory(digits: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert errors([str(digits / "jbos")], capsys).endswith("is not a directory; did you mean 'jobs'?")


def test_an_output_that_is_a_file(digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "taken").write_text("", encoding="utf-8")
    line = errors([str(digits), "--output", str(tmp_path / "taken")], capsys)
    assert line.endswith("taken: File exists; name another --output")


def test_the_command_line() -> None:
    options = make_parser().parse_args(["a", "b"])
    assert ([str(path) for path in options.directories], options.output) == (["a", "b"], None)
    with pytest.raises(SystemExit) as ended:
        make_parser().parse_args([])
    assert ended.value.code == 2


@pytest.mark.parametrize("margin", ["0", "-1", "nan", "inf", "much"])
def test_a_margin_is_a_positive_number(margin: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        make_parser().parse_args(["a", f"--margin={margin}"])
    assert ended.value.code == 2
    assert "is not a positive number" in capsys.readouterr().err


def test_a_margin_has_one_unit(digits: Path, phrases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = errors([str(digits), str(phrases), "--margin=0.2", f"--output={tmp_path}"], capsys)
    assert "these runs are compared by BLEU; accuracy, %" in line


def test_not_significantly_worse_never_stands_alone(made: Made, group_of: Grouped) -> None:
    scores = {"gru": (0.95, 0.96, 0.955), "lstm": (0.949, 0.962, 0.951), "srn": (0.5, 0.512, 0.507)}
    runs = [made(cell, seed, acc=acc) for cell, of_cell in scores.items() for seed, acc in enumerate(of_cell)]
    group = group_of(runs)
    comparisons = compare_with_best(group, margin=5.0)
    found = comparisons[1].sensitivity
    assert found is not None
    assert found.smallest is not None
    shown = f"a lead of {found.smallest:.2f} points would show"
    table = results_table(group, comparisons)
    verdicts = column([list(row) for row in table.rows], list(table.columns), "against the best")
    assert verdicts == ["best", f"not significantly worse ({shown})", "significantly worse"]
    assert [table.kinds[place] for place in (0, 1)] == ["best", "even"]
    text = section.answer(group, comparisons)
    assert f"Not significantly worse: lstm ({shown}). Equivalent to the best within the margin: lstm." in text
    table = sensitivity_table(group, comparisons, 5.0)
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    assert [row["within ±5 points"] for row in rows] == ["equivalent", "not equivalent"]
    assert [row["shared seeds that would settle it"] for row in rows] == ["settled", "settled"]


def loaded_by(code: str) -> set[str]:
    code = f"import sys; {code}; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_imports_are_fast_and_only_files_are_needed(phrases: Path, tmp_path: Path) -> None:
    loaded = loaded_by("import rnnexp.report.__main__")
    assert "rnnexp" in loaded
    assert not loaded & {"torch", "matplotlib", "numpy", "scipy", "hydra", "yaml"}
    loaded = loaded_by(
        f"from rnnexp.report.__main__ import report; report([{str(phrases)!r}, '--output', {str(tmp_path)!r}])"
    )
    assert "matplotlib" in loaded
    assert not loaded & {"torch", "lightning", "hydra", "omegaconf", "wandb", "torchmetrics"}
    assert (tmp_path / "report.html").exists()


def test_the_program_ends_with_its_exit_code(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "rnnexp.report", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == f"rnnexp: {tmp_path} holds no runs: a run directory has a config.yaml and a status.json\n"


def test_the_program_under_a_locale_that_knows_no_unicode(digits: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-m", "rnnexp.report", str(digits), "--output", str(tmp_path / "où")]
    done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    assert " ± " in done.stdout
    assert "où/report.html" in done.stdout
    assert (tmp_path / "où" / "report.html").is_file()


def test_digits_without_their_images_are_listed_by_number(sweep: Path) -> None:
    for job in (sweep / "jobs").iterdir():
        change_config(job, lambda config: config["data"].update(root="/nowhere"))
    assert report([str(sweep)]) == 0
    markdown = (sweep / "report" / "report.md").read_text(encoding="utf-8")
    assert "The images were not found below the run's data.root" in markdown
    table = markdown[markdown.index("| right | wrong | sample | label | wrong answer |") :]
    assert re.search(r"^\| \w+ \| \w+ \| \d+ \|", table, re.MULTILINE)


def test_samples_are_listed_by_their_ids(sweep: Path) -> None:
    for job in (sweep / "jobs").iterdir():
        change_config(job, lambda config: config["data"].update(root="/nowhere"))
        predictions = torch.load(job / "test_predictions.pt", weights_only=True)
        ids = [f"walk {number}" for number in range(len(predictions["labels"]))]
        torch.save({**predictions, "ids": ids}, job / "test_predictions.pt")
    assert report([str(sweep)]) == 0
    markdown = (sweep / "report" / "report.md").read_text(encoding="utf-8")
    table = markdown[markdown.index("| right | wrong | sample | label | wrong answer |") :]
    assert re.search(r"^\| \w+ \| \w+ \| walk \d+ \|", table, re.MULTILINE)


def test_the_table_of_results(digits: Path, group_of: Grouped) -> None:
    group = group_of(find_runs([digits]))
    table = results_table(group, compare_with_best(group))
    rows, columns = [list(row) for row in table.rows], list(table.columns)
    assert column(rows, columns, "n") == ["2", "2"]
    assert column(rows, columns, "against the best")[0] == "best"
    assert column(rows, columns, "runs") == ["2 done", "2 done"]
    assert column(rows, columns, "notes") == ["–", "–"]
    best = group.settings[0]
    mean = sum(best.scores) / 2
    assert column(rows, columns, "accuracy, %")[0].startswith(f"{mean:.2f} ± ")
    assert set(columns) >= {"cell", "loss, nats"}


def test_the_table_of_costs(digits: Path, group_of: Grouped) -> None:
    group = group_of(find_runs([digits]))
    table = costs_table(group)
    rows, columns = [list(row) for row in table.rows], list(table.columns)
    assert column(rows, columns, "cell") == [setting.label for setting in group.measured]
    assert column(rows, columns, "effective precision") == ["32-true", "32-true"]
    assert column(rows, columns, "parameters")[0] == f"{group.measured[0].mean_cost(PARAMETERS):,.0f}"
    assert set(columns) >= {
        "parameters",
        "state size",
        "training time, s",
        "samples/s",
    }
    assert "tokens/s" not in columns
    assert not [name for name in columns if "memory" in name], "on a CPU that of the process"


def test_notes_of_a_row(sweep: Path, changed: Callable[..., None], group_of: Grouped) -> None:
    def otherwise(result: dict[str, object]) -> None:
        result["device"] = {"name": "another machine", "num_devices": 2}
        result["precision"] = {"requested": "16-mixed", "effective": "32-true"}
        result["num_test_samples"] = 20

    job = sweep / "jobs" / "gru_1"
    changed(job / "result.json", otherwise)
    (job / "environment.json").write_text('{"git": {"commit": "feedfacefeedface", "dirty": false}}', encoding="utf-8")
    shutil.copytree(sweep / "jobs" / "gru_2", sweep / "jobs" / "again")
    group = group_of(find_runs([sweep]))
    table = results_table(group, compare_with_best(group))
    rows = {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}
    assert rows["srn"]["notes"] == "–"
    assert rows["gru"]["notes"] == (
        "other device (2 × another machine); other code (feedfaceface); "
        "tested on a part of the test set; seed 2 ran 2 times, the newest counts"
    ).replace("feedfaceface", "feedfacefe")
    table = costs_table(group)
    rows = {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}
    assert "32-true (requested: 16-mixed)" in rows["gru"]["effective precision"]
    assert "2 × another machine" in rows["gru"]["device"]


def test_notes_name_the_device_and_the_code_that_most_runs_do_not_have(made: Made, group_of: Grouped) -> None:
    runs = []
    for cell, acc in (("gru", 0.9), ("srn", 0.8)):
        for seed in (1, 2, 3):
            place = "a rare one" if (cell, seed) in (("gru", 1), ("gru", 2)) else "a common one"
            run = made(cell, seed, acc=acc, result={"device": {"name": place, "num_devices": 1}})
            runs.append(dataclasses.replace(run, code=f"the code on {place}"))
    group = group_of(runs)
    table = results_table(group, compare_with_best(group))
    notes = column([list(row) for row in table.rows], list(table.columns), "notes")
    assert notes == ["other device (a rare one); other code (the code on a rare one)", "–"]


ACCURACIES = {"gru": (95.12, 96.34, 95.71, 94.98), "lstm": (94.87, 95.69, 95.93), "srn": (92.15, 92.03, 91.38, 92.44)}
"""The accuracy of each seed, in percent."""
PAIRS = list(combinations(ACCURACIES, 2))


@pytest.fixture
def compared(made: Made, group_of: Grouped) -> ComparisonGroup:
    """Three settings with the scores of `ACCURACIES`, of which one lacks a seed."""
    runs = [(cell, seed, acc) for cell, values in ACCURACIES.items() for seed, acc in enumerate(values)]
    return group_of([made(cell, seed, acc=acc / 100) for cell, seed, acc in runs])


def test_the_means_and_intervals_of_the_results_are_those_of_student(compared: ComparisonGroup) -> None:
    table = results_table(compared, compare_with_best(compared))
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    assert [row["cell"] for row in rows] == list(ACCURACIES)
    for row, values in zip(rows, ACCURACIES.values(), strict=True):
        mean, deviation, n = fmean(values), stdev(values), len(values)
        half = stats.t.ppf(0.975, n - 1) * deviation / n**0.5
        assert row["accuracy, %"] == f"{mean:.2f} ± {deviation:.2f}"
        assert row["95 % interval"] == f"{mean - half:.2f} to {mean + half:.2f}"
        assert row["n"] == str(n)


def test_the_comparisons_are_paired_t_tests_of_scipy(compared: ComparisonGroup) -> None:
    # Only the seeds that both have are paired.
    pairs = {(a, b): tuple(zip(*zip(ACCURACIES[a], ACCURACIES[b], strict=False), strict=True)) for a, b in PAIRS}
    tests = {pair: stats.ttest_rel(*scores) for pair, scores in pairs.items()}
    p_values = sorted(test.pvalue for test in tests.values())
    adjusted = np.maximum.accumulate([3, 2, 1] * np.array(p_values))
    table = comparisons_table(compared, compare_with_best(compared))
    assert table.columns[2:7] == [
        "shared seeds",
        "lead of the best, points",
        "95 % interval",
        "p over seeds",
        "adjusted",
    ]
    assert [row[0] for row in table.rows] == ["lstm", "srn"]
    for row in table.rows:
        scores, test = pairs["gru", row[0]], tests["gru", row[0]]
        low, high = test.confidence_interval(0.95)
        assert list(row[2:7]) == [
            str(len(scores[0])),
            f"{fmean(scores[0]) - fmean(scores[1]):.2f}",
            f"{low:.2f} to {high:.2f}",
            f"{test.pvalue:.{2 if test.pvalue > 0.1 else 3}f}",
            f"{adjusted[p_values.index(test.pvalue)]:.{2 if test.pvalue > 0.1 else 3}f}",
        ]
    assert table.rows[1][5] != table.rows[1][6]


def test_the_smallest_detectable_lead_is_found_with_a_power_of_80_percent(compared: ComparisonGroup) -> None:
    table = sensitivity_table(compared, compare_with_best(compared), None)
    assert table.columns[2:4] == ["deviation of the lead, points", "smallest detectable lead, points"]
    # By Holm's method the two pairs with srn come before that with lstm, and none comes before the best against srn.
    for row, (other, level) in zip(table.rows, (("lstm", 0.05), ("srn", 0.05 / 3)), strict=True):
        deviation = stdev(a - b for a, b in zip(ACCURACIES["gru"], ACCURACIES[other], strict=False))
        n = min(len(ACCURACIES["gru"]), len(ACCURACIES[other]))

        def lack(lead: float, error: float = deviation / n**0.5, n: int = n, level: float = level) -> float:
            return float(stats.nct.sf(stats.t.ppf(1 - level / 2, n - 1), n - 1, lead / error)) - 0.8

        assert list(row[:4]) == [other, str(n), f"{deviation:.2f}", f"{optimize.brentq(lack, 0.0, 50.0):.2f}"]


def test_the_table_of_comparisons_says_why_there_is_no_test(made: Made, group_of: Grouped) -> None:
    group = group_of([made("gru", 1, acc=0.9), made("srn", 1, acc=0.8), made("lstm", 2, acc=0.7)])
    table = comparisons_table(group, compare_with_best(group))
    by_name = {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}
    assert by_name["srn"]["p over seeds"] == "too few shared seeds (1; at least 2)"
    assert by_name["lstm"]["p over samples (McNemar's exact test)"] == "no shared seed"
    assert by_name["srn"]["against the best"] == "not tested"


def test_seeds_of_only_other_groups_are_missing(made: Made, group_of: Grouped, tmp_path: Path) -> None:
    group = group_of([made("gru", 1), made("gru", 2), made("srn", 1), made("lstm", 1, acc=None)])
    table = unfinished_table(group, tmp_path)
    assert table is not None
    assert [list(row[:4]) for row in table.rows] == [
        ["srn", "2", "missing", "others have run this seed"],
        ["lstm", "1", "done", "its result has no test/acc"],
        ["lstm", "2", "missing", "others have run this seed"],
    ]
    assert unfinished_table(group_of([made()]), tmp_path) is None


def test_a_record_of_another_type_does_not_end_the_report(
    sweep: Path, changed: Callable[..., None], tmp_path: Path
) -> None:
    """The result of somebody else may hold anything; the other runs are still compared."""
    measure = {"name": "test/acc", "label": "accuracy", "scale": "x"}
    kind = {"name": "mine", "target": "mine.Task", "throughput": "samples", "dataset_keys": [], "measures": [measure]}
    other = sweep / "jobs" / "gru_1"
    change_config(other, lambda config: config["task"].update(_target_="mine.Task"))
    changed(other / "result.json", lambda result: result.update(task_kind=kind))
    changed(other / "environment.json", lambda environment: environment.update(git={"commit": 3}))
    assert report([str(sweep), "--output", str(tmp_path)]) == 0
    with (tmp_path / "results.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["task_name"]: row for row in csv.DictReader(file)}
    assert {name: row["status"] for name, row in rows.items()} == {"classification": "done", "task": "unreadable"}
    assert rows["task"]["reason"].endswith("result.json: task_kind does not describe a task")


def broken(*_arguments: object) -> None:
    raise RuntimeError("no such font")


@pytest.mark.parametrize("name", ["tradeoffs", "encode_figure", "images_figure", "find_disagreements"])
def test_a_figure_that_fails_is_omitted_and_named(
    sweep: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    if name == "tradeoffs":
        rows = [(row, broken if row == name else plot, caption) for row, plot, caption in section.FIGURES]
        monkeypatch.setattr(section, "FIGURES", rows)
    else:
        monkeypatch.setattr(section, name, broken)
    with caplog.at_level(logging.WARNING):
        assert report([str(sweep), "--output", str(tmp_path)]) == 0
    assert "no such font" in caplog.text
    markdown = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "left out, because of RuntimeError: no such font" in markdown
    drawn = set(re.findall(r"figures/(\w+)\.png", markdown))
    everything = {"answer", "learning_curves", "tradeoffs", "main_effects", "disagreements_1"}
    missing = {"tradeoffs": {"tradeoffs"}, "encode_figure": everything}
    assert drawn == everything - missing.get(name, {"disagreements_1"})


def test_the_tests_over_samples_of_these_tasks_alone_are_explained(digits: Path, sweep: Path, tmp_path: Path) -> None:
    assert report([str(digits), "--output", str(tmp_path)]) == 0
    explained = (tmp_path / "report.md").read_text(encoding="utf-8").partition("## Method")[2]
    assert "McNemar" in explained
    assert "BLEU" not in explained
    for job in (sweep / "jobs").glob("srn_*"):
        shutil.rmtree(job)
    assert report([str(sweep / "jobs"), "--output", str(tmp_path)]) == 0
    explained = (tmp_path / "report.md").read_text(encoding="utf-8").partition("## Method")[2]
    assert explained
    assert "McNemar" not in explained
