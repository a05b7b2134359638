"""The learning curves of a run: what a panel shows and how it is labeled."""

from pathlib import Path

from rnnexp.plots.training import learning_curves


def test_each_metric_has_a_panel_with_its_label_and_scale(tmp_path: Path) -> None:
    metrics = tmp_path / "metrics.csv"
    metrics.write_text(
        "epoch,step,train/loss,val/loss,val/f1\n0,10,-1.0,,\n0,10,,-0.5,0.3\n1,20,-2.0,,\n1,20,,-1.5,0.4\n",
        encoding="utf-8",
    )
    figure = learning_curves(metrics, {"val/loss": "log density", "val/f1": "F1"}, [], "a run")
    loss, f1 = figure.axes
    assert (loss.get_ylabel(), loss.get_yscale()) == ("log density", "linear")
    assert [list(line.get_ydata()) for line in loss.lines] == [[-1.0, -2.0], [-0.5, -1.5]]
    assert (f1.get_ylabel(), [list(line.get_ydata()) for line in f1.lines]) == ("F1", [[0.3, 0.4]])
    for last, scale in (("0.4", "linear"), ("4.0", "log")):
        metrics.write_text(f"epoch,step,val/f1\n0,10,0.3\n1,11,{last}\n", encoding="utf-8")
        (axes,) = learning_curves(metrics, {"val/f1": "F1"}, ["val/f1"], "a run").axes
        assert axes.get_yscale() == scale, "a logarithmic scale needs a decade"
        assert [tick for tick in axes.get_xticks() if tick != int(tick)] == []
