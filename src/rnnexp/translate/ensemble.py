"""Finished runs that translate together, put together again from their directories."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, ListConfig

from rnnexp.core.errors import UserError
from rnnexp.decoding import Limits
from rnnexp.runs.build import apply_process_settings, config_errors, make_task_of
from rnnexp.runs.checkpoints import choose_weights, load_weights, read_checkpoint
from rnnexp.tasks.translation.task import TranslationTask
from rnnexp.tasks.translation.translator import Translator
from rnnexp.text.tokenizer_pair import TokenizerPair
from rnnexp.tracking.run_directory import RunDirectory


@dataclass(frozen=True)
class Member:
    """A finished run, with what it needs to translate."""

    run: RunDirectory
    config: dict[str, Any]
    task: TranslationTask


@dataclass(frozen=True)
class Team:
    """Finished runs of one vocabulary that translate together; mostly it is one alone."""

    members: list[Member]
    translator: Translator

    @property
    def longest(self) -> int | None:
        """Tokens of the longest sentences that all of them were trained on; None if their configs do not say."""
        known = [member.config["data"].get("max_length") for member in self.members]
        return min((length for length in known if length is not None), default=None)

    @property
    def languages(self) -> str:
        """As the first run's config calls them."""
        data = self.members[0].config["data"]
        return f"{data.get('source', 'source')} to {data.get('target', 'target')}"


def load_team(config: DictConfig) -> Team:
    """The runs that `run` names, one or a list, with the weights loaded, in float32, on one device.

    Args:
        config: of the program. What is null there is as in the first run.

    Raises:
        UserError: for what is no run of translation, weights that are missing or damaged, vocabularies that differ,
            and a device that is not there.
    """
    device = choose_device(config.accelerator)
    given = list(config.run) if isinstance(config.run, ListConfig) else [config.run]
    if not given:
        raise UserError("run names no run: give it one, run=...")
    members = [load_member(Path(str(path)).expanduser(), config.weights) for path in given]
    first = members[0]
    for other in members[1:]:
        for side in ("source", "target"):
            if getattr(first.task.tokenizers, side).digest != getattr(other.task.tokenizers, side).digest:
                raise UserError(
                    f"run: {first.run.path} and {other.run.path} cannot vote, as their {side} vocabularies differ: "
                    "name runs that were trained on the same text with the same data.unit, data.vocab_size, "
                    "data.min_frequency and data.joint"
                )
    for member in members:
        if config.attention and not member.task.model.decoder.attention.has_weights:
            raise UserError(
                f"attention: {member.run.path} has none to show: it was trained with task.network.attention=none"
            )
    apply_process_settings(first.config["num_threads"], first.config["tf32"])
    task = first.task
    translator = Translator(
        [member.task.model.to(device).eval() for member in members],
        task.tokenizers,
        max(task.beam_size, config.n_best) if config.beam_size is None else config.beam_size,
        config.n_best,
        task.length_penalty if config.length_penalty is None else config.length_penalty,
        task.limits if config.max_length is None else Limits(max_ratio=0, max_extra=config.max_length),
    )
    return Team(members, translator)


def choose_device(accelerator: str) -> torch.device:
    """Where to translate. Raises UserError for `gpu` where there is none."""
    found = torch.accelerator.current_accelerator(check_available=True)
    if accelerator == "gpu" and found is None:
        raise UserError("accelerator=gpu, but PyTorch sees no GPU here: use accelerator=cpu or accelerator=auto")
    return torch.device("cpu") if accelerator == "cpu" or found is None else found


def load_member(path: Path, weights: str | None) -> Member:
    """A run from its directory alone.

    Args:
        path: of the run.
        weights: see `choose_weights`.

    Raises:
        UserError: see `load_team`.
    """
    run = RunDirectory.of_finished_run(path)
    finished = run.read_config()
    with config_errors("weights"):
        checkpoint_file = choose_weights(run, weights, str(finished["test_weights"]))
    checkpoint = read_checkpoint(checkpoint_file)
    if "tokenizers" not in checkpoint:
        raise UserError(
            f"{path} does not translate: its task is {finished['task']['_target_'].rpartition('.')[2]}; "
            "name a run of task=translation"
        )
    try:
        tokenizers = TokenizerPair.from_plain(checkpoint["tokenizers"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"checkpoint {checkpoint_file} holds no sound vocabulary ({error}): use another") from None
    task = make_task_of(finished, {"tokenizers": tokenizers})
    assert isinstance(task, TranslationTask), "no other task saves tokenizers"
    load_weights(task, checkpoint, f"{checkpoint_file} does not fit {run.config_file}")
    if not all(tensor.isfinite().all() for tensor in checkpoint["state_dict"].values()):
        raise UserError(f"{checkpoint_file} holds weights that are NaN or infinite: that run diverged; use another")
    return Member(run, finished, task)
