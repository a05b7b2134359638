"""The options of a translation session, checked before anything is read."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from omegaconf import DictConfig, ListConfig

from rnnexp.core.errors import UserError
from rnnexp.core.validation import expand_home, require_positive, validate_choice
from rnnexp.decoding import require_search
from rnnexp.runs.build import config_errors
from rnnexp.runs.create import resolved
from rnnexp.runs.frozen.config import trusted_modules
from rnnexp.translate.io import require_writable

ACCELERATORS = ("auto", "cpu", "gpu")


@dataclass(frozen=True)
class Options:
    """The keys of conf/translate.yaml as values.

    Args:
        runs: directories of finished runs; several translate as one ensemble.
        weights: `best`, `last` or `average`; None for the weights that each run tested.
        input: the file to translate; None for standard input.
        output: the file to write; None for standard output.
        beam_size: hypotheses per sentence; None for the value of the first run, or `n_best` if that is larger.
        n_best: translations per sentence.
        scores: whether rows with scores are written, also for a single translation per sentence.
        length_penalty: exponent of the length that divides a score; None for the value of the first run.
        max_length: tokens of the longest translation; None for the limits of the first run.
        batch_size: sentences per batch.
        attention: whether the attention map of each sentence is printed and saved.
        accelerator: one of `ACCELERATORS`.
        trust: modules whose code the configs of the runs may name, see `rnnexp.runs.frozen.config`.

    Raises:
        UserError: for an invalid value, and for an output that cannot be written.
    """

    runs: Sequence[Path]
    weights: str | None
    input: Path | None
    output: Path | None
    beam_size: int | None
    n_best: int
    scores: bool
    length_penalty: float | None
    max_length: int | None
    batch_size: int
    attention: bool
    accelerator: str
    trust: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not self.runs:
            raise UserError("run names no run: give it one, run=...")
        with config_errors("search"):
            require_positive(n_best=self.n_best, batch_size=self.batch_size)
            # None is the value of the run, which was checked when the run started. n_best is checked against that beam
            # size when it is known.
            beam_size = self.n_best if self.beam_size is None else self.beam_size
            require_search(beam_size, self.n_best, 0 if self.length_penalty is None else self.length_penalty)
            if self.max_length is not None:
                require_positive(max_length=self.max_length)
            for key in ("scores", "attention"):
                if getattr(self, key) not in (True, False):
                    raise ValueError(f"{key} must be true or false, not {getattr(self, key)!r}")
            validate_choice("accelerator", self.accelerator, ACCELERATORS)
        if self.output is not None:
            require_writable(self.output, self.input)


def make_options(config: DictConfig) -> Options:
    """Return the options in a config.

    Raises:
        UserError: see `Options`.
    """
    runs = config.run if isinstance(config.run, ListConfig) else [config.run]
    values = {key: config[key] for key in (field.name for field in fields(Options)) if key in config}
    values |= {key: None if config[key] is None else _path(config[key]) for key in ("input", "output")}
    values["trust"] = trusted_modules(resolved(config)["trust"])
    return Options(runs=[_path(run) for run in runs], **values)


def _path(value: object) -> Path:
    # YAML reads a name of digits as a number.
    return expand_home(str(value))
