"""Score a finished run from its directory alone: python -m rnnexp.evaluate run=outputs/train/..."""

from omegaconf import DictConfig

from rnnexp.launch.command_line import run_program


def evaluate(config: DictConfig) -> int:
    """Tests the run's weights, shows a table, and writes `evaluations/<timestamp>.json` into its directory."""
    from rnnexp.launch.evaluation import load_finished, score
    from rnnexp.tracking.run_log import show
    from rnnexp.tracking.summary import evaluation_table

    run, experiment, weights = load_finished(config)
    evaluation = score(run, experiment, weights)
    show(evaluation_table(evaluation))
    return 0


def main() -> None:
    run_program("evaluate", evaluate)


if __name__ == "__main__":
    main()
