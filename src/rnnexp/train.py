"""One experiment from the command line: python -m rnnexp.train model=gru"""

from omegaconf import DictConfig

from rnnexp.launch.command_line import run_program


def train(config: DictConfig) -> int:
    """Runs one experiment in a run directory of its own. Returns the exit code."""
    # Imported here, so that --help and --cfg job, which never come this far, do not wait for torch.
    from rnnexp.launch.lifeline import end_without_parent
    from rnnexp.launch.ranks import is_rank, num_ranks, require_devices, supervise_ranks
    from rnnexp.launch.run_setup import open_run, require_one_job

    if is_rank():
        end_without_parent()
    require_one_job(config)
    require_devices(config.trainer)
    if num_ranks(config.trainer) > 1 and not is_rank():
        return supervise_ranks(open_run(config), num_ranks(config.trainer))

    from rnnexp.launch.assembly import assemble, finished_loggers
    from rnnexp.launch.ranks import recorded_by_first_rank
    from rnnexp.launch.training import announce, draw, fit, probe, record, test

    # After the imports, which take seconds: a directory that stands is one whose run is recorded.
    run = open_run(config)
    with recorded_by_first_rank(run):
        experiment = assemble(config)
        with finished_loggers(experiment.loggers):
            precision = probe(config, experiment)
            announce(config, run, experiment, precision)
            fit(config, experiment)
            if experiment.trainer.is_global_zero:
                test(config, run, experiment)
                record(config, run, experiment, precision)
                draw(run, experiment)
    return 0


def main() -> None:
    run_program("train", train)


if __name__ == "__main__":
    main()
