"""One experiment from the command line: python -m rnnexp.train model=gru"""

from omegaconf import DictConfig

from rnnexp.cli.main import run_program


def train(config: DictConfig) -> int:
    """Runs one experiment in a run directory of its own. Returns the exit code."""
    # Imported here, so that --help and --cfg job, which never come this far, do not wait for torch.
    from rnnexp.runs.create import open_run, require_one_job
    from rnnexp.runs.distributed import is_rank, num_ranks, require_devices, supervise_ranks
    from rnnexp.sweeps.process.watchdog import exit_with_parent

    if is_rank():
        exit_with_parent()
    require_one_job(config)
    require_devices(config.trainer)
    if num_ranks(config.trainer) > 1 and not is_rank():
        return supervise_ranks(open_run(config), num_ranks(config.trainer))

    from rnnexp.runs.build import assemble, finished_loggers
    from rnnexp.runs.distributed import recorded_by_rank_zero
    from rnnexp.runs.stages import fit, log_start, probe, save_figures, test, write_record

    # After the imports, which take seconds: a directory that stands is one whose run is recorded.
    run = open_run(config)
    with recorded_by_rank_zero(run):
        experiment = assemble(config)
        with finished_loggers(experiment.loggers):
            precision = probe(config, experiment)
            log_start(config, run, experiment, precision)
            fit(config, experiment)
            if experiment.trainer.is_global_zero:
                test(config, run, experiment)
                write_record(config, run, experiment, precision)
                save_figures(run, experiment)
    return 0


def main() -> None:
    run_program("train", train)


if __name__ == "__main__":
    main()
