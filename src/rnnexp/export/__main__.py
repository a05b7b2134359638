"""Write a finished run as a file for other runtimes: python -m rnnexp.export run=outputs/train/... format=onnx"""

from omegaconf import DictConfig

from rnnexp.cli.main import run_program
from rnnexp.core.errors import UserError
from rnnexp.core.validation import expand_home


def export(config: DictConfig) -> int:
    """Write the network of a run, checked against the run on its test set."""
    # Imported here, so that --help and --cfg job do not import torch.
    from rnnexp.export.write import Request, export_run
    from rnnexp.runs.create import resolved
    from rnnexp.runs.frozen.config import trusted_modules
    from rnnexp.tracking.run_directory import RunDirectory
    from rnnexp.tracking.run_log import logged_to

    values = resolved(config)
    run = RunDirectory.of_finished_run(expand_home(str(values["run"])))
    run.require_own_files(run.evaluate_log_file, run.exports)
    if not isinstance(values["output"], str | None):
        raise UserError(f"output must be a directory, not {values['output']!r}")
    output = None if values["output"] is None else expand_home(values["output"])
    trust = trusted_modules(values["trust"])
    request = Request(
        str(values["format"]), values["quantize"], values["tolerance"], values["weights"], trust, values["data"]
    )
    with logged_to(run.evaluate_log_file, is_needed=False):
        done = export_run(run, request, output)
    print(f"written: {done['directory']}, largest difference to the run {done['check']['largest_difference']:.2g}")
    return 0


def main() -> None:
    """Run the program with the arguments of the command line."""
    run_program("export", export)


if __name__ == "__main__":
    main()
