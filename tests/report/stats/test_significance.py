"""Statistics, compared with values from manual computation or other libraries."""

import math
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from rnnexp.report.stats.significance import combine, holm, paired_t, show_p, summarize


def test_a_summary_has_the_student_t_interval() -> None:
    summary = summarize([1.0, 2.0, 3.0])
    assert (summary.n, summary.mean, summary.deviation) == (3, 2.0, 1.0)
    # The 97.5 % point of Student's t with 2 degrees of freedom, from a table.
    assert summary.half_width == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)


def test_a_single_number_has_no_spread() -> None:
    summary = summarize([7.0])
    assert (summary.n, summary.mean, summary.deviation, summary.half_width) == (1, 7.0, None, None)


def test_an_empty_list_cannot_be_summarized() -> None:
    with pytest.raises(ValueError, match="no values to summarize"):
        summarize([])


def test_the_paired_test_equals_that_of_scipy_over_shared_seeds() -> None:
    a, b = {"1": 91.0, "2": 93.5, "3": 92.0, "8": 10.0}, {"3": 90.5, "1": 90.0, "2": 91.0, "9": 99.0}
    test = paired_t(a, b)
    expected = stats.ttest_rel([91.0, 93.5, 92.0], [90.0, 91.0, 90.5])
    assert test.num_seeds == 3
    assert test.difference == pytest.approx(5 / 3)
    assert test.p == pytest.approx(expected.pvalue)
    low, high = expected.confidence_interval(0.95)
    assert test.half_width == pytest.approx((high - low) / 2)


@pytest.mark.parametrize(("shared", "number"), [({}, 0), ({"1": 2.0}, 1)])
def test_fewer_than_two_shared_seeds_give_no_test(shared: dict[str, float], number: int) -> None:
    test = paired_t({"1": 1.0, "2": 1.0}, {**shared, "7": 3.0})
    assert test.p is None
    assert test.reason == f"too few shared seeds ({number}; at least 2)"


def test_equal_differences_give_no_test() -> None:
    test = paired_t({"1": 90.1, "2": 92.2}, {"1": 90.0, "2": 92.1})
    assert test.p is None
    assert test.reason == "the difference is the same for all 2 seeds: no t-test"
    assert test.difference == pytest.approx(0.1)
    assert test.half_width is None, "without a test there is no interval"


def test_equal_scores_do_not_differ() -> None:
    assert paired_t({"1": 95.0, "2": 94.0}, {"1": 95.0, "2": 94.0}).p == 1.0


def test_equal_differences_of_metrics_in_32_bits_give_no_test() -> None:
    a, b = (
        [100 * float(np.float32(number / 10_000)) for number in numbers] for numbers in ((9011, 9222), (9010, 9221))
    )
    assert a[0] - b[0] != a[1] - b[1]
    test = paired_t(dict(zip("12", a, strict=True)), dict(zip("12", b, strict=True)))
    assert test.p is None
    assert test.reason == "the difference is the same for all 2 seeds: no t-test"


@pytest.mark.parametrize("unit", [1e-12, 1.0, 1e12])
def test_the_unit_of_the_scores_does_not_matter(unit: float) -> None:
    a, b = {"1": 1.0, "2": 1.2, "3": 0.9}, {"1": 5.0, "2": 5.3, "3": 5.1}
    scaled = paired_t(*({seed: unit * value for seed, value in scores.items()} for scores in (a, b)))
    assert scaled.p == pytest.approx(stats.ttest_rel([*a.values()], [*b.values()]).pvalue)
    assert scaled.deviation == pytest.approx(unit * np.std([4.0, 4.1, 4.2], ddof=1))


@pytest.mark.parametrize(
    ("p_values", "differences", "expected"),
    [
        ([0.03], [2.0], 0.03),
        ([0.01, 0.04, 0.002], [1.0, 5.0, 2.0], 0.04),
        ([0.01, 0.04], [-1.0, -5.0], 0.04),
        ([0.001, 0.001], [1.0, -1.0], 1.0),
        # sacrebleu calls a difference of exactly zero significant.
        ([0.001, 0.001], [0.0, 3.0], 1.0),
    ],
)
def test_seeds_are_combined_by_the_largest_p_value(
    p_values: list[float], differences: list[float], expected: float
) -> None:
    assert combine(p_values, differences) == expected


def test_an_empty_list_cannot_be_combined() -> None:
    with pytest.raises(ValueError, match="no p-values to combine"):
        combine([], [])


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_counts_the_other_tests_of_the_family() -> None:
    # In order 0.001, 0.002, 0.004, 0.02, 0.5 and 1, which are multiplied by 6 to 1.
    assert holm([0.001, None, 0.02, 0.004], [0.5, 0.002, 1.0, None]) == pytest.approx([0.006, None, 0.06, 0.016])
    assert holm([0.03], []) == [0.03]


@pytest.mark.parametrize(("num_settings", "num_seeds"), [(2, 5), (10, 5), (20, 10)])
def test_equal_settings_are_rarely_called_worse_than_the_best_of_them(num_settings: int, num_seeds: int) -> None:
    random = np.random.default_rng(0)
    found = 0
    for _ in range(400):
        scores = random.normal(size=(num_settings, num_seeds))
        scores = scores[np.argsort(-scores.mean(axis=1))]
        one, other = (scores[list(places)] for places in zip(*combinations(range(num_settings), 2), strict=True))
        p_values = stats.ttest_1samp(one - other, 0.0, axis=1).pvalue.tolist()
        adjusted = holm(p_values[: num_settings - 1], p_values[num_settings - 1 :])
        found += any(p is not None and p < 0.05 for p in adjusted)
    # The standard deviation of a share of 0.05 is 0.011.
    assert found / 400 < 0.08


def test_holm_does_not_count_missing_tests() -> None:
    assert holm([None, 0.04, None, 0.02]) == [None, 0.04, None, 0.04]
    assert holm([0.7, 0.8]) == [1.0, 1.0]


@pytest.mark.parametrize(("p", "shown"), [(0.0004, "< 0.001"), (0.0123, "0.012"), (0.5, "0.50"), (1.0, "1.00")])
def test_format_of_p_values(p: float, shown: str) -> None:
    assert show_p(p) == shown
