"""Score a finished run from its directory alone: python -m rnnexp.evaluate run=outputs/train/..."""

from omegaconf import DictConfig

from rnnexp.cli.main import run_program
from rnnexp.core.validation import expand_home


def evaluate(config: DictConfig) -> int:
    """Test the weights of a run, show a table, and write `evaluations/<timestamp>.json` into its directory."""
    # Imported here, so that --help and --cfg job do not import torch.
    from rnnexp.runs.create import resolved
    from rnnexp.runs.evaluation import load_finished, score
    from rnnexp.runs.frozen.config import trusted_modules
    from rnnexp.tracking.run_directory import RunDirectory
    from rnnexp.tracking.run_log import logged_to, show
    from rnnexp.tracking.summary import evaluation_table

    values = resolved(config)
    changes = {group: values[group] for group in ("data", "task")}
    trust = trusted_modules(values["trust"])
    run = RunDirectory.of_finished_run(expand_home(str(values["run"])))
    run.require_own_files(run.evaluate_log_file, run.evaluations)
    with logged_to(run.evaluate_log_file):
        experiment, weights = load_finished(run, values["weights"], changes, trust)
        show(evaluation_table(score(experiment, weights, changes)))
    return 0


def main() -> None:
    """Run the program with the arguments of the command line."""
    run_program("evaluate", evaluate)


if __name__ == "__main__":
    main()
