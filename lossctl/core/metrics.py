"""Metrics that are no losses, with the nearest loss: the answer to their names."""

from __future__ import annotations

# (names without - and _, what the metric is, the nearest loss; "" for none). A name of a loss does not belong here.
_METRICS = (
    ("accuracy acc binaryaccuracy accuracyscore", "it is 1 − zero_one", "zero_one"),
    ("balancedaccuracy topkaccuracy categoricalaccuracy top1 top5", "it counts right classes", "cross_entropy"),
    ("f1 f1score fbeta fbetascore precision recall sensitivity", "F1 of a whole set is 1 − dice:smooth=0", "dice"),
    ("dicescore dicecoefficient", "it is 1 − dice", "dice"),
    ("iouscore jaccardscore jaccardindex miou meaniou", "it is 1 − jaccard", "jaccard"),
    (
        "auc rocauc auroc rocaucscore aucroc prauc auprc averageprecision gini ks",
        "it ranks the pairs of a whole set",
        "ranknet",
    ),
    ("r2 r2score rsquared explainedvariance nse", "it is 1 − mse/variance of the targets", "mse"),
    ("psnr", "it is 10·log10(range²/mse)", "mse"),
    ("ndcg dcg map meanaverageprecision mrr err hitrate", "it sorts each list", "listnet"),
    ("cindex concordance concordanceindex", "it ranks the pairs of a whole set", "cox"),
    ("pearson pearsonr correlation corr spearman spearmanr kendall kendalltau ccc", "it needs the whole set", ""),
    ("mcc matthewscorrcoef kappa cohenkappa quadraticweightedkappa qwk", "it needs the whole confusion matrix", ""),
    ("bleu rouge meteor wer cer chrf exactmatch", "it compares texts", ""),
    ("ssim msssim lpips fid", "it compares windows or features of images", ""),
)


def metric_hint(name: str) -> str:
    """Return what a metric is that was given for a loss; '' if the name is that of no metric.

    >>> metric_hint("roc_auc")
    'a metric, not a mean of losses: it ranks the pairs of a whole set; the nearest loss is ranknet'
    >>> metric_hint("huber")
    ''
    """
    bare = name.lower().replace("-", "").replace("_", "")
    for names, what, loss in _METRICS:
        if bare in names.split():
            nearest = f"the nearest loss is {loss}" if loss else "no loss is like it"
            return f"a metric, not a mean of losses: {what}; {nearest}"
    return ""
