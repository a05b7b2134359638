"""MLflow and Trackio with their own local stores; without the packages an option is one line."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from rnnexp.core.files.atomic import read_json
from rnnexp.loggers.base import StoreLogger, replay_rows
from support.programs import Run

ROW = "epoch,step,train/loss\n0,4,2.5\n0,9,1.5\n"


class LosingStore(StoreLogger):
    """A store that can be reached twice."""

    is_continued = False

    def __init__(self, run: Path) -> None:
        super().__init__(str(run), "own")
        self.sent: list[int | None] = []
        self.num_calls = 0

    def send_metrics(self, metrics: Mapping[str, float], step: int | None) -> None:  # noqa: ARG002
        self.num_calls += 1
        if self.num_calls > 2:
            raise ConnectionError("the server has gone\nfor good")
        self.sent.append(step)


def test_a_store_that_is_lost_does_not_end_the_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = LosingStore(tmp_path)
    with caplog.at_level(logging.WARNING):
        for step in range(5):
            store.log_metrics({"train/loss": 1.0}, step)
    assert (store.sent, store.num_calls) == ([0, 1], 3)
    (message,) = caplog.messages
    assert "ConnectionError: the server has gone" in message
    assert "\n" not in message


def test_a_server_that_does_not_answer_is_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    # No program listens on the port of discard.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    outcome = run("logger=mlflow")
    assert outcome.exit_code == 2
    assert "127.0.0.1 of MLFLOW_TRACKING_URI cannot be reached" in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_a_damaged_field_is_not_sent_to_a_store(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "metrics.csv"
    file.write_text("epoch,step,train/loss\n0,4,2.x5\n0,9,1.5\n", encoding="utf-8")
    sent: list[tuple[dict[str, float], int]] = []
    rows = replay_rows(file, 20, lambda metrics, step: sent.append((metrics, step)))
    assert sent == [({"epoch": 0.0}, 4), ({"epoch": 0.0, "train/loss": 1.5}, 9)]
    assert "train/loss = '2.x5' at step 4 of metrics.csv is no number" in caplog.text
    assert rows.have({"train/loss": 1.5}, 9)


def make_mlflow(run: Path) -> Any:
    from rnnexp.loggers.mlflow import MLFlowLogger

    return MLFlowLogger(str(run), str(run.parent / "store"), experiment="e", name="gru_s1", tags=["try"])


def mlflow_history(store: Path, key: str) -> list[tuple[int, float]]:
    from mlflow import MlflowClient

    found = MlflowClient(f"sqlite:///{store}/mlflow.db").get_metric_history(key, "train/loss")
    return sorted((each.step, each.value) for each in found)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_mlflow_keeps_one_run_of_a_run_that_continues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    run, store = tmp_path / "run", tmp_path / "store"
    run.mkdir()
    first = make_mlflow(run)
    first.continue_from(0)
    first.log_hyperparams({"model": {"cell": "gru"}})
    first.log_short_keys({"cell": "gru"})
    first.log_metrics({"train/loss": 2.5, "epoch": 0}, step=4)
    first.finish(143)
    key = read_json(run / "mlflow.json")["run"]
    client = MlflowClient(f"sqlite:///{store}/mlflow.db")
    assert client.get_run(key).info.status == "KILLED"
    assert client.get_run(key).data.params == {"model/cell": "gru", "cell": "gru"}
    # The process ended after it had logged step 4; the next one computes it once more.
    (run / "metrics.csv").write_text("epoch,step,train/loss\n0,4,2.5\n", encoding="utf-8")
    second = make_mlflow(run)
    second.log_hyperparams({"model": {"cell": "other"}})
    second.continue_from(3)
    second.log_metrics({"train/loss": 2.5, "epoch": 0}, step=4)
    second.log_metrics({"train/loss": 1.5, "epoch": 0}, step=9)
    (run / "a.png").write_bytes(b"png")
    second.log_figure("figures/a", run / "a.png")
    second.summarize({"model": {"num_parameters": 3}})
    second.finish(0)
    assert second.run_id == key
    assert client.get_run(key).info.status == "FINISHED"
    assert mlflow_history(store, key) == [(4, 2.5), (9, 1.5)]
    assert [file.path for file in client.list_artifacts(key, "figures")] == ["figures/a.png"]
    # A store that has lost the run gets the rows before the step of the checkpoint.
    (run / "metrics.csv").write_text(ROW, encoding="utf-8")
    client.delete_run(key)
    (run / "mlflow.json").write_text('{"run": "0123456789abcdef0123456789abcdef"}', encoding="utf-8")
    third = make_mlflow(run)
    third.continue_from(9)
    assert third.run_id != key
    assert mlflow_history(store, third.run_id) == [(4, 2.5)]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_trackio_keeps_one_run_of_a_run_that_continues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Trackio reads it when it is imported.
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    import trackio
    from trackio.sqlite_storage import SQLiteStorage

    from rnnexp.loggers.trackio import TrackioLogger

    run = tmp_path / "run"
    run.mkdir()
    project = f"test-{tmp_path.name}"
    first = TrackioLogger(str(run), project, group=None, name="gru_s1")
    first.log_hyperparams({"model": {"cell": "gru"}})
    first.log_short_keys({"cell": "gru"})
    first.continue_from(0)
    first.log_metrics({"train/loss": 2.5, "epoch": 0}, step=4)
    first.finish(143)
    (run / "metrics.csv").write_text("epoch,step,train/loss\n0,4,2.5\n", encoding="utf-8")
    second = TrackioLogger(str(run), project, group=None, name="gru_s1")
    second.log_short_keys({"cell": "gru"})
    second.continue_from(3)
    second.log_metrics({"train/loss": 2.5, "epoch": 0}, step=4)
    second.log_metrics({"train/loss": 1.5, "epoch": 0}, step=9)
    second.finish(0)
    assert (tmp_path / "trackio").is_dir()
    (found,) = trackio.Api().runs(project)
    assert found.name == first.version == second.version == read_json(run / "trackio.json")["run"]
    assert found.config["cell"] == "gru"
    rows = SQLiteStorage.get_logs(project, found.name)
    assert [(row["step"], row["train/loss"]) for row in rows] == [(4, 2.5), (9, 1.5)]
