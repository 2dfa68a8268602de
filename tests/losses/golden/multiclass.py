"""Values of other libraries for losses for one class out of several."""

from __future__ import annotations

import numpy as np

from golden.case import FLOAT32, Recorder
from golden.inputs import labels, log_rows, logits, one_hot, rows, soft_rows, weight

record = Recorder(
    {
        "categorical_cross_entropy": {"label_smoothing": 0.0},
        "sparse_categorical_cross_entropy": {"label_smoothing": 0.0},
        "softmax_cross_entropy": {"label_smoothing": 0.0},
        "sparse_softmax_cross_entropy": {"label_smoothing": 0.0},
        "crammer_singer": {"margin": 1.0},
        "multi_margin": {"p": 1, "margin": 1.0},
        "softmax_focal": {"gamma": 2.0},
        "generalized_cross_entropy": {"q": 0.7},
        "poly1_softmax": {"epsilon": 1.0},
    }
)

# torch has no such loss: its kl_div and the entropy of the targets make it
record(
    "categorical_cross_entropy",
    (rows, soft_rows),
    "F.kl_div(pred.log(), target, reduction='batchmean') + torch.special.entr(target).sum(1).mean()",
    "(F.kl_div(pred.log(), target, reduction='none') + torch.special.entr(target)).sum(1)",
)
record("categorical_cross_entropy", (rows, soft_rows), "keras.losses.categorical_crossentropy(target, pred).mean()")
record(
    "categorical_cross_entropy",
    (rows, soft_rows),
    "-scipy.special.xlogy(target, pred).sum(1).mean()",
    "-scipy.special.xlogy(target, pred).sum(1)",
)
record(
    "categorical_cross_entropy:label_smoothing=0.1",
    (rows, one_hot),
    "keras.losses.categorical_crossentropy(target, pred, label_smoothing=0.1).mean()",
)
record(
    "sparse_categorical_cross_entropy:label_smoothing=0.1",
    (rows, labels),
    "keras.losses.categorical_crossentropy(torch.eye(4)[target], pred, label_smoothing=0.1).mean()",
)
record("categorical_cross_entropy", (rows, one_hot), "sklearn.metrics.log_loss(target, pred)")
record(
    "categorical_cross_entropy",
    (rows, one_hot),
    "sklearn.metrics.log_loss(target, pred, sample_weight=weight)",
    weight=weight,
)

record(
    "sparse_categorical_cross_entropy",
    (rows, labels),
    "F.nll_loss(pred.log(), target)",
    "F.nll_loss(pred.log(), target, reduction='none')",
)
record("sparse_categorical_cross_entropy", (rows, labels), "sklearn.metrics.log_loss(target, pred)")
record(
    "sparse_categorical_cross_entropy",
    (rows, labels),
    "sklearn.metrics.log_loss(target, pred, sample_weight=weight)",
    weight=weight,
)
record(
    "sparse_categorical_cross_entropy",
    (rows, labels),
    "keras.losses.sparse_categorical_crossentropy(target, pred).mean()",
)

for target in (soft_rows, one_hot):
    record(
        "softmax_cross_entropy",
        (logits, target),
        "F.cross_entropy(pred, target)",
        "F.cross_entropy(pred, target, reduction='none')",
    )
record(
    "softmax_cross_entropy:label_smoothing=0.1",
    (logits, soft_rows),
    "F.cross_entropy(pred, target, label_smoothing=0.1)",
    "F.cross_entropy(pred, target, label_smoothing=0.1, reduction='none')",
)
record(
    "softmax_cross_entropy",
    (logits, soft_rows),
    "optax.losses.softmax_cross_entropy(pred, target).mean()",
    "optax.losses.softmax_cross_entropy(pred, target)",
)
record(
    "softmax_cross_entropy:label_smoothing=0.2",
    (logits, one_hot),
    "optax.losses.softmax_cross_entropy(pred, optax.losses.smooth_labels(target, 0.2)).mean()",
    "optax.losses.softmax_cross_entropy(pred, optax.losses.smooth_labels(target, 0.2))",
)
record(
    "softmax_cross_entropy:label_smoothing=0.1",
    (logits, soft_rows),
    "keras.losses.categorical_crossentropy(target, pred, from_logits=True, label_smoothing=0.1).mean()",
)

record(
    "sparse_softmax_cross_entropy",
    (logits, labels),
    "F.cross_entropy(pred, target)",
    "F.cross_entropy(pred, target, reduction='none')",
)
record(
    "sparse_softmax_cross_entropy:label_smoothing=0.1",
    (logits, labels),
    "F.cross_entropy(pred, target, label_smoothing=0.1)",
    "F.cross_entropy(pred, target, label_smoothing=0.1, reduction='none')",
)
# a weight for each class is, for index targets, a weight for each sample
record(
    "sparse_softmax_cross_entropy",
    (logits, labels),
    "F.cross_entropy(pred, target, weight=torch.tensor([0.5, 1.0, 2.0, 3.0], dtype=pred.dtype))",
    weight=np.array([0.5, 1.0, 2.0, 3.0])[labels],
)
record(
    "sparse_softmax_cross_entropy",
    (logits, labels),
    "optax.losses.softmax_cross_entropy_with_integer_labels(pred, target).mean()",
    "optax.losses.softmax_cross_entropy_with_integer_labels(pred, target)",
)
record(
    "sparse_softmax_cross_entropy",
    (logits, labels),
    "(scipy.special.logsumexp(pred, axis=1) - pred[np.arange(10), target]).mean()",
    "scipy.special.logsumexp(pred, axis=1) - pred[np.arange(10), target]",
)
record(
    "sparse_softmax_cross_entropy",
    (logits, labels),
    "keras.losses.sparse_categorical_crossentropy(target, pred, from_logits=True).mean()",
)

record("nll", (log_rows, labels), "F.nll_loss(pred, target)", "F.nll_loss(pred, target, reduction='none')")
record(
    "nll",
    (log_rows, labels),
    "F.nll_loss(pred, target, weight=torch.tensor([0.5, 1.0, 2.0, 3.0], dtype=pred.dtype))",
    weight=np.array([0.5, 1.0, 2.0, 3.0])[labels],
)

# keras counts the own class as a score of 0: moved up by 20, none of the others is below it
record(
    "crammer_singer",
    (logits, labels),
    "keras.losses.categorical_hinge(torch.nn.functional.one_hot(target), pred + 20).mean()",
    rtol=FLOAT32,
)
record(
    "crammer_singer:margin=0",
    (logits, labels),
    "optax.losses.multiclass_perceptron_loss(pred, target).mean()",
    "optax.losses.multiclass_perceptron_loss(pred, target)",
)
for size in (1.0, 0.1):  # so that the supports of sparsemax have several classes, and one
    record(
        "sparsemax",
        (np.round(logits * size, 4), labels),
        "optax.losses.multiclass_sparsemax_loss(pred, target).mean()",
        "optax.losses.multiclass_sparsemax_loss(pred, target)",
    )
for p, margin in ((1, 1.0), (1, 0.5), (2, 1.0), (2, 2.5)):
    record(
        f"multi_margin:p={p}:margin={margin}",
        (logits, labels),
        f"F.multi_margin_loss(pred, target, p={p}, margin={margin})",
        f"F.multi_margin_loss(pred, target, p={p}, margin={margin}, reduction='none')",
    )
for gamma in (2.0, 0.5):
    # kornia gives a number for each class, and its mean divides by their number
    record(
        f"softmax_focal:gamma={gamma}",
        (logits, labels),
        f"kornia.losses.focal_loss(pred, target, alpha=None, gamma={gamma}, reduction='none').sum(1).mean()",
        f"kornia.losses.focal_loss(pred, target, alpha=None, gamma={gamma}, reduction='none').sum(1)",
    )
# no library has these two: of torch's cross-entropy
record(
    "generalized_cross_entropy:q=0.4",
    (rows, labels),
    "((1 - torch.exp(-0.4 * F.nll_loss(pred.log(), target, reduction='none'))) / 0.4).mean()",
    "(1 - torch.exp(-0.4 * F.nll_loss(pred.log(), target, reduction='none'))) / 0.4",
)
record(
    "poly1_softmax:epsilon=0.5",
    (logits, labels),
    "(F.cross_entropy(pred, target) + 0.5 * (1 - torch.exp(-F.cross_entropy(pred, target, reduction='none'))).mean())",
    "F.cross_entropy(pred, target, reduction='none')"
    " + 0.5 * (1 - torch.exp(-F.cross_entropy(pred, target, reduction='none')))",
)
