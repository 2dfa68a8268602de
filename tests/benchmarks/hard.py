"""Points at which the usual forms of a loss cancel, overflow or clip, and the names of the loss in other libraries."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

TINY = np.array([1e-12, 1e-8, 3e-5])


@dataclass(frozen=True)
class Points:
    """A loss, some points, and for each library an expression for its values there.

    ``inputs`` are the inputs of the loss in its order, by the names in the expressions: ``p``, ``t`` and others.
    """

    where: str
    loss: str
    inputs: dict[str, Any]
    peers: dict[str, str] = field(default_factory=dict)


def _rows(*rows: list[float]) -> np.ndarray:
    return np.array(rows)


_NEAR = _rows([0.2, 0.3, 0.5], [0.7, 0.2, 0.1])
_SHIFT = _rows([1e-9, -2e-9, 1e-9], [1e-6, 1e-6, -2e-6])
_AHEAD = _rows([40.0, 0.0, -1.0], [745.0, 0.0, 1.0], [20.0, 1.0, 0.0])
_FIRST = np.array([0, 0, 0])
_ONES, _ZEROS = np.ones(3), np.zeros(3)
_FAR = np.array([20.0, 40.0, 700.0])
_COLUMNS = "t[:, None], p[:, None]"  # keras takes the mean of a row
_NORMS = "statsmodels.robust.norms."

POINTS = (
    Points(
        "tiny residuals",
        "log_cosh",
        {"p": TINY, "t": _ZEROS},
        {"keras": f"keras.losses.log_cosh({_COLUMNS})", "optax": "optax.losses.log_cosh(p, t)"},
    ),
    Points(
        "tiny residuals",
        "pseudo_huber",
        {"p": TINY, "t": _ZEROS},
        {
            "scipy": "scipy.special.pseudo_huber(1.0, p - t)",
            "kornia": "kornia.losses.charbonnier_loss(p, t, reduction='none')",
        },
    ),
    Points(
        "huge residuals",
        "pseudo_huber",
        {"p": np.array([1e10, 1e160, 1e300]), "t": _ZEROS},
        {
            "scipy": "scipy.special.pseudo_huber(1.0, p - t)",
            "kornia": "kornia.losses.charbonnier_loss(p, t, reduction='none')",
        },
    ),
    Points(
        "tiny residuals",
        f"cauchy:c={math.sqrt(2)!r}",
        {"p": TINY, "t": _ZEROS},
        {
            "kornia": "kornia.losses.cauchy_loss(p, t, reduction='none')",
            "statsmodels": _NORMS + "StudentT(1, 2).rho(p)",
        },
    ),
    Points(
        "tiny residuals",
        "welsch",
        {"p": TINY, "t": _ZEROS},
        {"kornia": "kornia.losses.welsch_loss(p, t, reduction='none')"},
    ),
    *(
        Points("tiny residuals", loss, {"p": TINY, "t": _ZEROS}, {"statsmodels": f"{_NORMS}{norm}.rho(p)"})
        for loss, norm in (
            ("tukey_biweight", "TukeyBiweight()"),
            ("andrew_wave", "AndrewWave()"),
            ("ramsay", "RamsayE()"),
            ("hampel", "Hampel()"),
        )
    ),
    Points(
        "near-equal vectors",
        "cosine_distance",
        {"p": _NEAR * (1 + _SHIFT), "t": _NEAR},
        {
            "torch": "1 - F.cosine_similarity(p, t)",
            "keras": "1 + keras.losses.cosine_similarity(t, p)",
            "optax": "optax.losses.cosine_distance(p, t)",
            "scipy": "np.array([scipy.spatial.distance.cosine(a, b) for a, b in zip(p, t)])",
        },
    ),
    *(
        Points(
            where,
            loss,
            {"p": np.array([1 + 1e-8, 2 * (1 - 1e-6), 3.0]), "t": np.array([1.0, 2.0, 3 * (1 + 1e-10)])},
            {"sklearn": f"each(sklearn.metrics.{call})"},
        )
        for where, loss, call in (
            ("near equality", "poisson_deviance", "mean_poisson_deviance, t, p"),
            ("near equality", "gamma_deviance", "mean_gamma_deviance, t, p"),
            ("near equality", "tweedie_deviance", "mean_tweedie_deviance, t, p, power=1.5"),
        )
    ),
    *(
        Points(
            f"power {power}",
            f"tweedie_deviance:power={power}",
            {"p": np.array([0.5, 2.0, 3.0]), "t": np.array([1.0, 1.5, 0.1])},
            {"sklearn": f"each(sklearn.metrics.mean_tweedie_deviance, t, p, power={power})"},
        )
        for power in ("1.000000001", "1.999999999")
    ),
    Points(
        "counts, full",
        "poisson_nll:full=true",
        {"p": np.array([1.5, 2.0, 6.0]), "t": np.array([1.0, 2.0, 5.0])},
        {
            "torch": "F.poisson_nll_loss(p, t, log_input=False, full=True, reduction='none')",
            "scipy": "-scipy.stats.poisson.logpmf(t, p)",
        },
    ),
    Points(
        "a tiny rate",
        "poisson_nll",
        {"p": np.array([1e-9, 1e-7, 1e-5]), "t": np.array([1.0, 2.0, 1.0])},
        {
            "torch": "F.poisson_nll_loss(p, t, log_input=False, reduction='none')",
            "keras": f"keras.losses.poisson({_COLUMNS})",
        },
    ),
    Points(
        "tiny amounts",
        "msle",
        {"p": TINY, "t": 3 * TINY},
        {
            "keras": f"keras.losses.mean_squared_logarithmic_error({_COLUMNS})",
            "sklearn": "each(sklearn.metrics.mean_squared_log_error, t, p)",
        },
    ),
    Points(
        "p = 0 for an event",
        "bce",
        {"p": np.array([0.0]), "t": np.array([1.0])},
        {
            "torch": "F.binary_cross_entropy(p, t, reduction='none')",
            "keras": f"keras.losses.binary_crossentropy({_COLUMNS})",
            "sklearn": "each(sklearn.metrics.log_loss, t, p, labels=[0, 1])",
        },
    ),
    Points(
        "p near 0 and 1",
        "bce",
        {"p": np.array([1e-50, 1 - 2.0**-53, 1e-20]), "t": np.array([1.0, 1.0, 0.0])},
        {
            "torch": "F.binary_cross_entropy(p, t, reduction='none')",
            "keras": f"keras.losses.binary_crossentropy({_COLUMNS})",
            "sklearn": "each(sklearn.metrics.log_loss, t, p, labels=[0, 1])",
        },
    ),
    Points(
        "a logit that is right",
        "bce_with_logits",
        {"p": _FAR, "t": _ONES},
        {
            "torch": "F.binary_cross_entropy_with_logits(p, t, reduction='none')",
            "keras": f"keras.losses.binary_crossentropy({_COLUMNS}, from_logits=True)",
            "optax": "optax.losses.sigmoid_binary_cross_entropy(p, t)",
        },
    ),
    Points(
        "a score that is right",
        "soft_margin",
        {"p": _FAR, "t": _ONES},
        {"torch": "F.soft_margin_loss(p, t, reduction='none')"},
    ),
    *(
        Points(
            f"gamma {gamma}, a logit that is right",
            f"focal_with_logits:gamma={gamma}:alpha=none",
            {"p": _FAR, "t": _ONES},
            {
                "keras": f"keras.losses.binary_focal_crossentropy({_COLUMNS}, gamma={gamma}, from_logits=True)",
                "optax": f"optax.losses.sigmoid_focal_loss(p, t, gamma={gamma})",
            },
        )
        for gamma in (0.5, 2.0)
    ),
    Points(
        "a certain row",
        "sparse_softmax_cross_entropy",
        {"p": _AHEAD, "t": _FIRST},
        {
            "torch": "F.cross_entropy(p, t, reduction='none')",
            "keras": "keras.losses.sparse_categorical_crossentropy(t, p, from_logits=True)",
            "optax": "optax.losses.softmax_cross_entropy_with_integer_labels(p, t)",
            "scipy": "-scipy.special.log_softmax(p, axis=1)[np.arange(3), t]",
        },
    ),
    Points(
        "a certain row",
        "softmax_focal",
        {"p": _AHEAD, "t": _FIRST},
        {"kornia": "kornia.losses.focal_loss(p, t, alpha=None, gamma=2.0, reduction='none').sum(dim=1)"},
    ),
    Points(
        "a class that is certain",
        "generalized_cross_entropy",
        {"p": _rows([1 - 1e-12, 1e-12], [1 - 1e-8, 1e-8]), "t": np.array([0, 0])},
        {"keras": "keras.losses.categorical_generalized_cross_entropy(t, p, q=0.7)"},
    ),
    Points(
        "q near p",
        "kl_divergence",
        {"p": _NEAR + _SHIFT, "t": _NEAR},
        {
            "torch": "F.kl_div(p.log(), t, reduction='none').sum(dim=1)",
            "keras": "keras.losses.kl_divergence(t, p)",
            "optax": "optax.losses.kl_divergence(jax.numpy.log(p), t)",
            "scipy": "scipy.special.rel_entr(t, p).sum(axis=1)",
        },
    ),
    Points(
        "q near p",
        "js_divergence",
        {"p": _NEAR + _SHIFT, "t": _NEAR},
        {"scipy": "scipy.spatial.distance.jensenshannon(p, t, axis=1) ** 2"},
    ),
    Points(
        "members far from 0",
        "crps_ensemble",
        {"p": 1e6 + _rows([1e-3, 2e-3, 4e-3], [0.5, 0.25, 1.0]), "t": np.array([1e6, 1e6 + 0.3])},
        {"scoringrules": "scoringrules.crps_ensemble(t, p, estimator='nrg')"},
    ),
    Points(
        "a forecast that is right",
        "crps_gaussian",
        {"p": np.array([1.0, 2.0, 3.0]), "t": np.array([1.0, 2.0 + 1e-9, 3.0]), "s": np.array([1.0, 1e-3, 1e-9])},
        {"scoringrules": "scoringrules.crps_normal(t, p, s)"},
    ),
)
