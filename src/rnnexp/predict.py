"""Predict new sequences with a finished run: python -m rnnexp.predict run=... input=new.npz output=predictions.csv"""

from omegaconf import DictConfig

from rnnexp.cli.main import run_program
from rnnexp.core.errors import UserError
from rnnexp.core.validation import expand_home


def predict(config: DictConfig) -> int:
    """Write a CSV file with the prediction for each sequence, or each step, of a file."""
    # Imported here, so that --help and --cfg job do not import torch.
    from rnnexp.runs.create import resolved
    from rnnexp.runs.frozen.config import trusted_modules
    from rnnexp.runs.prediction import predictions_of, write_csv
    from rnnexp.tracking.run_directory import RunDirectory
    from rnnexp.tracking.run_log import logged_to
    from rnnexp.translate.io import require_writable

    values = resolved(config)
    trust = trusted_modules(values["trust"])
    for name in ("input", "output"):
        if values[name] is None:
            raise UserError(f"{name} must be a file, not null")
    output = expand_home(str(values["output"]))
    files = values["input"] if isinstance(values["input"], list) else [values["input"]]
    for file in files:
        require_writable(output, expand_home(str(file)))
    run = RunDirectory.of_finished_run(expand_home(str(values["run"])))
    run.require_own_files(run.evaluate_log_file)
    run.require_not_overwritten(output)
    with logged_to(run.evaluate_log_file, is_needed=False):
        changes = {"data": {**values["data"], "predict": values["input"]}}
        write_csv(output, predictions_of(run, values["weights"], changes, trust))
    return 0


def main() -> None:
    """Run the program with the arguments of the command line."""
    run_program("predict", predict)


if __name__ == "__main__":
    main()
