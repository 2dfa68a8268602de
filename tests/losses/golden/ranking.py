"""Values of other libraries for ranking losses."""

from __future__ import annotations

import numpy as np

from golden.case import FLOAT32, Recorder
from golden.inputs import N, logits

record = Recorder({"query_cross_entropy": {"alpha": 0.95}})

_rng = np.random.default_rng(20240611)
grades = _rng.integers(0, 3, logits.shape).astype(float)
grades[:, 0] = 3.0  # at least one pair a list
order = np.array([_rng.permutation(logits.shape[1]) for _ in range(N)]).astype(float)

record(
    "ranknet",
    (logits, grades),
    "jax.vmap(rax.pairwise_logistic_loss)(pred, target).mean()",
    "jax.vmap(rax.pairwise_logistic_loss)(pred, target)",
)
record(
    "listnet",
    (logits, grades),
    "rax.softmax_loss(pred, jax.nn.softmax(target))",
    "rax.softmax_loss(pred, jax.nn.softmax(target), reduce_fn=None)",
)
record(
    "softmax_ranking",
    (logits, grades),
    "optax.losses.ranking_softmax_loss(pred, target)",
    "optax.losses.ranking_softmax_loss(pred, target, reduce_fn=None)",
)
record(
    "softmax_ranking",
    (logits, grades),
    "rax.softmax_loss(pred, target)",
    "rax.softmax_loss(pred, target, reduce_fn=None)",
)
record("listmle", (logits, order), "rax.listmle_loss(pred, target)", "rax.listmle_loss(pred, target, reduce_fn=None)")

# catboost keeps targets in float32; its group quantile is of residuals less their mean
QUERIES = "catboost.utils.eval_metric(target.ravel(), pred.ravel(), '{}', group_id=np.repeat(range(len(pred)), 4))[0]"
record("query_rmse", (logits, order / 4), QUERIES.format("QueryRMSE"))
record("query_mae", (logits, order / 4), "2 * " + QUERIES.format("GroupQuantile:alpha=0.3"), rtol=FLOAT32)

# its shift is good to 1e-8, of which the value takes the square
flags = _rng.integers(0, 2, logits.shape).astype(float)
chances = _rng.integers(0, 9, logits.shape) / 8
record("query_cross_entropy", (logits, flags), QUERIES.format("QueryCrossEntropy"))
record("query_cross_entropy:alpha=0.5", (logits, chances), QUERIES.format("QueryCrossEntropy:alpha=0.5"))
