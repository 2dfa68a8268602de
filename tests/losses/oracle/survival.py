"""Formulas of survival losses, for a whole batch."""

from __future__ import annotations

from mpmath import mp, mpf  # type: ignore[import-untyped]

from oracle.mechanism import ZERO, Inputs, Number, Params, Row, oracle
from oracle.terms import softplus


@oracle("cox", relative_value=lambda _, params: params["ties"] == "breslow")
def cox(pred: Row, target: Row, event: Row, *, ties: str, mean: str) -> list[Number]:
    """Of a whole batch: Σ over i with an event of log Σ e^(x[j] − x[i]) over j with t[j] ≥ t[i].

    In Efron's form the l-th of d events at a time has l/d of these events less at risk.
    """
    rows = list(zip(pred, target, event, strict=True))
    share = mpf(len(rows)) / max(mp.fsum(event), 1) if mean == "events" else mpf(1)
    terms = []
    for i, (x, t, seen) in enumerate(rows):
        at_risk = mp.fsum(mp.exp(y - x) for y, later, _ in rows if later >= t)
        tied = [j for j, (_, time, also) in enumerate(rows) if time == t and also]
        gone = mp.fsum(mp.exp(rows[j][0] - x) for j in tied) * tied.index(i) / len(tied) if seen else ZERO
        terms.append(share * seen * mp.log(at_risk - (gone if ties == "efron" else ZERO)))
    return terms


def _more(z: Number) -> Number:
    """The probability that a normal number is more than z."""
    return mp.erfc(z / mp.sqrt(2)) / 2


def _known_within(inputs: Inputs, params: Params) -> bool:
    return bool(inputs[1] != inputs[2]) and params["distribution"] != "extreme"


# Of a probability that is less than 1 by 1e-308 what is left of its logarithm shows beside terms of 1.
@oracle("aft", relative_value=_known_within, digits=400)
def aft(pred: Number, lower: Number, upper: Number, *, sigma: Number, distribution: str) -> list[Number]:
    """−log of the density of a time or of the probability of its bounds, z = (log t − x)/sigma."""
    a, b = ((mp.log(t) - pred) / sigma if t != 0 else -mp.inf for t in (lower, upper))
    if lower == upper:
        terms = {
            "normal": [b**2 / 2, mp.log(2 * mp.pi) / 2],
            "logistic": [softplus(-b), softplus(b)],
            "extreme": [mp.exp(b), -b],
        }[distribution]
        return [*terms, mp.log(sigma) + mp.log(upper)]
    if distribution == "extreme":
        # e^a − log(1 − e^−D) as e^b − log(e^D − 1), D = e^b − e^a: no double of e^b tells e^−D to 14 digits
        start, end = mp.exp(a), mp.exp(b)
        apart = end - start
        return [end, -apart - mp.log(-mp.expm1(-apart))] if apart < 10**6 else [start, ZERO]
    if distribution == "logistic":
        below, above = ([1 / (1 + mp.exp(-z)) for z in (a, b)], [1 / (1 + mp.exp(z)) for z in (a, b)])
    else:
        below, above = [_more(-z) for z in (a, b)], [_more(z) for z in (a, b)]
    inside = above[0] - above[1] if a > 0 else below[1] - below[0]
    certain = inside > mpf(1) / 2
    cost = -mp.log1p(-(below[0] + above[1])) if certain else -mp.log(inside)
    near = mpf(2) ** mp.floor(mp.log(inside, 2))  # which does not move: so that what the slope subtracts are terms
    ends = [above[1] / near, -above[0] / near] if a > 0 else [-below[1] / near, below[0] / near]
    return [*ends, cost - ends[0] - ends[1]]
