"""The p-values that ``compare`` shows: which tests apply, and the adjustment for several of them."""

from __future__ import annotations

from collections.abc import Sequence

from lossctl.analysis.comparison import Comparison
from lossctl.analysis.inference import holm


def adjusted_pvalues(comparisons: Sequence[Comparison]) -> list[list[float | None]]:
    """Return, for each loss, the p-values of its t tests, adjusted over all losses and models by Holm's method."""
    adjusted = iter(holm([d.p_t for c in comparisons for d in c.differences]))
    return [[next(adjusted) for _ in c.differences] for c in comparisons]


def number_of_tests(comparisons: Sequence[Comparison]) -> int:
    """Return the number of t tests."""
    return sum(d.p_t is not None for c in comparisons for d in c.differences)


def are_decisions(comparisons: Sequence[Comparison]) -> bool:
    """Return whether every loss is 0 or 1, so that McNemar's test replaces that of the ranks."""
    return all(any(d.p_mcnemar is not None for d in c.differences) for c in comparisons)


def tests_named(comparisons: Sequence[Comparison]) -> str:
    """Return which tests the p-values are of, for a sentence."""
    if comparisons[0].clusters is not None:
        return f"of the paired t test between clusters{_together(comparisons)}"
    second = "McNemar's exact test" if are_decisions(comparisons) else "Wilcoxon's signed ranks"
    return f"of the paired t test and of {second}{_together(comparisons)}"


def _together(comparisons: Sequence[Comparison]) -> str:
    tests = number_of_tests(comparisons)
    return f"; p Holm: of the {tests} t tests together" if tests > 1 else ""
