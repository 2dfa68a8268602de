"""Several numbers of one run: their answers are chosen together, those that share losses and departures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lossctl.explanation.result import Candidate, Explanation


def narrow(explanations: Sequence[Explanation]) -> list[Explanation]:
    """Keep the answers of each number that need the fewest causes for all numbers.

    A cause is a loss, a library's function or a departure. A cause that several numbers share counts once, so that two
    numbers of one library, one clip or one reading of the predictions explain each other. A number without an answer
    narrows nothing.

    Args:
        explanations: one for each number.

    Returns:
        the explanations in order, each with the answers that are left.
    """
    answered = [e for e in explanations if e.found]
    if len(answered) < 2:
        return list(explanations)
    return [_narrowed(e, [other for other in answered if other is not e]) if e.found else e for e in explanations]


def causes(candidate: Candidate) -> frozenset[str]:
    """Return the loss, the library's function and the departures that are not its own."""
    row = candidate.convention
    texts = candidate.departures[len(row.departures) :] if row else candidate.departures
    return frozenset((candidate.loss, *([row.title] if row else []), *texts))


def _narrowed(explanation: Explanation, others: Sequence[Explanation]) -> Explanation:
    counts = [_count(candidate, others) for candidate in explanation.candidates]
    kept = [c for c, count in zip(explanation.candidates, counts, strict=True) if count == min(counts)]
    least = min(c.cost for c in kept)
    return replace(explanation, candidates=tuple(c for c in kept if c.cost == least))


def _count(candidate: Candidate, others: Sequence[Explanation]) -> int:
    """Return how many causes all numbers need if this candidate is the answer of its number."""
    needed = causes(candidate)
    for other in others:
        needed |= min((causes(c) for c in other.candidates), key=lambda more: (len(more - needed), len(more)))
    return len(needed)
