"""The signal handler, which may interrupt any code."""

import logging
import os
import signal
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer

from rnnexp.callbacks.interruption import RandomState, SaveOnSignal


class InterruptedStream(StringIO):
    """A stream that receives a signal while it is written to."""

    is_armed = False
    writes_within_a_write = 0
    _writing = False

    def write(self, text: str) -> int:
        self.writes_within_a_write += self._writing
        self._writing = True
        if self.is_armed:
            self.is_armed = False
            os.kill(os.getpid(), signal.SIGTERM)
        self._writing = False
        return super().write(text)


@pytest.fixture
def stream() -> Iterator[InterruptedStream]:
    root, written = logging.getLogger(), InterruptedStream()
    handler = logging.StreamHandler(written)
    root.addHandler(handler)
    yield written
    root.removeHandler(handler)


def test_a_signal_during_a_log_message_is_logged_after_it(stream: InterruptedStream) -> None:
    callback = SaveOnSignal("last.ckpt")
    trainer, module = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False), LightningModule()
    before = signal.getsignal(signal.SIGTERM)
    callback.on_train_start(trainer, module)
    try:
        stream.is_armed = True
        logging.getLogger("rnnexp").warning("interrupted")
        assert stream.writes_within_a_write == 0
        assert "SIGTERM received" not in stream.getvalue()
        outputs: Any = {}
        callback.on_validation_batch_end(trainer, module, outputs, None, 0)
        callback.on_validation_batch_end(trainer, module, outputs, None, 1)
        assert stream.getvalue().count("SIGTERM received: saving at the next batch boundary") == 1
    finally:
        callback.on_train_end(trainer, module)
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize("name", ["cpu", "cuda:1"])
def test_the_random_state_is_that_of_the_device_that_trains(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A run on the CPU neither needs nor starts a GPU that the machine has, and a run on a GPU no other one."""
    device, states = torch.device(name), {torch.device("cuda:1"): torch.tensor([3], dtype=torch.uint8)}
    monkeypatch.setattr(torch.cuda, "get_rng_state", states.__getitem__)
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, device: states.update({device: state}))
    trainer, module = Trainer(accelerator="cpu", logger=False, barebones=True), LightningModule()
    monkeypatch.setattr(type(trainer.strategy), "root_device", device)
    saved, continued = RandomState(), RandomState()
    for callback in (saved, continued):
        callback.setup(trainer, module, "fit")
    state = saved.state_dict()
    assert (state["ranks"][0]["cuda"] is None) is (name == "cpu")
    states[torch.device("cuda:1")], drawn = torch.tensor([4], dtype=torch.uint8), torch.rand(3)
    continued.load_state_dict(state)
    continued.on_train_start(trainer, module)
    assert torch.equal(torch.rand(3), drawn)
    assert states == {torch.device("cuda:1"): 4 if name == "cpu" else 3}
