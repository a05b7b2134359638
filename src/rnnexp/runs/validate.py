"""Values of a config that no constructor checks, checked before anything is made of them."""

from omegaconf import DictConfig, ListConfig

from rnnexp.core.errors import UserError
from rnnexp.core.validation import require_positive, validate_choice

TEST_WEIGHTS = ("best", "last", "average", "none")


def require_sound_settings(config: DictConfig) -> None:
    """Raises UserError for a value that would fail later with a message of somebody else's, or work by accident."""
    if not isinstance(config.seed, int) or isinstance(config.seed, bool):
        raise UserError(f"seed must be a whole number, not {config.seed!r}")
    if not 0 <= config.seed < 2**63:
        raise UserError(f"seed must be at least 0 and below 2 to the 63rd, not {config.seed}")
    for key in ("max_epochs", "max_steps"):
        if not isinstance(config.trainer[key], int | None):
            raise UserError(f"trainer.{key} must be a whole number, not {config.trainer[key]!r}")
    rate = config.optimizer.lr
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not rate >= 0:
        raise UserError(f"optimizer.lr must be a number of at least 0, not {rate!r}")
    if not isinstance(config.ckpt_path, str | None):
        raise UserError(f"ckpt_path must be the path of a checkpoint, not {config.ckpt_path!r}")
    if not isinstance(config.model.bidirectional, bool):
        raise UserError(f"model.bidirectional must be true or false, not {config.model.bidirectional!r}")
    if not isinstance(config.tf32, bool):
        raise UserError(f"tf32 must be true or false, not {config.tf32!r}")
    if not isinstance(config.tags, ListConfig):
        raise UserError(f"tags must be a list, not {config.tags!r}: write tags=[{config.tags}]")
    if config.test_weights == "average" and config.callbacks.get("kept_checkpoints") is None:
        raise UserError(
            "test_weights=average has no epochs to average: set callbacks.kept_checkpoints, as callbacks=averaging "
            "does for translation, or choose test_weights=best"
        )
    try:
        validate_choice("weights to test", str(config.test_weights), TEST_WEIGHTS)
        if config.num_threads is not None:
            require_positive(num_threads=config.num_threads)
        for key in ("accumulate_grad_batches", "log_every_n_steps"):
            require_positive(**{f"trainer.{key}": config.trainer[key]})
    except ValueError as error:
        raise UserError(str(error)) from None
