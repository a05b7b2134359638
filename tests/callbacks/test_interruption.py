"""The signal handler, which may interrupt any code."""

import logging
import os
import signal
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from lightning.pytorch import LightningModule, Trainer

from rnnexp.callbacks.interruption import SaveOnSignal


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
