"""MNIST as tutorials train it: a transform for each image, a DataLoader, a plain LightningModule, a Trainer."""

import copy
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from hydra.utils import instantiate
from lightning.pytorch.loggers import CSVLogger
from omegaconf import DictConfig
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Subset
from torchvision import transforms  # type: ignore[import-untyped]
from torchvision.datasets import MNIST  # type: ignore[import-untyped]

from rnnexp.benchmark.measurement import Block, StepClock
from rnnexp.core.errors import UserError
from rnnexp.data.files.find_or_fetch import find_files
from rnnexp.data.images.files import FILES, TRAIN_IMAGES, candidate_directories


class Images(MNIST):  # type: ignore[misc]
    """torchvision's dataset, of whichever files the data module reads."""

    def __init__(self, config: DictConfig, transform: transforms.Compose) -> None:
        files = find_files(candidate_directories(Path(config.data.root).expanduser(), config.data.name), FILES)
        assert files is not None, "the data module has read them"
        if files[TRAIN_IMAGES].suffix == ".gz":
            raise UserError(f"{files[TRAIN_IMAGES]}: torchvision reads unpacked files only: gunzip it and the others")
        self.directory = files[TRAIN_IMAGES].parent
        super().__init__(str(config.data.root), train=True, transform=transform)

    @property
    def raw_folder(self) -> str:
        return str(self.directory)


class PlainTask(pl.LightningModule):
    """A model, its loss and its optimiser, and nothing else."""

    def __init__(self, model: nn.Module, config: DictConfig) -> None:
        super().__init__()
        self.model, self.config = model, config

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:  # noqa: ARG002
        """Images [batch, 1, time, features] and labels [batch] -> loss, scalar"""
        images, labels = batch
        loss = cross_entropy(self.model(images.squeeze(1)), labels)
        self.log("train/loss", loss)
        return loss

    def configure_optimizers(self) -> Any:  # noqa: ANN401 (as in Task)
        optimizer = instantiate(self.config.optimizer)(self.parameters())
        scheduler = instantiate(self.config.scheduler)(optimizer, total_steps=self.config.trainer.max_steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def run_usual(config: DictConfig, model: nn.Module, workers: int, directory: Path) -> Block:
    """Trains a copy of the model; neither checkpoints nor a bar, which would only slow it down.

    Args:
        model: images [batch, time, features] -> logits.
        workers: processes of the DataLoader.
        directory: where the loss is logged.
    """
    to_tensor = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))])
    images = Images(config, to_tensor)
    loader: DataLoader[tuple[Tensor, Tensor]] = DataLoader(
        Subset(images, range(len(images) - config.data.val_size)),
        batch_size=config.data.batch_size,
        shuffle=True,
        num_workers=workers,
        pin_memory=torch.cuda.is_available(),
    )
    clock = StepClock(config.warmup_steps, config.steps)
    trainer = pl.Trainer(
        accelerator=config.trainer.accelerator,
        devices=1,
        max_steps=config.trainer.max_steps,
        gradient_clip_val=config.trainer.gradient_clip_val,
        log_every_n_steps=config.trainer.log_every_n_steps,
        logger=CSVLogger(directory / "usual"),
        callbacks=[clock],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(PlainTask(copy.deepcopy(model), config), loader)
    return clock.block
