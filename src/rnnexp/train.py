"""Train one network and record the run: python -m rnnexp.train model=gru"""

from omegaconf import DictConfig

from rnnexp.cli.main import run_program


def train(config: DictConfig) -> int:
    """Train and test a network in a run directory of its own. Return the exit code."""
    # Imported here, so that --help and --cfg job do not import torch.
    from rnnexp.runs.create import continued, open_run, require_one_job, resolved
    from rnnexp.runs.distributed import is_rank, num_ranks_to_start, recorded_by_rank_zero, supervisor
    from rnnexp.runs.frozen.resume import require_no_overrides, resumed_config, run_to_resume
    from rnnexp.runs.supervision import supervise_ranks
    from rnnexp.sweeps.process.watchdog import exit_with_parent
    from rnnexp.tracking.status import Status

    if is_rank():
        # The supervisor may have ended during the imports, which take seconds.
        exit_with_parent(supervisor())
    require_one_job(config)
    if config.resume is not None:
        run = run_to_resume(config)
        if run.status is Status.DONE:
            require_no_overrides(run)
            print(f"{run.path} is done: there is nothing to continue")
            return 0
        config = resumed_config(config, run)
    if number := num_ranks_to_start(resolved(config)["trainer"]):
        run, _ = open_run(config)
        return supervise_ranks(run, number)

    from rnnexp.runs.build import build_experiment, finished_loggers
    from rnnexp.runs.settings import RunSettings
    from rnnexp.runs.stages import check_precision, fit, log_start, save_figures, test, write_record

    # After the imports, which take seconds: from here on the directory records the status of the run.
    run, plain_config = open_run(config)
    with recorded_by_rank_zero(run):
        settings = RunSettings.from_config(continued(plain_config, run), run)
        experiment = build_experiment(settings)  # data, task, callbacks, loggers and trainer
        with finished_loggers(experiment.loggers):
            precision = check_precision(experiment)
            log_start(experiment, precision)
            fit(experiment)
            if experiment.trainer.is_global_zero:
                test(experiment)
                write_record(experiment, precision)
                save_figures(experiment)
    return 0


def main() -> None:
    """Run the program with the arguments of the command line."""
    run_program("train", train)


if __name__ == "__main__":
    main()
