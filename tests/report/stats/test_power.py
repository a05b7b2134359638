"""The sensitivity of comparisons: power, equivalence and superiority, compared with textbook values and simulations."""

import math

import numpy as np
import pytest
from scipy import stats

from rnnexp.report.stats.equivalence import margin_test, power_of_equivalence, seeds_for_equivalence
from rnnexp.report.stats.power import MOST_SEEDS, power_of_paired_t, seeds_for_difference, smallest_difference
from rnnexp.report.stats.sensitivity import BEYOND, EQUIVALENT, UNDECIDED, sensitivities
from rnnexp.report.stats.significance import PairedTestResult, holm, holm_levels, paired_t
from rnnexp.report.stats.superiority import superiority


def scored(differences: list[float]) -> PairedTestResult:
    """Return the paired test of these differences over seeds."""
    return paired_t(
        {str(seed): value for seed, value in enumerate(differences)}, {str(seed): 0.0 for seed in range(99)}
    )


@pytest.mark.parametrize(("effect", "number"), [(0.2, 199), (0.5, 34), (0.8, 15), (1.5, 6)])
def test_the_number_of_pairs_is_that_of_textbooks(effect: float, number: int) -> None:
    # Cohen (1988) for effects of 0.2, 0.5 and 0.8, and G*Power for the last.
    assert seeds_for_difference(effect * 7, 7.0) == number
    assert power_of_paired_t(effect, number) >= 0.8 > power_of_paired_t(effect, number - 1)


def test_a_difference_that_no_number_of_seeds_shows() -> None:
    assert seeds_for_difference(0.0, 1.0) is None
    assert power_of_paired_t(0.01, MOST_SEEDS) < 0.8


@pytest.mark.parametrize("num_seeds", [2, 3, 10])
def test_the_smallest_difference_is_found_four_times_in_five(num_seeds: int) -> None:
    smallest = smallest_difference(0.3, num_seeds)
    samples = np.random.default_rng(0).normal(smallest, 0.3, (20_000, num_seeds))
    found = stats.ttest_1samp(samples, 0.0, axis=1).pvalue < 0.05
    assert found.mean() == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize("others", [[], [0.2, 0.0001, None, 0.02]])
def test_equal_levels_of_holm(others: list[float | None]) -> None:
    p_values = [0.01, 0.04, None, 0.03, 0.005]
    for place, level in enumerate(holm_levels(p_values, others)):
        for factor, is_below in ((0.999, True), (1.001, False)):
            changed = [*p_values]
            changed[place] = factor * level
            adjusted = holm(changed, others)[place]
            assert adjusted is not None
            assert (adjusted < 0.05) == is_below
    assert holm_levels([0.5]) == [0.05]


def test_two_one_sided_tests_equal_those_of_scipy() -> None:
    differences = [0.1, -0.05, 0.12, 0.02]
    result = margin_test(scored(differences), 0.3)
    assert result is not None
    sides = [
        stats.ttest_1samp(differences, bound, alternative=side).pvalue
        for bound, side in ((0.3, "less"), (-0.3, "greater"))
    ]
    assert result.within == pytest.approx(max(sides))
    assert result.beyond == 1.0
    far = margin_test(scored([5.1, 5.0, 4.8, 5.2]), 0.3)
    assert far is not None
    assert far.within > 0.99
    assert far.beyond == pytest.approx(stats.ttest_1samp([5.1, 5.0, 4.8, 5.2], 0.3).pvalue)


def test_the_power_of_equivalence_in_a_simulation() -> None:
    samples = np.random.default_rng(0).normal(0.2, 1.0, (20_000, 20))
    error, mean = samples.std(axis=1, ddof=1) / math.sqrt(20), samples.mean(axis=1)
    critical = stats.t.isf(0.05, 19)
    found = ((0.8 - mean) / error > critical) & ((mean + 0.8) / error > critical)
    assert power_of_equivalence(0.2, 1.0, 0.8, 20) == pytest.approx(found.mean(), abs=0.01)
    number = seeds_for_equivalence(0.2, 1.0, 0.8)
    assert number is not None
    assert power_of_equivalence(0.2, 1.0, 0.8, number) >= 0.8 > power_of_equivalence(0.2, 1.0, 0.8, number - 1)
    assert seeds_for_equivalence(0.9, 1.0, 0.8) is None


@pytest.mark.parametrize("differences", [[0.1, 0.3, 0.05], [-1.0, -1.1, -1.05, 0.4], [100.0, 100.001]])
def test_superiority_agrees_with_the_t_test(differences: list[float]) -> None:
    result = scored(differences)
    found = superiority(result)
    assert found is not None
    assert result.p is not None
    assert result.deviation is not None
    assert found.probability == pytest.approx(stats.norm.cdf(np.mean(differences) / result.deviation))
    assert found.low <= found.probability <= found.high
    assert (found.low <= 0.5 <= found.high) == (result.p > 0.05)


@pytest.mark.slow
def test_the_interval_of_superiority_covers_in_a_simulation() -> None:
    samples = np.random.default_rng(0).normal(0.8, 1.0, (400, 3))
    found = [superiority(scored(list(sample))) for sample in samples]
    covered = [each.low <= stats.norm.cdf(0.8) <= each.high for each in found if each]
    assert len(covered) == 400
    # The standard deviation of this share is 0.011.
    assert np.mean(covered) == pytest.approx(0.95, abs=0.035)


def test_what_comparisons_could_have_shown() -> None:
    tests = [scored([5.0, 5.1, 4.9, 5.2]), scored([0.01, -0.01, 0.015, 0.0]), scored([2.0, -1.0, 0.5]), scored([1.0])]
    others = [scored([5.0, 5.2, 4.8, 5.1]), scored([0.3, 0.1, -0.3])]
    clear, close, noisy, alone = sensitivities(tests, others, 0.2)
    assert [each.equivalence for each in (clear, close, noisy, alone)] == [BEYOND, EQUIVALENT, UNDECIDED, UNDECIDED]
    assert [each.is_settled for each in (clear, close, noisy, alone)] == [True, True, False, False]
    assert noisy.smallest is not None
    # Of the five tests the first ones of both lists are rejected, so three share the level.
    assert noisy.smallest == pytest.approx(smallest_difference(np.std([2.0, -1.0, 0.5], ddof=1), 3, 0.05 / 3))
    assert noisy.num_seeds is not None
    assert noisy.num_seeds > 3
    assert (alone.smallest, alone.num_seeds, alone.superiority) == (None, None, None)


def within(differences: list[float], margin: float) -> float:
    """Return the p-value of scipy's two one-sided tests that the mean difference lies within the margin."""
    sides = ((margin, "less"), (-margin, "greater"))
    return max(float(stats.ttest_1samp(differences, end, alternative=side).pvalue) for end, side in sides)


def beyond(differences: list[float], margin: float) -> float:
    """Return the two-sided p-value of scipy that the mean difference is larger than a margin."""
    return float(stats.ttest_1samp(differences, margin).pvalue)


CLOSE, ALSO_CLOSE, CLOSER = [0.5, -0.4, 0.6, 0.1], [0.9, -0.4, 0.55, 0.1], [0.2, -0.3, 0.4, 0.1]
FAR, NOISY = [1.9, 1.3, 2.2, 1.7], [3.0, -1.0, 2.0, 0.5]


def test_equivalence_is_corrected_for_the_comparisons_with_the_best_alone() -> None:
    p_values = [within(each, 1.0) for each in (CLOSER, CLOSE, ALSO_CLOSE)]
    assert p_values[0] < 0.05 / 3
    assert 0.05 / 3 < p_values[1] < 0.05 / 2
    assert 0.05 / 2 < p_values[2] < 0.05

    def found(*tests: list[float], others: tuple[list[float], ...] = ()) -> list[str]:
        results = sensitivities([*map(scored, tests)], [*map(scored, others)], 1.0)
        return [each.equivalence for each in results]

    assert found(CLOSER, CLOSE, ALSO_CLOSE) == [EQUIVALENT] * 3
    assert found(CLOSE, CLOSE, ALSO_CLOSE) == [UNDECIDED] * 3
    assert found(ALSO_CLOSE, NOISY) == [UNDECIDED] * 2
    assert found(ALSO_CLOSE, others=(NOISY, FAR, CLOSER)) == [EQUIVALENT]


def test_a_difference_beyond_the_margin_is_corrected_for_all_pairs() -> None:
    assert 0.05 / 2 < beyond(FAR, 1.0) < 0.05
    assert beyond(NOISY, 1.0) > 0.05
    (alone,), (beside_another,) = (sensitivities([scored(FAR)], others, 1.0) for others in ([], [scored(NOISY)]))
    assert (alone.equivalence, beside_another.equivalence) == (BEYOND, UNDECIDED)


def test_the_number_of_seeds_is_that_of_the_test_that_needs_fewer() -> None:
    others = [scored(NOISY), scored(NOISY)]
    by_difference, by_equivalence, third = sensitivities([scored(NOISY), scored(CLOSE), scored(CLOSE)], others, 1.0)
    # No test is significant: the five pairs share the level of leads, the three comparisons that of equivalence.
    assert all(stats.ttest_1samp(each, 0.0).pvalue > 0.05 for each in (NOISY, CLOSE))
    assert min(within(each, 1.0) for each in (NOISY, CLOSE)) > 0.05 / 3
    assert by_difference.smallest == pytest.approx(smallest_difference(np.std(NOISY, ddof=1), 4, 0.05 / 5))
    assert by_difference.num_seeds == seeds_for_difference(np.mean(NOISY), np.std(NOISY, ddof=1), 0.05 / 5)
    assert seeds_for_equivalence(np.mean(NOISY), np.std(NOISY, ddof=1), 1.0) is None
    difference, deviation = float(np.mean(CLOSE)), float(np.std(CLOSE, ddof=1))
    assert by_equivalence == third
    assert by_equivalence.smallest == pytest.approx(smallest_difference(deviation, 4, 0.05 / 5))
    number = seeds_for_equivalence(difference, deviation, 1.0, 0.05 / 3)
    assert number is not None
    assert number != seeds_for_equivalence(difference, deviation, 1.0)
    assert number < (seeds_for_difference(difference, deviation, 0.05 / 5) or 0)
    assert by_equivalence.num_seeds == number


def test_without_a_margin_there_is_no_equivalence() -> None:
    (found,) = sensitivities([scored([0.01, -0.01, 0.015])])
    assert (found.equivalence, found.is_settled) == ("", False)


def test_equal_scores_have_no_deviation_and_are_equivalent() -> None:
    (found,) = sensitivities([scored([0.0, 0.0, 0.0])], margin=0.1)
    assert found.equivalence == EQUIVALENT
    assert found.is_settled
    (steady,) = sensitivities([scored([5.0, 5.0, 5.0])], margin=0.1)
    assert steady.equivalence == UNDECIDED, "without a test"
    assert found.smallest is None
    assert found.superiority is None
    assert superiority(scored([1.0])) is None
