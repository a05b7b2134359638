"""What a person reads of a benchmark, and what is kept of it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.table import Table

from rnnexp.benchmark.start_up import FIRST_STEPS, IMPORTS
from rnnexp.benchmark.training import BARE, OURS
from rnnexp.benchmark.translation import FUSED_BEAM
from rnnexp.core.atomic_files import write_json
from rnnexp.runs.build import apply_process_settings
from rnnexp.runs.create import resolved
from rnnexp.tracking.environment import describe_environment, processor_name


def describe_benchmark(config: DictConfig) -> dict[str, Any]:
    """What was measured and on what; the measurements are still to come."""
    apply_process_settings(config.num_threads, config.tf32)
    on_gpu = torch.cuda.is_available() and config.trainer.accelerator != "cpu"
    device = {
        "type": "cuda" if on_gpu else "cpu",
        "name": torch.cuda.get_device_name() if on_gpu else processor_name(),
        "num_threads": torch.get_num_threads(),
    }
    return {
        "schema_version": 1,
        "environment": describe_environment(device),
        "overrides": [str(override) for override in HydraConfig.get().overrides.task],
        "config": resolved(config),
        "start_up": None,
        "sweep": None,
        "training": [],
        "translation": None,
    }


def start_up_table(start_up: Mapping[str, Any]) -> Table:
    table = Table("start-up")
    for column in ("seconds", "/ imports", "target"):
        table.add_column(column, justify="right")
    for name, seconds in start_up["median_seconds"].items():
        ratio, target = start_up["over_imports"][name], start_up["target"]
        verdict = _verdict(f"<= {target}", ratio["median"] <= target) if name in FIRST_STEPS else ""
        table.add_row(name, f"{seconds:.2f}", "" if name == IMPORTS else _with_spread(ratio), verdict)
    return table


def sweep_table(sweep: Mapping[str, Any]) -> Table:
    ratio, first = sweep["basic_over_pool"], sweep["first_step_seconds"]
    table = Table(f"{sweep['jobs']} jobs")
    for column in ("measured", "target"):
        table.add_column(column, justify="right")
    for name, rounds in sweep["seconds"].items():
        table.add_row(f"{name}, s", f"{median(rounds):.1f}", "")
    target = ratio["target"]
    table.add_row("basic / pool", _with_spread(ratio), _verdict(f">= {target}", ratio["median"] >= target))
    target = first["target"]
    verdict = _verdict(f"<= {target}", first["median"] <= target)
    table.add_row("first step of a job, s", f"{first['median']:.2f} (at most {first['highest']:.2f})", verdict)
    return table


def training_table(cells: Sequence[Mapping[str, Any]]) -> Table:
    """One row per cell and contender; ratios are medians over rounds, with the lowest and the highest."""
    table = Table("cell", "contender")
    for column in ("steps/s", "ours / theirs", "target"):
        table.add_column(column, justify="right")
    for cell in cells:
        for name, speeds in cell["steps_per_second"].items():
            ratio = cell["ours_over"].get(name)
            verdict = _verdict(f">= {cell['target']}", ratio["median"] >= cell["target"]) if name == BARE else ""
            shown = "" if ratio is None else _with_spread(ratio)
            table.add_row(cell["cell"] if name == OURS else "", name, f"{median(speeds):.2f}", shown, verdict)
    return table


def translation_tables(translation: Mapping[str, Any]) -> list[Table]:
    """The speeds, and the ratios within rounds: medians over rounds, with the lowest and the highest."""
    training, decoding, known = translation["training"], translation["decoding"], translation["orientation"]
    measured = {
        "target tokens/s": training["tokens_per_second"],
        "pairs/s": training["pairs_per_second"],
        "GFLOP/s": training["gflop_per_second"],
        "sentences/s": decoding["sentences_per_second"],
    }
    orientation = {}
    if known is not None:
        orientation = {("target tokens/s", OURS): known["tokens"], ("sentences/s", FUSED_BEAM): known["sentences"]}
    speeds = Table("measured", "contender", caption=f"decoding: {decoding['length']}")
    for column in ("median", "lowest-highest", *(["JoeyNMT"] if orientation else [])):
        speeds.add_column(column, justify="right")
    for what, contenders in measured.items():
        for row, (name, rounds) in enumerate(contenders.items()):
            spread = f"{min(rounds):,.1f}-{max(rounds):,.1f}"
            other = f"{orientation[what, name]:,}" if (what, name) in orientation else ""
            columns = (what if row == 0 else "", name, f"{median(rounds):,.1f}", spread)
            speeds.add_row(*columns, *([other] if orientation else []))
    ratios = Table("ratio")
    for column in ("median (lowest-highest)", "target"):
        ratios.add_column(column, justify="right")
    for name, ratio in translation["ratios"].items():
        target = ratio.get("target")
        verdict = "" if target is None else _verdict(f">= {target:g}", ratio["median"] >= target)
        ratios.add_row(name, _with_spread(ratio), verdict)
    return [speeds, ratios]


def _with_spread(ratio: Mapping[str, float]) -> str:
    return f"{ratio['median']:.3f} ({ratio['lowest']:.2f}-{ratio['highest']:.2f})"


def _verdict(target: str, is_reached: bool) -> str:
    return f"{target} {'reached' if is_reached else 'MISSED'}"


def write_report(config: DictConfig, report: Mapping[str, Any]) -> Path:
    """Writes `<outputs_dir>/benchmark/<timestamp>.json` and returns its path."""
    directory = Path(config.paths.outputs_dir).absolute() / "benchmark"
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{datetime.now().astimezone():%Y-%m-%d_%H-%M-%S-%f}.json"
    write_json(path, report)
    return path
