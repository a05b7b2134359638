"""The gradient-flow probe: its file, metrics and figure, and that training is the same with and without it."""

import csv
import sys
from collections import defaultdict
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
import pytest
import torch

from rnnexp.tracking.gradient_flow_file import read_gradient_norms
from support.programs import Outcome, Run

MODULES = ("rnnexp.callbacks.gradient_flow", "rnnexp.recurrent.gradient_flow")
UNDRAWN = ["test_weights=none", "callbacks.predictions=null"]
# Random numbers are used between the layers, before the head and for the order of training images.
DROPOUT = ["model=lstm", "model.num_layers=2", "model.bidirectional=true", "model.dropout=0.3", "task.dropout=0.2"]
SEQ_LEN = 28


def read(outcome: Outcome) -> dict[str, dict[tuple[int, int, str], float]]:
    """Return {quantity: {(epoch, layer, index): value}}; every entry must be unique."""
    table: dict[str, dict[tuple[int, int, str], float]] = defaultdict(dict)
    with (outcome.directory / "gradient_flow.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            assert list(row) == ["epoch", "layer", "quantity", "index", "value"]
            key = (int(row["epoch"]), int(row["layer"]), row["index"])
            assert key not in table[row["quantity"]]
            table[row["quantity"]][key] = float(row["value"])
    return table


def checkpoint(outcome: Outcome) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(outcome.directory / "checkpoints/last.ckpt", weights_only=True)
    return state


def test_training_is_the_same_with_and_without_the_probe(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights, optimizer and random numbers are equal bit for bit, and modules of an unused probe are not imported."""
    for module in MODULES:
        package, _, name = module.rpartition(".")
        # Hydra finds a module as an attribute of its package without importing it.
        monkeypatch.delattr(import_module(package), name, raising=False)
        monkeypatch.delitem(sys.modules, module, raising=False)
    options = [*UNDRAWN, *DROPOUT, "trainer.max_epochs=2"]
    without = run(*options)
    assert not set(MODULES) & set(sys.modules)
    probed = run(*options, "callbacks=gradient_flow")
    assert set(MODULES) <= set(sys.modules)
    assert probed.exit_code == without.exit_code == 0, probed.stderr
    here, there = checkpoint(probed), checkpoint(without)
    assert here["state_dict"].keys() == there["state_dict"].keys()
    for name, weight in there["state_dict"].items():
        assert torch.equal(here["state_dict"][name], weight), name
    for index, state in there["optimizer_states"][0]["state"].items():
        for name, value in state.items():
            assert torch.equal(here["optimizer_states"][0]["state"][index][name], value), name
    assert torch.equal(*(each["callbacks"]["RandomState"]["ranks"][0]["cpu"] for each in (here, there)))
    assert probed.column("train/grad_norm") == without.column("train/grad_norm")
    assert probed.column("val/loss") == without.column("val/loss")
    assert not (without.directory / "gradient_flow.csv").exists()
    assert not [name for name in without.result["metrics"] if name.startswith("gradient_flow/")]
    assert probed.result["config_hash"] == without.result["config_hash"]


def test_the_file_the_metrics_and_the_figure(run: Run) -> None:
    options = ["callbacks=gradient_flow", "callbacks.predictions=null", "trainer.max_epochs=3"]
    outcome = run(*options, "model=gru", "model.num_layers=2", figures=True)
    assert outcome.exit_code == 0, outcome.stderr
    table = read(outcome)
    places = {(epoch, layer) for epoch in (1, 2, 3) for layer in (0, 1)}
    assert set(table) == {"gradient_norm", "saturation", "spectral_radius"}
    assert set(table["gradient_norm"]) == {(*place, str(t)) for place in places for t in range(1, SEQ_LEN + 1)}
    assert set(table["saturation"]) == {(*place, gate) for place in places for gate in ("r", "z")}
    assert set(table["spectral_radius"]) == {(*place, block) for place in places for block in ("r", "z", "h~")}
    assert all(value > 0 for value in table["gradient_norm"].values())
    assert all(0 <= value <= 1 for value in table["saturation"].values())

    state = checkpoint(outcome)["state_dict"]
    for layer in (0, 1):
        for name, block in zip(("r", "z", "h~"), state[f"model.stack.weight_hh_l{layer}"].chunk(3), strict=True):
            radius = np.abs(np.linalg.eigvals(block.numpy())).max()
            assert table["spectral_radius"][3, layer, name] == pytest.approx(radius, rel=1e-4)

    epochs, norms = read_gradient_norms(outcome.directory / "gradient_flow.csv")
    assert (epochs, norms.shape) == ([1, 2, 3], (2, 3, SEQ_LEN))
    assert norms[1, 2, 4] == table["gradient_norm"][3, 1, "5"]
    # All sequences have one length, so that the ratio of means is that of the file.
    assert outcome.column("gradient_flow/gradient_ratio") == pytest.approx(norms[0, :, 0] / norms[0, :, -1], rel=1e-5)
    for epoch, (share, radius) in enumerate(
        zip(outcome.column("gradient_flow/saturation"), outcome.column("gradient_flow/spectral_radius"), strict=True),
        start=1,
    ):
        shares, radii = (
            [value for (when, _layer, _index), value in table[quantity].items() if when == epoch]
            for quantity in ("saturation", "spectral_radius")
        )
        assert share == pytest.approx(sum(shares) / len(shares), rel=1e-5)
        assert radius == pytest.approx(max(radii), rel=1e-5)
    assert {f"gradient_flow/{name}" for name in ("gradient_ratio", "saturation", "spectral_radius")} <= set(
        outcome.result["metrics"]
    )
    assert (outcome.directory / "figures/gradient_flow.png").read_bytes().startswith(b"\x89PNG")


def test_both_directions_of_an_lstm(run: Run) -> None:
    outcome = run(*UNDRAWN, "callbacks=gradient_flow", *DROPOUT, "callbacks.gradient_flow.num_sequences=1000")
    assert outcome.exit_code == 0, outcome.stderr
    table = read(outcome)
    assert {index for _, _, index in table["saturation"]} == {"i", "f", "o", "i_reverse", "f_reverse", "o_reverse"}
    assert {index for _, _, index in table["spectral_radius"]} >= {"C~", "C~_reverse"}
    assert len(table["gradient_norm"]) == 2 * SEQ_LEN


def test_the_gradient_is_that_of_the_validation_loss(run: Run) -> None:
    """The gradient of the last step passes only the head; here it is computed from the checkpoint and the images."""
    outcome = run(*UNDRAWN, "callbacks=gradient_flow", "callbacks.gradient_flow.num_sequences=1000", "model=srn")
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    config = OmegaConf.load(outcome.directory / "config.yaml")
    data = instantiate(config.data)
    data.prepare_data()
    data.setup("fit")
    batches, state = list(data.val_dataloader()), checkpoint(outcome)["state_dict"]
    inputs, labels = torch.cat([batch.inputs for batch in batches]), torch.cat([batch.labels for batch in batches])
    network = torch.nn.RNN(data.input_size, 8, batch_first=True)
    network.load_state_dict({name: state[f"model.stack.{name}"] for name, _ in network.named_parameters()})
    h = network(inputs)[1][0].detach().requires_grad_()
    logits = h @ state["model.head.weight"].T + state["model.head.bias"]
    torch.nn.functional.cross_entropy(logits, labels).backward()
    assert h.grad is not None
    assert len(labels) == 100
    found = read(outcome)["gradient_norm"][1, 0, str(SEQ_LEN)]
    assert found == pytest.approx(float(h.grad.norm(dim=1).mean()), rel=1e-4)


@pytest.mark.parametrize("precision", ["bf16-true", "64-true"])
def test_measurements_are_in_single_precision(run: Run, precision: str) -> None:
    outcome = run(*UNDRAWN, "callbacks=gradient_flow", "model=srn", f"trainer.precision={precision}")
    assert outcome.exit_code == 0, outcome.stderr
    norms = list(read(outcome)["gradient_norm"].values())
    assert all(np.isfinite(norms))
    assert norms != torch.tensor(norms).bfloat16().tolist()


def test_a_resumed_run_appends_rows(run: Run) -> None:
    options = [*UNDRAWN, "callbacks=gradient_flow", "scheduler=constant"]
    first = run(*options, "trainer.max_epochs=1")
    resumed = run(*options, "trainer.max_epochs=2", f"ckpt_path={first.directory}/checkpoints/last.ckpt")
    whole = run(*options, "trainer.max_epochs=2")
    assert resumed.exit_code == 0, resumed.stderr
    files = [
        (outcome.directory / "gradient_flow.csv").read_text(encoding="utf-8") for outcome in (first, resumed, whole)
    ]
    assert files[1] == files[2]
    assert files[1].startswith(files[0])


def test_the_last_of_several_validations_in_an_epoch_is_kept(run: Run) -> None:
    options = [*UNDRAWN, "callbacks=gradient_flow", "trainer.max_epochs=2", "trainer.val_check_interval=5"]
    outcome = run(*options)
    assert outcome.exit_code == 0, outcome.stderr
    assert {epoch for epoch, _, _ in read(outcome)["gradient_norm"]} == {1, 2}
    assert len(outcome.column("gradient_flow/gradient_ratio")) == 4


def test_divergence_still_ends_a_run(run: Run) -> None:
    """The weights are NaN when the probe runs, at the end of the epoch and before the divergence check."""
    options = ["callbacks=gradient_flow", "optimizer.lr=1e30", "scheduler=constant"]
    outcome = run(*UNDRAWN, *options, "callbacks.divergence.every_n_steps=1000")
    assert outcome.status == "diverged", outcome.stderr
    assert np.isnan(list(read(outcome)["spectral_radius"].values())).any()


def test_without_validation_nothing_is_written(run: Run) -> None:
    outcome = run("callbacks=gradient_flow", "callbacks.predictions=null", "data.val_size=0", figures=True)
    assert outcome.exit_code == 0, outcome.stderr
    assert not (outcome.directory / "gradient_flow.csv").exists()
    assert not (outcome.directory / "figures/gradient_flow.png").exists()


def test_a_number_of_sequences_below_one_is_refused(run: Run) -> None:
    outcome = run("callbacks=gradient_flow", "callbacks.gradient_flow.num_sequences=0")
    assert outcome.exit_code == 2
    assert "num_sequences must be a whole number of at least 1" in outcome.line


@pytest.mark.parametrize("attention", ["additive", "none"])
def test_the_encoder_of_a_translation(run: Run, translate_tiny: Callable[[str], list[str]], attention: str) -> None:
    small = ["task=translation", *translate_tiny("Phrasebook"), "trainer.max_epochs=2"]
    options = ["callbacks=[gradient_flow,translation]", "model.bidirectional=true", "model.num_layers=2"]
    options += [f"task.network.attention={attention}", "model.dropout=0.1"]
    outcome = run(*options, data=small, figures=attention == "none")
    assert outcome.exit_code == 0, outcome.stderr
    table = read(outcome)
    epochs, norms = read_gradient_norms(outcome.directory / "gradient_flow.csv")
    # The longest validation sentence is one of those that are measured.
    assert norms.shape[:2] == (2, 2)
    assert norms.shape[2] > 3
    assert np.isfinite(norms).all()
    assert (norms > 0).all()
    assert epochs == [1, 2]
    assert {index for _, _, index in table["saturation"]} == {"r", "z", "r_reverse", "z_reverse"}
    assert len(outcome.column("gradient_flow/gradient_ratio")) == 2
    assert (outcome.directory / "samples.csv").exists()
    assert (outcome.directory / "figures/gradient_flow.png").exists() == (attention == "none")
    assert "val/bleu_best" in outcome.result["metrics"]
