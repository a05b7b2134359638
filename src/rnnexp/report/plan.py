"""The plan of more seeds: which runs would settle the comparisons with the best, and the commands that start them."""

import shlex
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import NamedTuple

import rnnexp
from rnnexp.core.files.atomic import find_json
from rnnexp.core.progress import format_duration
from rnnexp.core.validation import is_plain, override
from rnnexp.report.records.groups import ComparisonGroup, Setting
from rnnexp.report.records.runs import Run
from rnnexp.report.stats.power import MOST_SEEDS
from rnnexp.report.stats.ranking import Comparison
from rnnexp.tracking.environment import git_state
from rnnexp.tracking.status import Status
from rnnexp.tracking.sweep_directory import SweepDirectory, words_of

FEWEST_SEEDS = 3
"""The number of shared seeds of a plan for settings with fewer than two, whose deviation is unknown."""
MOST_PLANNED = 50
"""The largest number of shared seeds for which commands are shown."""
TAKES_VALUE = ("--config-dir", "-cd", "--config-name", "-cn", "--config-path", "-cp")
"""Options of Hydra that are part of a command of more seeds."""
OF_COMMAND = ("seed", "sweep_dir", "paths.output_dir", "dry_run", "allow_code_change", "report", "resume")
"""Keys of overrides that say what one command did, not what the setting is."""


class Source(NamedTuple):
    """The program with which a run was started.

    Args:
        program: the words of the command before the overrides that make the setting.
        sweep: the directory of its sweep; None for a single run.
        directory: the working directory, which relative paths are relative to; empty if it is not recorded.
        commit: the commit of the code, and whether tracked files differed from it.
    """

    program: tuple[str, ...]
    sweep: Path | None
    directory: str
    commit: tuple[object, object]


@dataclass(frozen=True)
class Addition:
    """Missing seeds of one setting.

    Args:
        setting: the setting.
        seeds: the seeds.
    """

    setting: Setting
    seeds: tuple[int, ...]

    @property
    def seconds(self) -> float | None:
        """The time of the runs one after another, by the mean of the recorded ones; None if none was recorded."""
        recorded = [run.number("timing.total_seconds") for run in self.setting.counted.values()]
        known = [seconds for seconds in recorded if seconds is not None]
        return len(self.seeds) * sum(known) / len(known) if known else None


def plan_seeds(group: ComparisonGroup, comparisons: Sequence[Comparison]) -> list[str]:
    """Return lines about the comparisons that more seeds would settle, with the commands that run these seeds."""
    title = f"plan for {group.title}:"
    open_ones = [comparison for comparison in comparisons if not comparison.is_settled]
    if not open_ones:
        return [f"{title} nothing to add, every comparison with the best is settled"] if comparisons else []
    if group.is_search:
        return [f"{title} trials of a search have one seed each; run its best trials as a sweep over seeds"]
    if not all(run.seed.isdecimal() for run in group.counted):
        return [f"{title} the seed of the data differs from that of the run, so the seeds are up to you"]
    best = comparisons[0].setting
    targets = {comparison: _target(comparison) for comparison in open_ones}
    planned = {comparison: number for comparison, number in targets.items() if number and number <= MOST_PLANNED}
    lines = [f"{best.label} against {_describe(comparison, number)}" for comparison, number in targets.items()]
    additions = _additions(group, best, planned)
    if additions:
        runs = sum(len(addition.seeds) for addition in additions)
        known = [seconds for addition in additions if (seconds := addition.seconds) is not None]
        time = f", about {format_duration(sum(known))} one after another" if len(known) == len(additions) else ""
        title = f"{title} {runs} run{'s' if runs > 1 else ''}{time}"
    return [title, *(f"  {line}" for line in [*lines, *_commands(additions)])]


def _target(comparison: Comparison) -> int | None:
    """Return the number of shared seeds that would settle a comparison; None if it is too large or unknown."""
    seeds, found = comparison.seeds, comparison.sensitivity
    if seeds is None or found is None:
        return None
    if seeds.num_seeds < 2:
        return FEWEST_SEEDS
    return found.num_seeds and max(found.num_seeds, seeds.num_seeds + 1)


def _describe(comparison: Comparison, number: int | None) -> str:
    label, seeds, found = comparison.setting.label, comparison.seeds, comparison.sensitivity
    shared = seeds.num_seeds if seeds else 0
    if number is not None and number <= MOST_PLANNED:
        return f"{label}: {number} shared seeds, of which there are {shared}"
    if found is None or found.smallest is None:
        return f"{label}: {seeds.reason if seeds and seeds.reason else 'the same scores with each seed'}"
    needed = f"more than {MOST_SEEDS:,}" if number is None else f"{number:,}"
    margin = "a larger --margin=" if found.equivalence else "--margin="
    return f"{label}: {needed} shared seeds, too close to plan; {margin} may show that it is equivalent"


def _additions(group: ComparisonGroup, best: Setting, planned: Mapping[Comparison, int]) -> list[Addition]:
    """Return the missing seeds of each setting, the best first."""
    used = {run.seed for run in group.runs}
    wanted: dict[Setting, set[str]] = defaultdict(set)
    for comparison, number in planned.items():
        other = comparison.setting
        for seed in _shared_seeds(best, other, number, used):
            wanted[best].add(seed)
            wanted[other].add(seed)
    additions = []
    for setting in group.measured:
        missing = sorted(int(seed) for seed in wanted[setting] - set(setting.counted))
        if missing:
            additions.append(Addition(setting, tuple(missing)))
    return additions


def _shared_seeds(best: Setting, other: Setting, number: int, used: set[str]) -> list[str]:
    """Return the seeds that two settings should share: those of both, then those of one, then new ones."""
    shared = [seed for seed in best.counted if seed in other.counted]
    # A run that diverged would diverge again.
    hopeless = {run.seed for setting in (best, other) for run in setting.runs if run.status is Status.DIVERGED}
    of_one = [seed for seed in {**best.counted, **other.counted} if seed not in {*shared, *hopeless}]
    seeds = [*shared, *of_one][: max(number, len(shared))]
    new = (str(seed) for seed in count(1) if str(seed) not in used)
    return [*seeds, *(next(new) for _ in range(number - len(seeds)))]


def _commands(additions: Sequence[Addition]) -> Iterator[str]:
    """Yield the commands, one for settings of the same sweep and seeds that differ in one override."""
    alike: dict[tuple[Source, tuple[int, ...]], list[list[str]]] = defaultdict(list)
    for addition in additions:
        run = max(addition.setting.counted.values(), key=lambda run: run.since)
        alike[_source(run), addition.seeds].append(_overrides(run))
    code = git_state(Path(rnnexp.__file__).parent)
    for commit in dict.fromkeys(source.commit for source, _ in alike):
        if commit != (code["commit"], code["dirty"]):
            shown = (
                f"commit {str(commit[0])[:10]}{', changed since' if commit[1] else ''}" if commit[0] else "other code"
            )
            yield f"these runs are of {shown}, unlike this code: check it out first, or scores may not be comparable"
    for directory in dict.fromkeys(source.directory for source, _ in alike):
        if directory and directory != str(Path.cwd()):
            yield f"in the directory {directory}:"
    for (source, seeds), settings in alike.items():
        for overrides in _merged(settings):
            place = [override("sweep_dir", source.sweep.absolute())] if source.sweep else []
            yield shlex.join([*source.program, "-m", *overrides, f"seed={_as_choice(seeds)}", *place])


def _source(run: Run) -> Source:
    sweep = run.sweep
    environment = find_json(run.files.environment_file)
    record = find_json(SweepDirectory(sweep).record_file) if sweep else environment
    code = record.get("code") if sweep else record.get("git")
    commit = (code.get("commit"), code.get("dirty")) if isinstance(code, Mapping) else (None, None)
    program = ("python", "-m", "rnnexp.train", *_options(words_of(record.get("command"))))
    return Source(program, sweep, str(environment.get("working_directory", "")), commit)


def _options(words: Sequence[str]) -> Iterator[str]:
    """Yield the words of a recorded command that a setting needs besides its overrides: of Hydra and of a launcher."""
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word in TAKES_VALUE:
            yield from (word, following)
        elif word.partition("=")[0] in TAKES_VALUE or word.startswith(("hydra.launcher", "hydra/launcher")):
            yield word


def _overrides(run: Run) -> list[str]:
    return [each for each in run.files.read_overrides() if each.lstrip("+~").partition("=")[0] not in OF_COMMAND]


def _merged(settings: list[list[str]]) -> list[list[str]]:
    """Return one list of overrides, `model=gru,lstm`, if all settings differ in one override, or else all lists."""
    places = [place for place, values in enumerate(zip(*settings, strict=False)) if len(set(values)) > 1]
    if len(places) != 1 or len({len(overrides) for overrides in settings}) > 1:
        return settings
    pairs = [overrides[places[0]].partition("=") for overrides in settings]
    if len({key for key, _, _ in pairs}) > 1 or not all(is_plain(value) for _, _, value in pairs):
        return settings
    joined = f"{pairs[0][0]}={','.join(value for _, _, value in pairs)}"
    return [[*settings[0][: places[0]], joined, *settings[0][places[0] + 1 :]]]


def _as_choice(seeds: Sequence[int]) -> str:
    """Return seeds in Hydra's grammar: `4,5,6`, or `range(4,9)` for at least four in a row."""
    is_range = len(seeds) > 3 and list(seeds) == list(range(seeds[0], seeds[-1] + 1))
    return f"range({seeds[0]},{seeds[-1] + 1})" if is_range else ",".join(map(str, seeds))
