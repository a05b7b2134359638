"""Make a W&B workspace and a report over the runs of a project: python -m rnnexp.dashboard project=..."""

from omegaconf import DictConfig

from rnnexp.cli.main import run_program


def dashboard(config: DictConfig) -> int:
    """Writes the specification of both, and publishes them where W&B can be reached."""
    from rnnexp.dashboard.publish import design, publish, write_specification

    made = design(config)
    print(f"written to {write_specification(config, made)}")
    publish(config, made)
    return 0


def main() -> None:
    run_program("dashboard", dashboard)


if __name__ == "__main__":
    main()
