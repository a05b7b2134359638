"""Finished runs that translate together, rebuilt from their directories."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rnnexp.core.errors import UserError
from rnnexp.decoding import Limits
from rnnexp.runs.build import apply_process_settings, config_errors, make_task_of
from rnnexp.runs.checkpoints import (
    choose_weights,
    load_weights,
    read_checkpoint,
    read_tokenizers,
    require_own_checkpoint,
)
from rnnexp.runs.evaluation import choose_device
from rnnexp.runs.frozen.config import read_frozen_config
from rnnexp.runs.frozen.inputs import changed_inputs
from rnnexp.runs.settings import RunSettings
from rnnexp.tasks.translation.task import TranslationTask
from rnnexp.tasks.translation.translator import Translator
from rnnexp.tracking.run_directory import RunDirectory
from rnnexp.translate.options import Options


@dataclass(frozen=True)
class EnsembleMember:
    """A finished run with its weights.

    Args:
        run: the run directory.
        settings: the values of its config.
        task: the model, the tokenizers and the settings of the search.
    """

    run: RunDirectory
    settings: RunSettings
    task: TranslationTask

    @property
    def max_length(self) -> int | None:
        """The length of the longest training sentence in tokens; None if the config does not contain it."""
        length: int | None = self.settings.config["data"].get("max_length")
        return length


@dataclass(frozen=True)
class RunEnsemble:
    """One finished run, or several with one vocabulary that translate together.

    Args:
        members: the runs; the settings of the first one are the defaults.
        translator: searches with the models of all members.
    """

    members: Sequence[EnsembleMember]
    translator: Translator

    @property
    def max_length(self) -> int | None:
        """The length in tokens up to which every member saw training sentences; None if no config contains it."""
        return min((member.max_length for member in self.members if member.max_length is not None), default=None)

    @property
    def languages(self) -> str:
        """The languages in the config of the first run: `en to fr`."""
        data = self.members[0].settings.config["data"]
        source, target = (data.get(f"{side}_lang", side) for side in ("source", "target"))
        return f"{source} to {target}"


def load_ensemble(options: Options) -> RunEnsemble:
    """Return the runs that the options name, with weights in float32, on one device.

    Raises:
        UserError: for a directory that is not a run of translation, weights that are missing or damaged, vocabularies
            that differ, and a device that does not exist.
    """
    device = choose_device(options.accelerator)
    members = [load_member(path, options.weights, options.trust) for path in options.runs]
    require_one_vocabulary(members)
    for member in members:
        if options.output is not None:
            member.run.require_not_overwritten(options.output)
        if options.attention and not member.task.model.decoder.attention.has_weights:
            raise UserError(
                f"attention: {member.run.path} has none to show: it was trained with task.network.attention=none"
            )
    first = members[0].settings
    apply_process_settings(first.num_threads, first.tf32, first.retain_memory)
    task = members[0].task
    translator = Translator(
        [member.task.model.to(device).eval() for member in members],
        task.tokenizers,
        max(task.beam_size, options.n_best) if options.beam_size is None else options.beam_size,
        options.n_best,
        task.length_penalty if options.length_penalty is None else options.length_penalty,
        task.limits if options.max_length is None else Limits(max_ratio=0, max_extra=options.max_length),
    )
    return RunEnsemble(members, translator)


def require_one_vocabulary(members: Sequence[EnsembleMember]) -> None:
    """Raise UserError unless the members share both vocabularies."""
    first = members[0]
    for other in members[1:]:
        for side in ("source", "target"):
            if getattr(first.task.tokenizers, side).digest != getattr(other.task.tokenizers, side).digest:
                raise UserError(
                    f"run: {first.run.path} and {other.run.path} cannot translate together, as their {side} "
                    "vocabularies differ: name runs that were trained on the same text with the same data.unit, "
                    "data.vocab_size, data.min_frequency and data.joint"
                )


def load_member(path: Path, weights: str | None, trust: Sequence[str] = ()) -> EnsembleMember:
    """Return a finished run, rebuilt from its directory.

    Args:
        path: the run directory.
        weights: see `choose_weights`.
        trust: modules whose code may be called, see `rnnexp.runs.frozen.config`.

    Raises:
        UserError: see `load_ensemble`.
    """
    run = RunDirectory.of_finished_run(path)
    run.require_own_files(run.translations)
    if unfinished := run.describe_unfinished():
        print(f"rnnexp: {unfinished}", file=sys.stderr)
    config = read_frozen_config(run, trust, ("task", "model"))
    for key, file in changed_inputs(config):
        if key.startswith("module:"):
            print(f"rnnexp: warning: {file} has changed since {run.path} began", file=sys.stderr)
    settings = RunSettings.from_config(config, run)
    with config_errors("weights"):
        checkpoint_file = choose_weights(run, weights, settings.test_weights)
    checkpoint = read_checkpoint(checkpoint_file)
    if "tokenizers" not in checkpoint:
        raise UserError(
            f"{path} does not translate: its task is {config['task']['_target_'].rpartition('.')[2]}; "
            "name a run of task=translation"
        )
    tokenizers = read_tokenizers(checkpoint, checkpoint_file)
    require_own_checkpoint(run, checkpoint, checkpoint_file)
    # To translate needs no score, and the package of one may be missing here.
    without_score = {**config, "task": {**config["task"], "bleu_tokenizer": "auto"}}
    task = make_task_of(without_score, {"tokenizers": tokenizers}, trains=False)
    assert isinstance(task, TranslationTask), "no other task saves tokenizers"
    load_weights(task, checkpoint, checkpoint_file, str(run.config_file))
    return EnsembleMember(run, settings, task)
