"""Conventions of counts, deviances, divergences, and of losses of vectors."""

from __future__ import annotations

from functools import partial

import numpy as np

from lossctl.conventions.kernels import (
    half_gamma,
    half_tweedie,
    loose_kl,
    padded_cosine_embedding,
    padded_triplet,
    poisson_of_log_rates,
    poisson_plus,
    rooted_triplet,
)
from lossctl.conventions.record import (
    catboost,
    jax,
    keras,
    kornia,
    lightgbm,
    optax,
    sklearn,
    tensorflow,
    torch,
    torchmetrics,
    xgboost,
)
from lossctl.conventions.steps import Clip, Normalize, Shift

_KL = {"steps": (Clip(1e-7, 1.0, single=True, target=True),), "kernel": loose_kl, "says": ("leaves rows as they are",)}
_STIRLING = "if full, takes Stirling's formula for log t!, and 0 up to t = 1"
_PLUS = {"kernel": partial(poisson_plus, epsilon=1e-7), "says": ("adds 1e-7 within the logarithm",)}

ROWS = (
    torch(
        "poisson_nll_loss",
        "poisson_nll_log_rate",
        "F.poisson_nll_loss(pred, target)",
        kernel=poisson_of_log_rates,
        says=(_STIRLING,),
        mode="pred is a log rate, the default log_input=True; for rates: poisson_nll",
        all_pairs=True,
    ),
    torch(
        "poisson_nll_loss",
        "poisson_nll",
        "F.poisson_nll_loss(pred, target, log_input=False)",
        kernel=partial(poisson_plus, epsilon=1e-8, stirling=True),
        mode="pred is a rate, log_input=False; for log rates, its default: poisson_nll_log_rate",
        says=("adds 1e-8 within the logarithm", _STIRLING),
        all_pairs=True,
    ),
    keras("Poisson", "poisson_nll", "keras.losses.Poisson()(target, pred, sample_weight=weight)", **_PLUS),
    tensorflow(
        "Poisson",
        "poisson_nll",
        "tf.keras.losses.Poisson()(target, pred, sample_weight=weight)",
        weights="count",
        **_PLUS,
    ),
    tensorflow(
        "log_poisson_loss",
        "poisson_nll_log_rate",
        "tf.reduce_mean(tf.nn.log_poisson_loss(target, pred))",
        reduction="none",
    ),
    sklearn(
        "HalfPoissonLoss",
        "poisson_nll_log_rate",
        "sklearn._loss.loss.HalfPoissonLoss()(y_true=target, raw_prediction=pred, sample_weight=weight)",
    ),
    catboost("Poisson", "poisson_nll_log_rate", "eval_metric(target, pred, 'Poisson', weight)"),
    xgboost("poisson-nloglik", "poisson_nll:full=true", "eval_metric='poisson-nloglik'"),
    lightgbm("poisson", "poisson_nll", "metric='poisson'", steps=(Clip(1e-10, np.inf),)),
    sklearn(
        "mean_poisson_deviance",
        "poisson_deviance",
        "sklearn.metrics.mean_poisson_deviance(target, pred, sample_weight=weight)",
    ),
    sklearn(
        "mean_gamma_deviance",
        "gamma_deviance",
        "sklearn.metrics.mean_gamma_deviance(target, pred, sample_weight=weight)",
    ),
    sklearn(
        "mean_tweedie_deviance",
        "tweedie_deviance:power=1.5",
        "sklearn.metrics.mean_tweedie_deviance(target, pred, power=1.5, sample_weight=weight)",
    ),
    sklearn(
        "HalfGammaLoss",
        "gamma_deviance",
        "sklearn._loss.loss.HalfGammaLoss()(y_true=target, raw_prediction=np.log(pred), sample_weight=weight)",
        reads="log(pred)",
        kernel=half_gamma,
        says=("is half of it, without 1 + log t",),
    ),
    sklearn(
        "HalfTweedieLoss",
        "tweedie_deviance:power=1.5",
        "sklearn._loss.loss.HalfTweedieLoss(power=1.5)(y_true=target, raw_prediction=np.log(pred), "
        "sample_weight=weight)",
        reads="log(pred)",
        kernel=half_tweedie,
        says=("is half of it, without t^(2 − power)/((1 − power)(2 − power))",),
    ),
    sklearn(
        "HalfTweedieLossIdentity",
        "tweedie_deviance:power=1.5",
        "sklearn._loss.loss.HalfTweedieLossIdentity(power=1.5)(y_true=target, raw_prediction=pred, "
        "sample_weight=weight)",
        factor=0.5,
    ),
    xgboost("gamma-deviance", "gamma_deviance", "eval_metric='gamma-deviance'", steps=(Shift(1e-6, target=True),)),
    lightgbm(
        "gamma_deviance",
        "gamma_deviance",
        "metric='gamma_deviance'",
        steps=(Shift(1e-9, target=False),),
        reduction="sum",
    ),
    torch("kl_div", "kl_divergence_log_input", "F.kl_div(pred, target)", per_class=True, all_pairs=False),
    torch(
        "kl_div",
        "kl_divergence_log_target",
        "F.kl_div(pred, target, log_target=True)",
        per_class=True,
    ),
    torch("kl_div", "kl_divergence", "F.kl_div(pred.log(), target)", reads="log(pred)", per_class=True),
    keras("KLDivergence", "kl_divergence", "keras.losses.KLDivergence()(target, pred, sample_weight=weight)", **_KL),
    tensorflow(
        "KLDivergence",
        "kl_divergence",
        "tf.keras.losses.KLDivergence()(target, pred, sample_weight=weight)",
        weights="count",
        **_KL,
    ),
    optax(
        "kl_divergence", "kl_divergence_log_input", "optax.losses.kl_divergence(pred, target).mean()", all_pairs=True
    ),
    optax(
        "kl_divergence",
        "kl_divergence",
        "optax.losses.kl_divergence(jax.numpy.log(pred), target).mean()",
        reads="log(pred)",
    ),
    optax(
        "kl_divergence_with_log_targets",
        "kl_divergence_log_target",
        "optax.losses.kl_divergence_with_log_targets(pred, target).mean()",
    ),
    torchmetrics(
        "kl_divergence",
        "kl_divergence",
        "torchmetrics.functional.kl_divergence(target, pred)",
        steps=(Normalize(target=True),),
    ),
    torchmetrics(
        "jensen_shannon_divergence",
        "js_divergence",
        "torchmetrics.functional.regression.jensen_shannon_divergence(target, pred)",
        steps=(Normalize(target=True),),
    ),
    kornia(
        "kl_div_loss_2d",
        "kl_divergence",
        "kornia.losses.kl_div_loss_2d(pred[:, None, None], target[:, None, None])",
        reads="heat maps (n, k, height, width), each a distribution,",
    ),
    kornia(
        "js_div_loss_2d",
        "js_divergence",
        "kornia.losses.js_div_loss_2d(pred[:, None, None], target[:, None, None])",
        reads="heat maps (n, k, height, width), each a distribution,",
    ),
    torchmetrics(
        "tweedie_deviance_score",
        "tweedie_deviance:power=1.5",
        "torchmetrics.functional.tweedie_deviance_score(pred, target, power=1.5)",
    ),
    jax("rel_entr", "kl_divergence", "jax.scipy.special.rel_entr(target, pred).sum(1).mean()"),
    jax("kl_div", "generalized_kl", "jax.scipy.special.kl_div(target, pred).sum(1).mean()"),
    keras(
        "CosineSimilarity",
        "cosine_distance",
        "keras.losses.CosineSimilarity()(target, pred, sample_weight=weight)",
        offset=-1.0,
    ),
    optax("cosine_distance", "cosine_distance", "optax.losses.cosine_distance(pred, target).mean()"),
    torch(
        "cosine_embedding_loss",
        "cosine_embedding",
        "F.cosine_embedding_loss(pred, x2, target)",
        kernel=padded_cosine_embedding,
        says=("adds 1e-12 to each squared length",),
    ),
    torch(
        "triplet_margin_loss",
        "triplet",
        "F.triplet_margin_loss(pred, target, negative)",
        kernel=padded_triplet,
        says=("adds 1e-6 to each difference",),
    ),
    optax(
        "triplet_margin_loss",
        "triplet",
        "optax.losses.triplet_margin_loss(pred, target, negative).mean()",
        kernel=rooted_triplet,
        says=("adds 1e-6 under each root",),
    ),
    torch(
        "ctc_loss",
        "ctc:per_symbol=true",
        "F.ctc_loss(pred.transpose(0, 1), target, input_lengths, target_lengths)",
        reads="log-probabilities (steps, n, k)",
    ),
    keras(
        "Circle",
        "circle",
        "keras.losses.Circle()(target, pred)",
        weights="",
        mode="it takes vectors of length 1 as they are, and leaves samples that are alone out of the mean",
    ),
    optax("ntxent", "supervised_ntxent", "optax.losses.ntxent(pred, target)"),
)
