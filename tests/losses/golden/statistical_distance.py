"""Values of other libraries for distances between two distributions."""

from __future__ import annotations

from golden.case import Recorder
from golden.inputs import rows, soft_rows

record = Recorder({"hellinger": {"squared": False}})

# torch's distance of the roots, over √2
hellinger = "F.pairwise_distance(pred.sqrt(), target.sqrt(), eps=0) / 2**0.5"
record("hellinger", (rows, soft_rows), f"({hellinger}).mean()", hellinger)
record("hellinger:squared=true", (rows, soft_rows), f"(({hellinger}) ** 2).mean()", f"({hellinger}) ** 2")
record(
    "bhattacharyya",
    (rows, soft_rows),
    "-torch.logsumexp((pred.log() + target.log()) / 2, 1).mean()",
    "-torch.logsumexp((pred.log() + target.log()) / 2, 1)",
)
record(
    "total_variation",
    (rows, soft_rows),
    "F.l1_loss(pred, target, reduction='none').sum(1).mean() / 2",
    "F.l1_loss(pred, target, reduction='none').sum(1) / 2",
)
record(
    "chi_squared",
    (rows, soft_rows),
    "scipy.stats.chisquare(target, pred, axis=1).statistic.mean()",
    "scipy.stats.chisquare(target, pred, axis=1).statistic",
)
each = "np.array([scipy.stats.wasserstein_distance(range(4), range(4), p, t) for p, t in zip(pred, target)])"
record("wasserstein_1d", (rows, soft_rows), f"{each}.mean()", each)
