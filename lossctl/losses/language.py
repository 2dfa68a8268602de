"""Losses of language models from log-likelihoods of tokens and documents."""

from __future__ import annotations

import math
from typing import Annotated, Literal, TypeAlias

import numpy as np

from lossctl.core.arrays import Array
from lossctl.core.decorator import MeanTransform, Param, Thunk, loss
from lossctl.core.input_kinds import BelowKind, Positive, Real
from lossctl.core.interval import POSITIVE, Interval
from lossctl.losses.numerics.elementary import EXP_SERIES_BELOW, expm1_minus_over_square

# The task cannot be derived from the inputs.
TASK = "language"

LogLikelihood: TypeAlias = Annotated[
    Array, BelowKind("LogLikelihood", "the logarithm of a probability, at most 0", Interval(-np.inf, 0.0, True))
]
_COUNTS = "target is how many units a row has: 1 if a row is a token, or the words or bytes of its document"


def _count(pred: Array, target: Array) -> Array:
    return target


def _exp(mean: float) -> float:
    try:
        return math.exp(mean)
    except OverflowError:
        return math.inf


@loss(
    formula="e^(−Σ pred/Σ target);  pred = log-likelihood, target = number of tokens, words or bytes",
    reference="Jelinek et al. 1977, doi:10.1121/1.2016299; lm-evaluation-harness",
    aliases=("word_perplexity", "byte_perplexity", "token_perplexity", "ppl"),
    differences=(
        "lm-evaluation-harness word_perplexity and byte_perplexity are this with words or bytes as target",
        "its perplexity takes the mean over documents, whatever their length: target 1",
    ),
    pitfalls=(_COUNTS, "per token it depends on the tokenizer; per word or byte it does not"),
    relative_accuracy="the mean log-likelihood everywhere",
    denominator=_count,
    finish=MeanTransform(_exp, _exp, per_sample="−pred"),
)
def perplexity(pred: LogLikelihood, target: Positive) -> tuple[Array, Thunk]:
    """The exponential of the mean negative log-likelihood of a unit."""
    return -pred, lambda: np.full_like(pred, -1.0)


@loss(
    formula="−Σ pred/(log 2·Σ target);  pred = log-likelihood, target = number of tokens, words or bytes",
    reference="Gao et al. 2020, arXiv:2101.00027; lm-evaluation-harness",
    aliases=("bits_per_byte", "bits_per_word", "bits_per_token", "bpb"),
    differences=("lm-evaluation-harness bits_per_byte is this with bytes of UTF-8 as target",),
    pitfalls=(_COUNTS,),
    relative_accuracy="everywhere",
    denominator=_count,
)
def bits_per_unit(pred: LogLikelihood, target: Positive) -> tuple[Array, Thunk]:
    """The mean number of bits of a unit: a token, a word or a byte."""
    return pred / -math.log(2.0), lambda: np.full_like(pred, -1.0 / math.log(2.0))


@loss(
    formula="k1: −d, k2: d²/2, k3: e^d − d − 1;  d = target − pred, log-probabilities of reference and policy",
    reference="Schulman 2020, http://joschu.net/blog/kl-approx.html",
    aliases=("kl_estimate",),
    differences=("TRL GRPO, verl low_var_kl: k3",),
    pitfalls=("the tokens are drawn from pred's model; k1 may be negative, its mean is not",),
)
def kl_estimator(
    pred: Real,
    target: Real,
    *,
    estimator: Annotated[Literal["k1", "k2", "k3"], Param("the form")] = "k3",
) -> tuple[Array, Thunk]:
    """Kullback–Leibler divergence of two models, estimated from drawn tokens."""
    d = target - pred
    if estimator == "k1":
        return -d, lambda: np.ones_like(d)
    if estimator == "k2":
        return 0.5 * d * d, lambda: -d
    far = np.expm1(d)
    value = far - d
    small = np.flatnonzero(np.abs(d) < EXP_SERIES_BELOW)
    value[small] = d[small] ** 2 * expm1_minus_over_square(d[small])
    value[d == np.inf] = np.inf
    return value, lambda: -far


@loss(
    formula="−min(r·A, clip(r, 1 − low, 1 + high)·A), r = e^(pred − target);  A = advantage",
    reference="Schulman et al. 2017, arXiv:1707.06347",
    aliases=("grpo", "clipped_policy_gradient"),
    differences=("means of tokens (n, t) with a mask: -w MASK is DAPO's, -w MASK/LENGTH GRPO's, a sum Dr. GRPO's",),
    pitfalls=("pred, target: log-probabilities, now and when the tokens were drawn",),
)
def ppo_clip(
    pred: Real,
    target: Real,
    advantage: Real,
    *,
    low: Annotated[float, Param("the clip below 1", Interval(0.0, 1.0))] = 0.2,
    high: Annotated[float, Param("the clip above 1", POSITIVE)] = 0.2,
) -> tuple[Array, Thunk]:
    """The clipped surrogate of PPO and GRPO, for one token.

    Where the ratio is clipped the gradient is 0.
    """
    ratio = np.exp(pred - target)
    clipped = np.where(advantage > 0, np.minimum(ratio, 1.0 + high), np.maximum(ratio, 1.0 - low))
    inside = clipped == ratio
    value = np.where(advantage == 0, 0.0, -clipped * advantage)
    return value, lambda: np.where(inside & (advantage != 0), -ratio * advantage, 0.0)
