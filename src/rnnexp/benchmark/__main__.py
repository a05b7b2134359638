"""How fast is the training path, and how soon does it begin? python -m rnnexp.benchmark

Everything that is compared is measured in turns, round after round, in one run, and medians are reported: on a machine
that others use too, two measurements minutes apart say nothing of each other.
"""

from omegaconf import DictConfig

from rnnexp.cli.main import run_program


def benchmark(config: DictConfig) -> int:
    """Measures, shows tables, and writes `<outputs_dir>/benchmark/<timestamp>.json`. What is slow is told; it is no
    failure.
    """
    from rnnexp.benchmark.start_up import measure_start_up
    from rnnexp.benchmark.sweeps import measure_sweep
    from rnnexp.benchmark.tables import (
        describe_benchmark,
        start_up_table,
        sweep_table,
        training_table,
        translation_tables,
        write_report,
    )
    from rnnexp.benchmark.training import measure_training, require_comparable
    from rnnexp.benchmark.translation import is_translation, measure_translation, require_translation
    from rnnexp.tracking.run_log import show

    translates = is_translation(config)
    (require_translation if translates else require_comparable)(config)
    report = describe_benchmark(config)
    if config.start_up:
        report["start_up"] = measure_start_up(config)
        show(start_up_table(report["start_up"]))
    if config.sweep_jobs:
        report["sweep"] = measure_sweep(config)
        show(sweep_table(report["sweep"]))
    if translates:
        report["translation"] = measure_translation(config)
        for table in translation_tables(report["translation"]):
            show(table)
    for cell in [] if translates else config.cells:
        report["training"].append(measure_training(config, cell))
        show(training_table(report["training"]))
    show(f"written to {write_report(config, report)}")
    return 0


def main() -> None:
    run_program("benchmark", benchmark)


if __name__ == "__main__":
    main()
