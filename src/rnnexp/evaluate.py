"""Score a finished run from its directory alone: python -m rnnexp.evaluate run=outputs/train/..."""

from pathlib import Path

from omegaconf import DictConfig

from rnnexp.cli.main import run_program


def evaluate(config: DictConfig) -> int:
    """Tests the run's weights, shows a table, and writes `evaluations/<timestamp>.json` into its directory."""
    from rnnexp.runs.evaluation import load_finished, score
    from rnnexp.tracking.run_directory import RunDirectory
    from rnnexp.tracking.run_log import logged_to, show
    from rnnexp.tracking.summary import evaluation_table

    run = RunDirectory.of_finished_run(Path(str(config.run)).expanduser())
    with logged_to(run.path / "evaluate.log"):
        experiment, weights = load_finished(run, config)
        show(evaluation_table(score(run, experiment, weights, config)))
    return 0


def main() -> None:
    run_program("evaluate", evaluate)


if __name__ == "__main__":
    main()
