"""Measure the speed of training, decoding, start-up and sweeps: python -m rnnexp.benchmark

All candidates are measured in turns, round after round, in one run, and medians of ratios within rounds are reported:
on a machine with changing load, two measurements minutes apart cannot be compared.
"""

from omegaconf import DictConfig

from rnnexp.cli.main import run_program


def benchmark(config: DictConfig) -> int:
    """Run the benchmark, show tables, and write `<outputs_dir>/benchmark/<timestamp>.json`."""
    from rnnexp.benchmark.report import write_measurements
    from rnnexp.benchmark.start_up import measure_start_up, start_up_table
    from rnnexp.benchmark.sweeps import measure_sweep, sweep_table
    from rnnexp.benchmark.workbench import make_task_benchmark, make_workbench
    from rnnexp.tracking.run_log import show

    bench = make_workbench(config)
    task_benchmark = make_task_benchmark(bench)
    report = bench.describe()
    # First, since it may refuse an option; the others are measured for minutes.
    report["speed"] = task_benchmark.measure(show)
    if bench.options.start_up:
        report["start_up"] = measure_start_up(bench.train_arguments, bench.options.repetitions)
        show(start_up_table(report["start_up"]))
    if bench.options.sweep_jobs:
        report["sweep"] = measure_sweep(bench.train_arguments, bench.options.sweep_jobs, bench.options.repetitions)
        show(sweep_table(report["sweep"]))
    show(f"written to {write_measurements(bench.outputs_dir, report)}")
    return 0


def main() -> None:
    run_program("benchmark", benchmark)


if __name__ == "__main__":
    main()
