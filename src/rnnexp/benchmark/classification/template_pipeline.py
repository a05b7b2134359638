"""The pipeline of ashleve/lightning-hydra-template 2.0 for MNIST, which projects with Lightning and Hydra start from.

It is torchvision's dataset with `ToTensor` and `Normalize`, a `DataLoader`, a LightningModule whose training step
updates the mean loss and the accuracy of torchmetrics, and a `Trainer`. Its progress bar, which writes to the terminal,
and what it does once an epoch (validation, checkpoint, early stopping) are left out.
"""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Subset
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassAccuracy
from torchvision import transforms  # type: ignore[import-untyped]
from torchvision.datasets import MNIST  # type: ignore[import-untyped]

from rnnexp.benchmark.measurement import StepClock, TimedSteps
from rnnexp.benchmark.plain_loop import Recipe
from rnnexp.core.errors import UserError
from rnnexp.data.files.find_or_fetch import find_files
from rnnexp.data.images.files import FILES, TRAIN_IMAGES, TRAIN_LABELS, candidate_directories, spellings

Batch = tuple[Tensor, Tensor]
"""Images [batch, 1, time, features] and labels [batch]."""


@dataclass(frozen=True)
class ImageFiles:
    """The files of a dataset of images that the data module has read.

    Args:
        root: the directory of datasets.
        name: the dataset.
        num_images: the number of images to train on.
    """

    root: Path
    name: str
    num_images: int

    def training_images(self) -> "Subset[Batch]":
        """Return the training images with torchvision's transforms, applied to each image when it is read.

        Raises:
            UserError: if the files are compressed, or have other names than those of MNIST.
        """
        files = find_files(candidate_directories(self.root, self.name), FILES, spellings(self.name))
        assert files is not None, "the data module has read them"
        for file in (TRAIN_IMAGES, TRAIN_LABELS):
            if files[file].name != file:
                raise UserError(
                    f"{files[file]}: torchvision reads only an unpacked file named {file}: unpack and rename"
                )
        images = Images(files[TRAIN_IMAGES].parent)
        return Subset(images, range(self.num_images))


class Images(MNIST):  # type: ignore[misc]
    """The MNIST dataset of torchvision, from a directory with any name."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))])
        super().__init__(str(directory), train=True, transform=transform)

    @property
    def raw_folder(self) -> str:
        return str(self.directory)


class TemplateTask(pl.LightningModule):
    """A model, its loss, its metrics and its optimizer.

    Args:
        model: images [batch, time, features] -> logits [batch, classes].
        num_classes: the number of classes.
        recipe: the optimization.
    """

    def __init__(self, model: nn.Module, num_classes: int, recipe: Recipe) -> None:
        super().__init__()
        self.model, self.recipe = model, recipe
        self.mean_loss = MeanMetric()
        self.accuracy = MulticlassAccuracy(num_classes, average="micro")

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:  # noqa: ARG002
        """Return the mean cross-entropy of a batch."""
        images, labels = batch
        logits = self.model(images.squeeze(1))
        loss = cross_entropy(logits, labels)
        self.mean_loss(loss)
        self.accuracy(logits.argmax(dim=1), labels)
        self.log("train/loss", self.mean_loss, on_step=False, on_epoch=True, prog_bar=True)
        self.log("train/acc", self.accuracy, on_step=False, on_epoch=True, prog_bar=True)
        return loss

    def configure_optimizers(self) -> Any:  # noqa: ANN401 (as in Task)
        optimizer = self.recipe.make_optimizer(self.parameters())
        scheduler = self.recipe.make_scheduler(optimizer, total_steps=self.recipe.steps.scheduled)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


class TemplatePipeline:
    """A callable that trains a copy of a model, without checkpoints and a progress bar, which would slow it down.

    Args:
        files: the images.
        model, num_classes: see `TemplateTask`.
        recipe: the optimization of the copy.
        batch_size: images per batch.
        num_workers: processes of the DataLoader.
        accelerator, log_every_n_steps: arguments of the Trainer.
        directory: the directory of the logged loss.
    """

    def __init__(
        self,
        files: ImageFiles,
        model: nn.Module,
        num_classes: int,
        recipe: Recipe,
        *,
        batch_size: int,
        num_workers: int,
        accelerator: str,
        log_every_n_steps: int,
        directory: Path,
    ) -> None:
        self.files, self.model, self.num_classes, self.recipe = files, model, num_classes, recipe
        self.batch_size, self.num_workers = batch_size, num_workers
        self.accelerator, self.log_every_n_steps, self.directory = accelerator, log_every_n_steps, directory

    def __call__(self) -> TimedSteps:
        """Train, and return the time of the timed steps."""
        loader: DataLoader[Batch] = DataLoader(
            self.files.training_images(),
            batch_size=self.batch_size,
            shuffle=True,
            num_workers=self.num_workers,
            pin_memory=torch.cuda.is_available(),
        )
        clock = StepClock(self.recipe.steps)
        trainer = pl.Trainer(
            accelerator=self.accelerator,
            devices=1,
            max_steps=self.recipe.steps.scheduled,
            gradient_clip_val=self.recipe.gradient_clip_val,
            log_every_n_steps=self.log_every_n_steps,
            logger=CSVLogger(self.directory),
            callbacks=[clock],
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(TemplateTask(copy.deepcopy(self.model), self.num_classes, self.recipe), loader)
        return clock.timed_steps
