"""Create a W&B workspace and a report for the runs of a project: python -m rnnexp.dashboard project=..."""

from omegaconf import DictConfig

from rnnexp.cli.main import run_program


def dashboard(config: DictConfig) -> int:
    """Write the specification of a workspace and a report, and publish them if W&B can be reached."""
    from rnnexp.dashboard.options import make_options
    from rnnexp.dashboard.publish import make_views, publish, write_specification

    options = make_options(config)
    views = make_views(options)
    print(f"written to {write_specification(views, options.outputs_dir)}")
    publish(views, options.entity, options.timeout_seconds)
    return 0


def main() -> None:
    run_program("dashboard", dashboard)


if __name__ == "__main__":
    main()
